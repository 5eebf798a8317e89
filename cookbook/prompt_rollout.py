"""A prompt that two people release, and one that grows by itself, under guard.

    python -m cookbook.prompt_rollout

With a policy nobody moves what is live alone: `release` says that it was asked for, a run asks people, and moves it once they agree. Here
an evaluation, a task of yours, has to let it pass first. Back is always open: `rollback` leads only to what held before. A deploy is not
asked either, where a prompt follows its code: what the code says is looked at where code is looked at.

The next version comes as a ramp: at first to one run in twenty of beta customers, after a day to all of them. If it fails more often than
the baseline, by more than chance, the guard has the baseline take all. At the command line it is `agentflow prompts policy`, `release` and
`rollout`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel

from agentflow import Agentflow, Guard, prompt, task, user
from agentflow.errors import ReleaseRequested
from agentflow.prompts.body import Body


class Order(BaseModel):
    """The variables."""

    item: str
    plan: str = "free"


thanks = prompt("thanks", vars=Order, messages=[user("Thank for {{item}}.")])
warmer = Body((user("Thank for {{item}}, warmly, in one line."),))
shorter = Body((user("Thank for {{item}} in five words."),))


@task
async def evaluate_thanks(prompt: str, version: int, env: str) -> dict[str, Any]:
    """Your evaluation: it is started with the version, and lets it pass or not. What it says is in the event of the release."""
    return {"passed": True, "score": 0.93, "examples": 40}


@task
async def thank(item: str) -> str:
    """What a model would be asked."""
    return str((await thanks.get(item=item)).conversation[0]["content"])


async def govern(app: Agentflow) -> None:
    """From now on two people must agree, and the evaluation."""
    await app.prompts.policies.set("thanks", people=2, gate="evaluate_thanks", expires="3d", actor="ops", reason="four eyes")


async def ask_for(app: Agentflow, body: Body) -> str:
    """Ask for the release of a version; returns the id of the waitpoint at which people decide."""
    kept = await app.prompts.save("thanks", body, actor="maria")
    try:
        await app.prompts.release("thanks", to=kept.number, actor="maria", reason="customers like it")
    except ReleaseRequested as asked:
        return str(asked.details["waitpoint"])
    raise RuntimeError("There is no policy.")


async def ramp_up(app: Agentflow, body: Body, baseline: int) -> None:
    """Have a version grow by itself among beta customers. Where a policy holds, this is asked for as a release is."""
    kept = await app.prompts.save("thanks", body, actor="maria")
    await app.prompts.rollout(
        "thanks",
        weights={kept.number: 1},
        baseline=baseline,
        conditions={"tags": ["beta"]},
        ramp=[("0h", 0.05), ("1h", 0.25), ("1d", 1)],
        guard=Guard("error_rate", max_increase=0.02, min_calls=200),
        actor="maria",
        reason="shorter",
    )


async def main() -> None:
    """A release that two people agree to."""
    async with Agentflow([thank, evaluate_thanks]) as app:
        await govern(app)
        waitpoint = await ask_for(app, warmer)
        print(f"before: {await (await thank.start('the lamp')).result()}")
        while not any(one.id == waitpoint for one in await app.waitpoints.list()):
            await asyncio.sleep(0.05)
        for name in ("ann", "tom"):
            await app.waitpoints.approve(waitpoint, by=name)
        while [one.state for one in await app.prompts.requests.of("thanks")] == ["asked"]:
            await asyncio.sleep(0.05)
        print(f"after:  {await (await thank.start('the lamp')).result()}")


if __name__ == "__main__":
    asyncio.run(main())
