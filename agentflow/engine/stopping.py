"""How a run is asked to stop, by whoever asks."""

from __future__ import annotations

from agentflow.engine.host import Services
from agentflow.records import RunState
from agentflow.storage import transitions
from agentflow.storage.transitions import CancelAsked


async def ask_to_stop(services: Services, run_id: str, reason: str) -> CancelAsked:
    """Ask a run to stop, and tell whoever has to know. One that has no code under way ends at once."""
    now = services.clock.now()
    asked = await services.database.transact(transitions.ask_cancel(run_id, reason, now + services.cancel_grace, now))
    if asked.ended is not None:
        # Nobody held it: the next epoch says so, for the last holder may still be talking.
        services.host.ended(asked.ended, asked.ended.run.epoch + 1)
    elif asked.run.state is RunState.RUNNING:
        services.streams.signal("cancel", run_id)
    else:
        services.host.announce(asked.run)
    return asked
