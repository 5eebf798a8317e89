"""Every error agentflow raises.

    AgentflowError
      DefinitionError       NotInRun · DuplicateName · UnknownTask · InvalidPayload · UnserializableValue · ConfigurationError
                          InvalidScope
      TokenInvalid          TokenExpired
      RunError              RunFailed · RunCancelled · RunExpired · RunNotFound · RunTimeout · StepFailed · IdempotencyConflict
                          BudgetExceeded · NotRecorded · ProcessDied > OutOfMemory
      WaitpointError        WaitpointNotFound · WaitpointAlreadyAnswered · WaitpointTimedOut · InvalidAnswer
      ServerUnreachable
      StreamError           CursorInvalid · StreamUnavailable · ItemTooLarge · InvalidMessage · InputFull
      PromptError           TemplateError · ContractError · PromptNotFound · VersionNotFound · BindingConflict · BindingProtected
                          VersionRevoked · ResumeIncompatible · VersionInUse · GenerationNotFound · RegistryUnreadable
                          ReleaseRequested · RequestNotFound
      StorageError          DatabaseBusy · DatabaseUnreachable · DatabaseUnreadable · DatabaseFull · SchemaNewer · ConnectionLost
    NonRetryable > TellModel, RetryAfter    raised by user code
    ControlFlow (control.py)                the engine's own, never caught by users

An error has a `code` that machines can match, a message, a `hint` that says what to do next, and `details` that survive JSON.
"""

from __future__ import annotations

from agentflow.errors.definitions import (
    ConfigurationError,
    DefinitionError,
    DuplicateName,
    InvalidPayload,
    InvalidScope,
    NotInRun,
    TokenExpired,
    TokenInvalid,
    UnknownQueue,
    UnknownTask,
    UnknownVersion,
    UnserializableValue,
    WorkerNotFound,
)
from agentflow.errors.prompts import (
    BindingConflict,
    BindingProtected,
    ContractError,
    GenerationNotFound,
    PromptError,
    PromptNotFound,
    RegistryUnreadable,
    ReleaseRequested,
    RequestNotFound,
    ResumeIncompatible,
    TemplateError,
    VersionInUse,
    VersionNotFound,
    VersionRevoked,
)
from agentflow.errors.root import (
    AgentflowError,
    NonRetryable,
    RetryAfter,
    ServerUnreachable,
    TellModel,
)
from agentflow.errors.runs import (
    BudgetExceeded,
    IdempotencyConflict,
    NotRecorded,
    OutOfMemory,
    ProcessDied,
    RunCancelled,
    RunError,
    RunExpired,
    RunFailed,
    RunNotFound,
    RunTimeout,
    StepFailed,
    StepTimeout,
    ThreadBusy,
    ThreadExists,
    ThreadNotFound,
)
from agentflow.errors.storage import (
    ConnectionLost,
    DatabaseBusy,
    DatabaseFull,
    DatabaseUnreachable,
    DatabaseUnreadable,
    SchemaNewer,
    StorageError,
)
from agentflow.errors.streams import (
    CursorInvalid,
    InputFull,
    InvalidMessage,
    ItemTooLarge,
    StreamError,
    StreamUnavailable,
)
from agentflow.errors.waitpoints import (
    InvalidAnswer,
    WaitpointAlreadyAnswered,
    WaitpointError,
    WaitpointNotFound,
    WaitpointTimedOut,
)

__all__ = [
    "AgentflowError",
    "BindingConflict",
    "BindingProtected",
    "BudgetExceeded",
    "ConfigurationError",
    "ConnectionLost",
    "ContractError",
    "CursorInvalid",
    "DatabaseBusy",
    "DatabaseFull",
    "DatabaseUnreachable",
    "DatabaseUnreadable",
    "DefinitionError",
    "DuplicateName",
    "GenerationNotFound",
    "IdempotencyConflict",
    "InputFull",
    "InvalidAnswer",
    "InvalidMessage",
    "InvalidPayload",
    "InvalidScope",
    "ItemTooLarge",
    "NonRetryable",
    "NotInRun",
    "NotRecorded",
    "OutOfMemory",
    "ProcessDied",
    "PromptError",
    "PromptNotFound",
    "RegistryUnreadable",
    "ReleaseRequested",
    "RequestNotFound",
    "ResumeIncompatible",
    "RetryAfter",
    "RunCancelled",
    "RunError",
    "RunExpired",
    "RunFailed",
    "RunNotFound",
    "RunTimeout",
    "SchemaNewer",
    "ServerUnreachable",
    "StepFailed",
    "StepTimeout",
    "StorageError",
    "StreamError",
    "StreamUnavailable",
    "TellModel",
    "TemplateError",
    "ThreadBusy",
    "ThreadExists",
    "ThreadNotFound",
    "TokenExpired",
    "TokenInvalid",
    "UnknownQueue",
    "UnknownTask",
    "UnknownVersion",
    "UnserializableValue",
    "VersionInUse",
    "VersionNotFound",
    "VersionRevoked",
    "WaitpointAlreadyAnswered",
    "WaitpointError",
    "WaitpointNotFound",
    "WaitpointTimedOut",
    "WorkerNotFound",
]
