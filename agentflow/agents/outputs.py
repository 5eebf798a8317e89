"""What an agent's runs end with, as an annotation that a record can be read by."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Union, cast, get_origin, get_type_hints


def result_type(output: Any) -> Any:
    """The type of the result behind pydantic-ai's output specification: a type, a function, a marker such as `NativeOutput`, or several."""
    if isinstance(output, (list, tuple)):
        return Union[tuple(result_type(one) for one in cast("Sequence[Any]", output))]  # noqa: UP007 - made of what is given
    for name in ("output", "outputs", "output_function"):
        if _is_marker(output) and hasattr(output, name):
            return result_type(getattr(output, name))
    if isinstance(output, type) or get_origin(output) is not None or not callable(output):
        return output
    function = cast("Callable[..., Any]", output)
    return get_type_hints(function).get("return", Any)


def _is_marker(output: Any) -> bool:
    """Whether it is of pydantic-ai's classes; where that module is not loaded, nothing is."""
    known = sys.modules.get("pydantic_ai.output")
    return known is not None and isinstance(output, (known.ToolOutput, known.NativeOutput, known.PromptedOutput, known.TextOutput))
