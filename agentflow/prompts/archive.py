"""Prompts in one file: a tar of `.prompt.md` files, and `registry.json` with what is live where.

It is read in memory, and no path in it leads anywhere.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic_core import from_json

from agentflow.errors import PromptError
from agentflow.prompts import files
from agentflow.prompts.files import PromptFile

REGISTRY = "registry.json"
LARGEST = 64 * 1024 * 1024
"""Bytes of all that is in an archive."""


@dataclass(frozen=True, slots=True)
class Archive:
    """What an archive holds: prompts with the paths that they were found at, and `registry.json`, which is `text`."""

    found: Sequence[tuple[str, PromptFile]]
    text: str

    @property
    def registry(self) -> Mapping[str, Mapping[str, Any]]:
        """What it says of each prompt by its name, as far as that can be read."""
        told = from_json(self.text)
        rows: Any = cast("dict[str, Any]", told).get("prompts") if isinstance(told, dict) else None
        named = [cast("dict[str, Any]", one) for one in cast("list[Any]", rows) if isinstance(one, dict)] if isinstance(rows, list) else []
        return {str(one["name"]): one for one in named if "name" in one}


def pack(found: Iterable[tuple[str, PromptFile]], registry: str) -> bytes:
    """The bytes of an archive: the same for the same prompts. Each is given with its path, without the suffix."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for place, one in found:
            _add(tar, f"{place}{files.SUFFIX}", files.write(one).encode("utf-8", "surrogatepass"))
        _add(tar, REGISTRY, registry.encode())
    return out.getvalue()


def unpack(data: bytes) -> Archive:
    """Read an archive, uncompressed. Raises `PromptError` for what is none, and for a file in it that is no prompt."""
    found: list[tuple[str, PromptFile]] = []
    told = "{}"
    size = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for member in tar:
                size += member.size
                if size > LARGEST:
                    raise PromptError(f"The archive holds more than {LARGEST} bytes.", hint="Import it in parts.")
                content = tar.extractfile(member) if member.isfile() else None
                if content is None:
                    continue
                if member.name == REGISTRY:
                    told = content.read().decode()
                    from_json(told)
                elif member.name.endswith(files.SUFFIX):
                    found.append(_prompt(member.name.removesuffix(files.SUFFIX), content.read()))
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise PromptError(f"This is no archive of prompts: {error}", hint="Give what `agentflow prompts export` wrote.") from error
    return Archive(found, told)


def _prompt(path: str, text: bytes) -> tuple[str, PromptFile]:
    try:
        return path, files.parse(text.decode("utf-8", "surrogatepass"), name=path)
    except PromptError as error:
        error.message = f"{path}: {error.message}"
        raise


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))
