"""What was said: one append-only stream per run, written by its worker, read by anybody, from any point."""

from agentflow.streams.codec import StoredEvent, decode, encode
from agentflow.streams.cursor import Cursor
from agentflow.streams.events import Event, UnknownEvent
from agentflow.streams.fold import Fold
from agentflow.streams.log import Streams
from agentflow.streams.pending import Limits
from agentflow.streams.reader import StreamLost
from agentflow.streams.writer import Settings

__all__ = ["Cursor", "Event", "Fold", "Limits", "Settings", "StoredEvent", "StreamLost", "Streams", "UnknownEvent", "decode", "encode"]
