"""What goes wrong with streams."""

from __future__ import annotations

from agentflow.errors.root import AgentflowError


class StreamError(AgentflowError):
    """A stream cannot be read, or does not take what it was given."""

    code = "stream"


class CursorInvalid(StreamError):
    """A cursor is not of the form `<epoch>-<seq>`."""

    code = "cursor_invalid"
    http_status = 400


class StreamUnavailable(StreamError):
    """The stream server cannot be reached or started."""

    code = "stream_unavailable"
    http_status = 503


class ItemTooLarge(StreamError):
    """An item or message is longer than a stream takes; `details` has its `size` and the `limit`, in bytes."""

    code = "item_too_large"
    http_status = 413


class InvalidMessage(StreamError):
    """A message does not fit the type of its input stream."""

    code = "invalid_message"
    http_status = 422


class InputFull(StreamError):
    """A run has not received what was sent to it before; `details` has its `run_id` and the `limit`."""

    code = "input_full"
    http_status = 429
