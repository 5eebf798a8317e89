"""The OpenAPI document, from the route table and its models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from starlette.responses import Response

from agentflow.serde import dumps
from agentflow.server.calls import Call, Operation
from agentflow.server.models import Document, Problem
from agentflow.server.needs import ANY_CALLER
from agentflow.server.requests import Nothing

_REF = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"\{(\w+)\}")

_Models = list[tuple[type[BaseModel], JsonSchemaMode]]


def described(operations: Sequence[Operation]) -> Operation:
    """The operation that serves the document of `operations` and of itself."""

    async def get_openapi(call: Call[Nothing, Nothing]) -> Response:
        """This document."""
        document = openapi((*operations, itself), str(call.request.scope.get("root_path", "")), secured=bool(call.service.keys))
        return Response(dumps(document), media_type="application/json")

    itself = Operation(
        method="GET", path="/v1/openapi.json", handler=get_openapi, needs=ANY_CALLER, summary="Read this document", answer=Document
    )
    return itself


def openapi(operations: Sequence[Operation], root: str = "", *, secured: bool = True) -> dict[str, Any]:
    """The document. `root` is the path that the app is mounted at; `secured` whether there is an API key."""
    _, schemas = models_json_schema(_models(operations), ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, secured)
    schemes = {"key": {"type": "http", "scheme": "bearer"}} if secured else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": "agentflow", "version": "1", "description": "Durable runs, their events, and what they wait for."},
        "servers": [{"url": root or "/"}],
        "paths": paths,
        "components": {"schemas": schemas["$defs"], **({"securitySchemes": schemes} if schemes else {})},
    }


def _models(operations: Sequence[Operation]) -> _Models:
    models: _Models = [(Problem, "serialization")]
    for one in operations:
        if one.body is not Nothing:
            models.append((one.body, "validation"))
        for model in (one.answer, one.later):
            if model is not None:
                models.append((model, "serialization"))
    return list(dict.fromkeys(models))


def _described(operation: Operation, secured: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": _description(operation, secured),
        "parameters": _parameters(operation),
        "responses": _responses(operation),
    }
    if operation.body is not Nothing:
        required = any(field.is_required() for field in operation.body.model_fields.values())
        told["requestBody"] = {"required": required, "content": {"application/json": {"schema": _ref(operation.body)}}}
    if operation.takes is not None:
        told["requestBody"] = {"required": True, "content": {operation.takes: {}}}
    if secured and not operation.needs.open:
        told["security"] = [{"key": []}]
    return told


def _description(operation: Operation, secured: bool) -> str:
    text = (operation.handler.__doc__ or "").strip()
    return f"{text}\n\n{operation.needs.told}".strip() if secured else text


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    path = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in _PARAMETER.findall(operation.path)]
    header = [{"name": name, "in": "header", "required": False, "schema": {"type": "string"}} for name in operation.headers]
    schema = operation.query.model_json_schema(ref_template=_REF)
    query = [
        {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": _inlined(field, schema.get("$defs", {}))}
        for name, field in schema.get("properties", {}).items()
    ]
    return [*path, *query, *header]


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """A schema with what it refers to in its place: queries have no component of their own."""
    if isinstance(schema, list):
        return [_inlined(one, definitions) for one in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    known = cast("dict[str, Any]", schema)
    if "$ref" in known:
        return _inlined(definitions[known["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(value, definitions) for name, value in known.items()}


def _responses(operation: Operation) -> dict[str, Any]:
    answers = {str(status): _answer(operation, status) for status in operation.statuses}
    guarded = () if operation.needs.open else (401, 403)
    shared = (400, 413, 415, 422) if operation.method == "POST" else (400, 422)
    every = sorted({*guarded, *shared, *operation.problems, 500})
    for status in every:
        answers[str(status)] = _content(HTTPStatus(status).phrase, "application/json", _ref(Problem))
    return answers


def _answer(operation: Operation, status: int) -> dict[str, Any]:
    phrase = HTTPStatus(status).phrase
    if status in (204, 304):
        return {"description": "Nothing follows" if status == 204 else phrase}
    if operation.answer is None:
        # A stream of frames: no schema says what is in it.
        return {"description": phrase, "content": {operation.media: {}}}
    model = operation.later if status == 202 and operation.later is not None else operation.answer
    return _content(phrase, operation.media, _ref(model))


def _content(phrase: str, media: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": phrase, "content": {media: {"schema": schema}}}


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REF.format(model=model.__name__)}
