"""Whether the code that is deployed somewhere can fill a version of a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentflow.agents.prompting import check_speakers
from agentflow.database.port import Database
from agentflow.errors import ContractError
from agentflow.prompts import contract
from agentflow.prompts.pinning import body_of
from agentflow.serde import loads
from agentflow.storage import prompts
from agentflow.storage.prompts import VersionRecord
from agentflow.storage.statements import SQL


async def check_fit(database: Database, name: str, which: int | str, env: str) -> VersionRecord:
    """A version that the code deployed there can fill. Raises `PromptNotFound`, `VersionNotFound`, and `ContractError` for another."""
    found = await database.fetch(SQL.prompts.get(name=name, env=env))
    if not found:
        raise prompts.not_found(name)
    version = await database.read(prompts.find(name, which))
    try:
        contract.check(body_of(version.body), loads(found[0]["contract"]), trusting=bool(found[0]["trusting"]))
        check_speakers(name, body_of(version.body))
    except ContractError as error:
        raise ContractError(f"v{version.number} of {name}: {error.message}", hint=error.hint, **error.details) from error
    return version


async def check_variables(database: Database, name: str, env: str, conditions: Mapping[str, Any]) -> None:
    """Raise `ContractError` for conditions on variables that the code deployed there does not give."""
    wanted: Mapping[str, Any] = conditions.get("variables", {})
    found = await database.fetch(SQL.prompts.get(name=name, env=env)) if wanted else ()
    for row in found:
        known: Mapping[str, Any] = loads(row["contract"]).get("properties", {})
        if unknown := sorted(wanted.keys() - known.keys()):
            hint = f"It has {', '.join(sorted(known)) or 'none'}."
            raise ContractError(f"{name} has no variable {unknown[0]} in {env}.", hint=hint, problems=unknown)
