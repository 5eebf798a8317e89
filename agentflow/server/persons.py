"""In whose name a request comes."""

from __future__ import annotations

from typing import Any

from agentflow.server.calls import Call
from agentflow.server.errors import Forbidden, RequestError


def person(call: Call[Any, Any], said: str | None = None) -> str | None:
    """The subject of a token, else whom the call names, for whom its API key vouches; None where it names nobody.

    Raises `Forbidden` when a token names somebody else.
    """
    said = said or call.request.headers.get("x-agentflow-by")
    if said is not None and ("\x00" in said or len(said) > 256):
        raise RequestError("`by` is not a name.", hint="Name a person in at most 256 characters.")
    grant = call.caller.grant
    if grant is None:
        return said
    if said is not None and said != grant.who:
        raise Forbidden(f"This token decides as {grant.who}, and for nobody else.", hint="Leave out `by` and X-Agentflow-By.")
    return grant.who
