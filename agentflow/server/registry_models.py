"""What is asked and answered about the registry of prompts as a whole: archives, fallbacks, what is deleted."""

from __future__ import annotations

from pydantic import BaseModel, Field

from agentflow.server.models import Time
from agentflow.server.prompt_models import EnvQuery
from agentflow.server.requests import Strict


class DeleteQuery(Strict):
    """Who deletes a version, and why."""

    reason: str = ""
    by: str | None = None


class FollowQuery(EnvQuery):
    """Which environment, and whether to go on with what changes in it."""

    live: bool = True


class FallbackInfo(Strict):
    """How often, from when to when, a prompt was filled by the version with this hash, because its registry could not be asked."""

    prompt: str
    hash: str
    reason: str = Field(max_length=500)
    count: int = Field(ge=1)
    since: Time
    until: Time


class FallbackReport(Strict):
    """What was gone by in an environment (default: the server's own) by who follows what is live there."""

    fallbacks: list[FallbackInfo] = Field(max_length=200)
    env: str | None = None
    by: str | None = None


class FallbacksRecorded(BaseModel):
    """How many events were written: none for prompts that nobody registered."""

    recorded: int


class ExportQuery(EnvQuery):
    """Only what is `live` in an environment, or all versions."""

    live: bool = False


class ImportQuery(Strict):
    """Whether what was released there is released here, and who does it."""

    labels: bool = False
    by: str | None = None


class ImportedVersion(BaseModel):
    """A version of an archive: its number `there` and here, whether it is new here, or why it was `refused`."""

    prompt: str
    hash: str
    there: int | None
    number: int | None
    new: bool
    refused: str | None


class ImportedPrompts(BaseModel):
    """What an archive brought, and how many bindings it moved."""

    versions: list[ImportedVersion]
    moved: int
