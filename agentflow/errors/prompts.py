"""What goes wrong with prompts."""

from __future__ import annotations

from agentflow.errors.root import AgentflowError


class PromptError(AgentflowError):
    """A prompt cannot do what was asked."""

    code = "prompt"
    http_status = 400


class TemplateError(PromptError):
    """A template is no template, or its values do not fit it; `details` has the `line` and `column`, both from 1."""

    code = "template_error"
    http_status = 422


class ContractError(PromptError):
    """A template uses what its variables do not have, or what it must not; `details["problems"]` lists all of it."""

    code = "contract_violation"
    http_status = 422


class PromptNotFound(PromptError):
    """No prompt of that name is registered."""

    code = "prompt_not_found"
    http_status = 404


class GenerationNotFound(PromptError):
    """The prompt has no such model call, or none any more."""

    code = "generation_not_found"
    http_status = 404


class VersionNotFound(PromptError):
    """The prompt has no such version."""

    code = "version_not_found"
    http_status = 404


class BindingConflict(PromptError):
    """Somebody moved the binding meanwhile; `details["binding"]` is how it is now."""

    code = "version_conflict"
    http_status = 409


class BindingProtected(PromptError):
    """The binding is protected, and whoever moves it has no leave to do so."""

    code = "binding_protected"
    http_status = 403


class ReleaseRequested(PromptError):
    """Nothing was moved yet: a policy has people, or an evaluation, agree first.

    `details` has the `request`, the `run` that asks, and the `waitpoint` at which people decide, None where nobody has to.
    """

    code = "release_requested"
    http_status = 202


class RequestNotFound(PromptError):
    """Nobody asked for such a move."""

    code = "request_not_found"
    http_status = 404


class VersionRevoked(PromptError):
    """The version was taken back, and what it was taken back with says that its runs fail."""

    code = "version_revoked"
    http_status = 409


class ResumeIncompatible(PromptError):
    """A prompt says something else than it said when the run began, under the same version."""

    code = "resume_incompatible"
    http_status = 409


class VersionInUse(PromptError):
    """The version cannot be deleted: `details["by"]` lists what uses it."""

    code = "version_in_use"
    http_status = 409


class RegistryUnreadable(PromptError):
    """What the registry holds of the prompt is damaged."""

    code = "registry_unreadable"
    http_status = 500
