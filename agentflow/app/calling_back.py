"""What machines send to callbacks: checked, kept once, and told nothing that they need not know."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import Any

from agentflow.clock import SECOND
from agentflow.errors import WaitpointAlreadyAnswered, WaitpointError, WaitpointTimedOut
from agentflow.records import WaitpointRecord, WaitState
from agentflow.serde import dumps, loads

_SPAN = 300 * SECOND
"""How far a signature's time may be from ours."""


class CallbackNotFound(WaitpointError):
    """No callback is at that address: the id, or its secret, is wrong."""

    code = "callback_not_found"
    http_status = 404


class CallbackConflict(WaitpointError):
    """The callback has taken another message before."""

    code = "callback_taken"
    http_status = 409


class SignatureInvalid(WaitpointError):
    """The call is not signed as was asked for."""

    code = "signature_invalid"
    http_status = 401


@dataclass(frozen=True, slots=True)
class CallbackCall:
    """A call of a machine: its body, and the value in it."""

    body: bytes
    value: Any
    headers: Mapping[str, str]

    @property
    def by(self) -> str:
        """Who is recorded to have answered: the machine, with the key by which it knows this message."""
        key = self.headers.get("webhook-id") or self.headers.get("idempotency-key")
        return "callback" if not key else f"callback:{key if len(key) <= 100 else blake2b(key.encode(), digest_size=16).hexdigest()}"


def no_callback() -> CallbackNotFound:
    """The one answer to an unknown id, a wrong secret, and a waitpoint that is no callback."""
    return CallbackNotFound("There is no callback at this address.", hint="Use the address as it was given.")


def check_signature(call: CallbackCall, key: str | None, now: int) -> None:
    """Raise `SignatureInvalid` unless the call is signed with `key` as Standard Webhooks say; without a key there is nothing to check."""
    if key is None:
        return
    id, when = call.headers.get("webhook-id", ""), call.headers.get("webhook-timestamp", "")
    signed = f"{id}.{when}.".encode() + call.body
    right = base64.b64encode(hmac.new(base64.b64decode(key.removeprefix("whsec_")), signed, sha256).digest())
    given = [one.partition(",") for one in call.headers.get("webhook-signature", "").split(" ")]
    fits = any(version == "v1" and hmac.compare_digest(right, text.encode("utf-8", "replace")) for version, _, text in given)
    recent = when.isascii() and when.isdigit() and len(when) < 12 and abs(int(when) * SECOND - now) <= _SPAN
    if not (fits and recent and id):
        hint = "Sign `<webhook-id>.<webhook-timestamp>.<body>` with the signing key; send webhook-signature: v1,<base64>."
        raise SignatureInvalid("The signature does not fit this call, or its time is not now.", hint=hint)


def again(one: WaitpointRecord, call: CallbackCall) -> bool:
    """Whether the call is the one that was taken, sent once more."""
    if one.state is not WaitState.ANSWERED:
        return False
    same_key = call.by != "callback" and one.answered_by == call.by
    # As text, for 1 and true are equal.
    return same_key or (one.answer is not None and dumps(loads(one.answer)) == dumps(call.value))


def told(error: WaitpointError) -> WaitpointError:
    """The error as a machine is told it: without what others sent, or when."""
    if isinstance(error, WaitpointAlreadyAnswered):
        return CallbackConflict("Another body was taken before.", hint="A callback takes one message; send that one again if you must.")
    if isinstance(error, WaitpointTimedOut):
        return WaitpointTimedOut("This callback has ended.", hint="Nobody waits for it any more.")
    return error
