"""A run's metadata: what its code tells its readers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from agentflow.serde import dumps

_MISSING = object()


class Metadata(MutableMapping[str, Any]):
    """A run's metadata; each change is written and shown to readers."""

    def __init__(self, values: dict[str, Any], changed: Callable[[], None]) -> None:
        self._values = values
        self._changed = changed

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        dumps(value)
        if self._values.get(key, _MISSING) != value:
            self._values[key] = value
            self._changed()

    def __delitem__(self, key: str) -> None:
        del self._values[key]
        self._changed()

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
