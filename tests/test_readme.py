"""What README.md and CONTRIBUTING.md say can be done, done as it is written."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import pytest

from agentflow.testing import Engine, call, scripted_model, text
from tests.cli.programs import Program

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def example() -> tuple[str, list[list[str]]]:
    """The program of the README, and the commands under it."""
    blocks = [(found[1], found[2]) for found in FENCED.finditer(page("README.md"))]
    at = next(at for at, (language, _) in enumerate(blocks) if language == "python")
    return blocks[at][1], [shlex.split(line, comments=True) for line in blocks[at + 1][1].splitlines()]


class Reader:
    """Somebody who types what the README says into terminals, all in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: list[Program] = []

    def types(self, command: list[str], **known: str) -> Program:
        """Start a command; a word such as wp_… is what `known` says of wp."""
        program, *words = [known[word.removesuffix("_…")] if word.endswith("_…") else word for word in command]
        assert entry_points(group="console_scripts")[program].value == "agentflow.cli.main:main"
        self._opened.append(Program(self._folder, *words))
        return self._opened[-1]

    def close(self) -> None:
        """Close all terminals."""
        for one in self._opened:
            one.close()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """A reader in an empty folder, on a machine whose port 8000 may be taken."""
    (tmp_path / "pyproject.toml").write_text("[tool.agentflow]\nport = 0\n", encoding="utf-8")
    made = Reader(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("killed", [False, True], ids=["as written", "with the worker killed in between"])
def test_the_example_runs_as_it_is_written(reader: Reader, tmp_path: Path, killed: bool) -> None:
    program, (dev, start, approve) = example()
    name, folder = program.splitlines()[0].removeprefix("# "), tmp_path
    (folder / name).write_text(program, encoding="utf-8")
    serving = reader.types(dev)
    serving.until("stop ")
    tail = reader.types(start)
    waiting = tail.until("agentflow approve").split()[-1]
    if killed:
        serving.close()
    approving = reader.types(approve, wp=waiting)
    assert approving.end() == 0, approving.said
    if killed:
        reader.types(dev).until("stop ")
    assert tail.end() == 0, tail.said
    assert tail.lines[-1].strip() == "receipt for o-81"


def targets(text: str) -> set[str]:
    """The make targets that code on a page names."""
    blocks = [found[2] for found in FENCED.finditer(text)]
    spans = re.findall(r"`([^`\n]+)`", FENCED.sub("", text))
    return {target for code in (*blocks, *spans) for target in re.findall(r"\bmake ([a-z][a-z-]*)", code)}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_is_named_exists(name: str) -> None:
    named = targets(page(name))
    assert {"demo", "test"} <= named
    assert named <= set(re.findall(r"^([a-z]+):", page("Makefile"), re.MULTILINE))


def test_every_make_target_is_in_the_table_of_contributing() -> None:
    assert set(re.findall(r"^([a-z]+):.*## ", page("Makefile"), re.MULTILINE)) - {"help"} <= targets(page("CONTRIBUTING.md"))


@pytest.mark.parametrize("name", PAGES)
def test_every_link_to_a_file_leads_somewhere(name: str) -> None:
    prose = re.sub(r"`[^`]+`(?!\])", "", FENCED.sub("", page(name)))
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", prose) if "://" not in link]
    assert [link for link in links if link and not (ROOT / link).exists()] == []


def module_of(name: str, path: Path, *blocks: str) -> ModuleType:
    """What python blocks of the README define, imported as somebody's file."""
    path.write_text("\n\n".join(blocks), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def python_blocks() -> list[str]:
    return [found[2] for found in FENCED.finditer(page("README.md")) if found[1] == "python"]


async def test_the_agent_of_the_readme_looks_up_asks_and_pays(engine: Engine, tmp_path: Path) -> None:
    desk = module_of("readme_desk", tmp_path / "desk.py", python_blocks()[1])
    desk.support.agent_options["model"] = scripted_model(
        [call("look_up", {"order_id": "o-81"}, id="c1")],
        [call("refund", {"order_id": "o-81", "cents": 4900}, id="c2")],
        [text("It is lost; you have your money back.")],
    )
    run = await engine.start(desk.support, "Where is o-81?")
    [question] = await engine.waiting(run)
    assert engine.calls(desk.refund) == 0
    await question.approve(by="maria")
    assert await run.result() == "It is lost; you have your money back."
    assert (engine.calls(desk.look_up), engine.calls(desk.refund)) == (1, 1)


async def test_the_test_of_the_readme_passes(engine: Engine, tmp_path: Path) -> None:
    shown = module_of("readme_test", tmp_path / "shown.py", python_blocks()[0].replace("# app.py", ""), python_blocks()[3])
    await shown.test_an_order_is_charged_once_even_if_the_worker_dies(engine)


async def test_the_hotline_of_the_readme_answers_until_it_is_quiet(engine: Engine, tmp_path: Path) -> None:
    shown = module_of("readme_hotline", tmp_path / "hotline.py", python_blocks()[2])
    run = await engine.start(shown.hotline)
    for question in ("Where?", "When?"):
        await run.send(shown.questions, question)
        await engine.waiting(run)
    await engine.clock.advance("1h")
    assert await run.result() == ["Thank you for asking 'Where?'", "Thank you for asking 'When?'"]
    assert await engine.items(run, shown.answered) == [1, 2]
