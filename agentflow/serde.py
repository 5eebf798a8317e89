"""Values to JSON text and back, by annotation. Never pickle.

pydantic takes a fifth of a second to import: it is loaded with the first type that is more than any JSON value, not with this module.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, Any, cast, get_type_hints

from pydantic_core import PydanticSerializationError, SchemaSerializer, SchemaValidator, ValidationError, from_json, to_json
from pydantic_core.core_schema import any_schema

from agentflow.errors import AgentflowError, DefinitionError, InvalidPayload, UnserializableValue
from agentflow.records import Failure

if TYPE_CHECKING:
    from pydantic import BaseModel

_SECRET = re.compile(rb"(/v1/callbacks/wp_[0-9a-f]+/)[\w-]+")
_KEPT = rb"\1"
MESSAGE_LIMIT = 16_000
"""Characters of an exception's message that are kept."""


class Codec:
    """Stores values of one annotated type.

    What `decode` returns for what `encode` wrote is what every replay will see, so the engine hands user code the decoded form at once.
    """

    __slots__ = ("_dump", "_load", "annotation")

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        serializer, validator = _any() if annotation is Any else _of_type(annotation)
        self._dump = serializer.to_json
        self._load = validator.validate_json

    def encode(self, value: Any, *, what: str) -> str:
        """JSON text of `value`; `what` names its owner in the `UnserializableValue` this raises."""
        try:
            return self._dump(value, warnings="error").decode()
        except (PydanticSerializationError, UnicodeDecodeError, RecursionError) as error:
            raise _unserializable(value, self.annotation, what) from error

    def decode(self, text: str, *, what: str) -> Any:
        """The value of a JSON text written by `encode`."""
        try:
            return self._load(text)
        except ValidationError as error:
            raise UnserializableValue(
                f"The stored value of {what} does not fit {_name(self.annotation)}: {error.errors()[0]['msg']}.",
                hint="The annotation changed, or the value does not survive JSON. Use a type that reads back what it writes.",
            ) from error


def _any() -> tuple[SchemaSerializer, SchemaValidator]:
    return SchemaSerializer(any_schema()), SchemaValidator(any_schema())


def _of_type(annotation: Any) -> tuple[Any, Any]:
    from pydantic import PydanticSchemaGenerationError, TypeAdapter

    try:
        adapter = TypeAdapter[Any](annotation)
    except PydanticSchemaGenerationError as error:
        raise DefinitionError(
            f"{annotation!r} cannot be stored as JSON.", hint="Annotate with a pydantic model, a dataclass, or plain JSON types."
        ) from error
    return adapter.serializer, adapter.validator


@lru_cache(maxsize=4096)
def _cached(annotation: Any) -> Codec:
    return Codec(annotation)


def codec(annotation: Any) -> Codec:
    """The codec of an annotation; equal annotations share one."""
    try:
        return _cached(annotation)
    except TypeError:
        return Codec(annotation)


ANY = codec(Any)


def json_schema(annotation: Any) -> dict[str, Any]:
    """The JSON schema of what the codec of an annotation reads. Raises `DefinitionError` for what has none."""
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticInvalidForJsonSchema

    codec(annotation)
    try:
        return TypeAdapter[Any](annotation).json_schema()
    except PydanticInvalidForJsonSchema as error:
        raise DefinitionError(f"{_name(annotation)} has no JSON schema: {error.message}.", hint="Use types that JSON can say.") from error


def result_codec(function: Callable[..., Any]) -> Codec:
    """The codec of what `function` returns; without an annotation, any JSON value."""
    hints = _hints(function)
    annotation = hints.get("return", Any)
    return codec(annotation) if annotation is not Any else ANY


class Payload:
    """The arguments of a task as one JSON object, an entry per argument."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.signature = inspect.signature(function)
        self.name = getattr(function, "__name__", repr(function))
        self.model = self._build(function)
        fields = list(zip(self.model.model_fields, self.signature.parameters.values(), strict=True))
        self._positional = [(field, one.name) for field, one in fields if one.kind is one.POSITIONAL_ONLY]
        self._named = [(field, one.name) for field, one in fields if one.kind is not one.POSITIONAL_ONLY]

    def _build(self, function: Callable[..., Any]) -> type[BaseModel]:
        from pydantic import PydanticSchemaGenerationError, create_model

        hints = _hints(function)
        fields: dict[str, Any] = {}
        for name, parameter in self.signature.parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise DefinitionError(
                    f"{self.name}(): *{name} has no place in a JSON payload.", hint="Name each argument, or take one list or model."
                )
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[f"a{len(fields)}"] = (hints.get(name, Any), _field(name, default))
        try:
            return create_model(f"{self.name}_payload", __config__={"extra": "forbid", "arbitrary_types_allowed": False}, **fields)
        except PydanticSchemaGenerationError as error:
            raise DefinitionError(f"{self.name}(): an argument cannot be stored as JSON: {error}.") from error

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """JSON text of a call's arguments. Raises `InvalidPayload` naming the argument that does not fit."""
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidPayload(f"{self.name}(): {error}.", hint=f"Its arguments are {self.signature}.") from None
        model = self._validate(lambda: self.model.model_validate(bound.arguments))
        try:
            return model.model_dump_json(by_alias=True, warnings="error")
        except PydanticSerializationError as error:
            raise _unserializable(bound.arguments, dict, f"the payload of {self.name}()") from error

    def check(self, text: str) -> str:
        """A JSON object from outside, validated and written again in our form."""
        return self._validate(lambda: self.model.model_validate_json(text)).model_dump_json(by_alias=True)

    def arguments(self, text: str) -> tuple[list[Any], dict[str, Any]]:
        """The positional and keyword arguments of a stored payload."""
        model = self._validate(lambda: self.model.model_validate_json(text))
        positional = [getattr(model, field) for field, _ in self._positional]
        return positional, {name: getattr(model, field) for field, name in self._named}

    def _validate(self, build: Callable[[], BaseModel]) -> BaseModel:
        try:
            return build()
        except ValidationError as error:
            problems = [{"at": ".".join(map(str, one["loc"])), "problem": one["msg"]} for one in error.errors(include_url=False)]
            told = "; ".join(f"{one['at'] or 'payload'}: {one['problem']}" for one in problems[:5])
            raise InvalidPayload(f"{self.name}(): {told}.", hint=f"Its arguments are {self.signature}.", problems=problems) from None

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the payload."""
        schema = self.model.model_json_schema(by_alias=True)
        schema.pop("title", None)
        return schema

    @cached_property
    def schema_text(self) -> str:
        """The same as JSON text, made once: it takes milliseconds, and every app that opens tells those of all its tasks."""
        return dumps(self.schema)


def _field(name: str, default: Any) -> Any:
    from pydantic import Field

    return Field(default, alias=name, validate_default=False)


def check_keys(task: str, schema: str, payload: str) -> None:
    """Compare a payload with the stored schema of a task whose code is elsewhere: arguments that are missing or that it does not have.

    Raises `InvalidPayload`. What the values are is checked where the code is.
    """
    known: dict[str, Any] = from_json(schema)
    try:
        given: Any = from_json(payload)
    except ValueError as error:
        raise InvalidPayload(f"{task}(): the payload is not JSON: {error}.") from None
    if not isinstance(given, dict):
        raise InvalidPayload(f"{task}(): the payload is not a JSON object.", hint="Give an entry per argument.")
    names: dict[str, Any] = known.get("properties", {})
    arguments = cast("dict[str, Any]", given)
    problems = [f"{name}: missing" for name in known.get("required", []) if name not in arguments]
    problems += [f"{name}: not an argument" for name in arguments if name not in names]
    if problems:
        raise InvalidPayload(f"{task}(): {'; '.join(problems)}.", hint=f"Its arguments are {', '.join(names) or 'none'}.")


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    try:
        return get_type_hints(target, include_extras=True)
    except NameError as error:
        raise DefinitionError(
            f"{getattr(function, '__qualname__', function)}: the annotation {error.name!r} cannot be found.",
            hint="Import it at module level, not only under TYPE_CHECKING: it is needed to store values.",
        ) from error
    except TypeError:
        return {}


def digest(value: Any) -> str:
    """A short hash of a call's arguments; what JSON cannot say counts by its type's name."""
    try:
        text = to_json(value, fallback=_type_name, bytes_mode="base64")
    except (PydanticSerializationError, ValueError):
        text = repr(value).encode("utf-8", "replace")
    if b"/v1/callbacks/" in text:
        # A callback's secret is another one at every replay, and none of what was asked.
        text = _SECRET.sub(_KEPT, text)
    return blake2b(text, digest_size=8).hexdigest()


def sealed(value: Any) -> str:
    """A hash of a plain JSON value that nobody finds another value for; the order of names does not count."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    return f"sha256:{sha256(_SECRET.sub(_KEPT, text)).hexdigest()}"


def _type_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def dumps(value: Any) -> str:
    """Compact JSON of a plain value of our own."""
    return to_json(value).decode()


def loads(text: str) -> Any:
    """The value of a JSON text."""
    return from_json(text)


def failure(error: BaseException, code: str = "error") -> Failure:
    """An exception in the form that is stored."""
    kind = type(error)
    known = error if isinstance(error, AgentflowError) else None
    return Failure(
        code=code,
        type=kind.__qualname__,
        message=_sound(str(error) if known is None else known.message),
        module=kind.__module__,
        args=None if known is not None else _plain(error.args),
        traceback=_sound("".join(traceback.format_exception(error))[-8_000:]),
        hint="" if known is None else known.hint,
        details=None if known is None or not known.details else from_json(to_json(known.details, fallback=_type_name)),
    )


def _sound(text: str) -> str:
    """Text that JSON can say, of a length that a row and an event can bear."""
    return text[:MESSAGE_LIMIT].encode("utf-8", "replace").decode()


def _plain(args: tuple[Any, ...]) -> list[Any] | None:
    """Exception arguments that JSON gives back unchanged, else None."""
    if sum(len(one) for one in args if isinstance(one, (str, bytes))) > MESSAGE_LIMIT:
        return None
    try:
        same = from_json(to_json(args))
    except (PydanticSerializationError, ValueError):
        return None
    return same if same == list(args) else None


def rebuild(failed: Failure) -> Exception | None:
    """The exception behind a stored failure, if its type is loaded here and its arguments are plain; it equals what was raised."""
    kind = getattr(sys.modules.get(failed.module), failed.type, None)
    if not isinstance(kind, type) or not issubclass(kind, Exception):
        return None
    try:
        if issubclass(kind, AgentflowError):
            return kind(failed.message, hint=failed.hint, **(failed.details or {}))
        error = kind(*failed.args) if failed.args is not None else None
    except Exception:  # noqa: BLE001 - a foreign constructor may raise anything; then the failure is told in our words
        return None
    return error if error is not None and str(error) == failed.message else None


def encode_failure(failed: Failure) -> str:
    """JSON text of a failure."""
    kept = {name: value for name, value in dataclasses.asdict(failed).items() if value not in ("", None)}
    return to_json(kept, fallback=_type_name).decode()


def decode_failure(text: str) -> Failure:
    """The failure of a JSON text."""
    stored: dict[str, Any] = {"code": "error", "type": "Exception", "message": "", **from_json(text)}
    return Failure(**stored)


def _unserializable(value: Any, annotation: Any, what: str) -> UnserializableValue:
    path, found = _offender(value, "", 0)
    if found is None:
        message = f"{what} is {_name(type(value))}, which does not fit its annotation {_name(annotation)}."
    else:
        message = f"{what} cannot be stored: {path or 'the value'} is {_name(type(found))}."
    return UnserializableValue(
        message,
        hint="Return JSON types, pydantic models or dataclasses, and annotate the return type.",
        path=path,
        type=_name(type(value if found is None else found)),
    )


def _offender(value: Any, path: str, depth: int) -> tuple[str, Any]:
    """The first part of `value` that JSON cannot say, with its path."""
    if depth > 50:
        return path, value
    for step, part in _parts(value):
        found = _offender(part, path + step, depth + 1)
        if found[1] is not None:
            return found
    if any(True for _ in _parts(value)):
        return "", None
    try:
        to_json(value)
    except (PydanticSerializationError, ValueError):
        return path, value
    return "", None


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(f".{name}", part) for name, part in cast("Mapping[Any, Any]", value).items()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [(f"[{index}]", part) for index, part in enumerate(cast("list[Any]", value))]
    fields: Any = getattr(cast("Any", type(value)), "model_fields", None)
    if isinstance(fields, dict):
        return [(f".{name}", getattr(value, name)) for name in cast("dict[str, Any]", fields)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(f".{field.name}", getattr(value, field.name)) for field in dataclasses.fields(value)]
    return []


def _name(annotation: Any) -> str:
    return getattr(annotation, "__qualname__", None) or repr(annotation)
