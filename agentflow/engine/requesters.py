"""Who asked for what a run asks people about: they do not decide it where that is excluded."""

from __future__ import annotations

from dataclasses import replace

from agentflow.engine.context import WaitRequest
from agentflow.engine.session import Session
from agentflow.engine.waits import others
from agentflow.errors import DefinitionError
from agentflow.storage import requesters
from agentflow.storage.requesters import Requesters


async def without_requesters(session: Session, request: WaitRequest) -> WaitRequest:
    """What a run asks, with who must not decide about it. Raises `DefinitionError` where then nobody could.

    Where the code names who asked for it, that is instead of whoever started the run.
    """
    known = await session.read(lambda: requesters.of_run(session.run.key)) if request.excludes else Requesters()
    return _barring(request, session.run.id, known)


def _barring(request: WaitRequest, run_id: str, known: Requesters) -> WaitRequest:
    subject = request.subject
    names = known.names(subject.get("requester")) if request.excludes else [subject["requester"]] if "requester" in subject else []
    if not names:
        return request
    if subject.get("users") and not subject.get("groups") and len(others(subject["users"], *names)) < subject.get("need", 1):
        who = names[0] if len(names) == 1 else f"{', '.join(names)} are those who"
        message = f"Nobody could decide this: {who} started {run_id} or told it what to do, and may not decide about it."
        raise DefinitionError(message, hint="Name more users, or say exclude_requester=False.")
    asked = {**subject, "requester": names[0], **({"requesters": names} if len(names) > 1 else {})}
    return replace(request, subject=asked, call=request.call and replace(request.call, requesters=names))
