"""Messages into a running task: alerts of one service go to one run, which waits for more and writes the report at the end.

    python -m cookbook.incident

Your webhook handler calls `on_alert`: it finds the run of that service or starts one, and sends the alert into it. An alert that a monitor
delivers twice is one message, and one that comes while the worker is down is there when it is back.
"""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from agentflow import Agent, Agentflow, InputStream, RunHandle, Stream, task
from cookbook import scripts
from cookbook.model import model


class Alert(BaseModel):
    """What a monitor says. The id is the monitor's, the same when it delivers again."""

    id: str
    service: str
    text: str
    resolved: bool = False


class Report(BaseModel):
    """What people read afterwards."""

    alerts: int
    resolved: bool
    text: str


alerts = InputStream[Alert]("alerts")
timeline = Stream[str]("timeline")

reporter = Agent(
    "incident_reporter",
    model=model(scripts.incident_reporter),
    instructions="Write the report of an incident from its alerts: what happened, in which order, in three sentences.",
)


@task
async def incident(service: str) -> Report:
    """Follow an incident until it is resolved, or nothing was heard for half an hour."""
    seen: list[Alert] = []
    async for alert in alerts.receive(timeout="30m"):
        seen.append(alert)
        await timeline.append(f"{len(seen)}. {alert.text}")
        if alert.resolved:
            break
    text = await reporter("\n".join([f"Service: {service}", *(f"- {alert.text}" for alert in seen)]))
    return Report(alerts=len(seen), resolved=seen[-1].resolved if seen else False, text=text)


async def on_alert(alert: Alert) -> RunHandle[Report]:
    """What a webhook handler does. `dedupe_key`: while a run of this service is active, that one is meant."""
    run = await incident.using(dedupe_key=alert.service).start(alert.service)
    await run.send(alerts, alert, idempotency_key=alert.id)
    return run


async def main() -> None:
    """Play a monitor that delivers one alert twice."""
    async with Agentflow([incident, reporter]):
        for id, text in [("a-1", "latency above 2 s"), ("a-2", "errors above 5 %"), ("a-2", "errors above 5 %"), ("a-3", "back to normal")]:
            run = await on_alert(Alert(id=id, service="checkout", text=text, resolved=id == "a-3"))
        async for item in run.stream(timeline):
            print(item.data)
        print((await run.result()).text)


if __name__ == "__main__":
    asyncio.run(main())
