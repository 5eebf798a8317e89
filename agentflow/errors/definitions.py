"""What is written in a way that cannot work, and who may not come in."""

from __future__ import annotations

from agentflow.errors.root import AgentflowError


class DefinitionError(AgentflowError):
    """A task, step, agent or setting is written in a way that cannot work."""

    code = "definition"
    http_status = 400


class NotInRun(DefinitionError):
    """Something that needs a run was called outside of one."""

    code = "not_in_run"


class DuplicateName(DefinitionError):
    """Two definitions, or two steps of one run, claim the same name."""

    code = "duplicate_name"


class UnknownTask(DefinitionError):
    """No task of that name is registered."""

    code = "unknown_task"
    http_status = 404


class UnknownQueue(DefinitionError):
    """No worker serves a queue of that name, and no run waits in it."""

    code = "unknown_queue"
    http_status = 404


class UnknownVersion(DefinitionError):
    """Nobody has ever had code of that version."""

    code = "unknown_version"
    http_status = 404


class WorkerNotFound(AgentflowError):
    """No worker of that id is on the list."""

    code = "worker_not_found"
    http_status = 404


class InvalidPayload(DefinitionError):
    """The payload does not fit the task's signature."""

    code = "invalid_payload"
    http_status = 422


class UnserializableValue(DefinitionError):
    """A value cannot be stored as JSON under its annotation."""

    code = "unserializable"


class ConfigurationError(DefinitionError):
    """A setting is missing, malformed or unsafe."""

    code = "configuration"


class InvalidScope(DefinitionError):
    """A browser token cannot have such a scope."""

    code = "invalid_scope"
    http_status = 422


class TokenInvalid(AgentflowError):
    """Neither an API key of the server nor a token that one of them has signed."""

    code = "unauthorized"
    http_status = 401


class TokenExpired(TokenInvalid):
    """The token was good, and its time has ended; `details["expired_at"]` in milliseconds since 1970."""

    code = "token_expired"
