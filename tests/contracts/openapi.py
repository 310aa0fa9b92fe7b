"""A provider's published OpenAPI document as a judge of requests: what it would reject is told, field by field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

import jsonschema
import msgspec
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7, DRAFT202012

_DOCUMENT = "urn:contract"
Schema = dict[str, Any]


class OpenApi:
    """Operations found by method and path; bodies and queries judged against their schemas."""

    def __init__(self, file: Path) -> None:
        self.document: Schema = msgspec.json.decode(file.read_bytes())
        new = str(self.document["openapi"]).startswith("3.1")
        specification = DRAFT202012 if new else DRAFT7
        self._kind: Any = jsonschema.Draft202012Validator if new else jsonschema.Draft7Validator
        make: Any = Resource
        resource = make(contents=self.document, specification=specification)
        empty: Any = Registry
        self._registry: Any = empty().with_resource(_DOCUMENT, resource)
        # Fixed paths before those with parameters: /events/summary is not the event called summary.
        paths = sorted(self.document["paths"].items(), key=lambda item: item[0].count("{"))
        self._paths: list[tuple[re.Pattern[str], str, Schema]] = [
            (re.compile(re.sub(r"{[^}]+}", "[^/]+", path) + "$"), path, operations)
            for path, operations in paths
        ]

    def find(self, method: str, path: str) -> tuple[str, Schema] | None:
        """The template and the operation that a request means."""
        for pattern, template, operations in self._paths:
            if pattern.match(path) and method.lower() in operations:
                return template, operations[method.lower()]
        return None

    def judge_form(self, method: str, path: str, query: str, body: str) -> list[str]:
        """What is wrong with a request whose body is a form of nested fields, as Stripe's are."""
        found = self.find(method, path)
        if found is None:
            return [f"no such operation: {method} {path}"]
        _, operation = found
        wrong = list(self._wrong_parameters(operation, _unflatten(query)))
        schema = _body_schema(operation)
        if schema is None:
            return wrong + (["a body where none belongs"] if body else [])
        return wrong + list(self._wrong(self._coerced(_unflatten(body), schema), schema))

    def read_form(self, method: str, path: str, text: str) -> dict[str, Any]:
        """A form as the provider understands it: nested, and numbers as numbers."""
        found = self.find(method, path)
        schema = _body_schema(found[1]) if found else None
        fields = _unflatten(text)
        return fields if schema is None else self._coerced(fields, schema)

    def judge_json(self, method: str, path: str, query: str, body: bytes) -> list[str]:
        """What is wrong with a request whose body is JSON."""
        found = self.find(method, path)
        if found is None:
            return [f"no such operation: {method} {path}"]
        _, operation = found
        wrong = list(self._wrong_parameters(operation, _unflatten(query)))
        wanted = self._resolved(operation.get("requestBody") or {})
        if not body:
            return wrong + (["a body is required"] if wanted.get("required") else [])
        schema = _body_schema({"requestBody": wanted})
        if schema is None:
            return [*wrong, "a body where none belongs"]
        return wrong + list(self._wrong(msgspec.json.decode(body), schema))

    def _wrong_parameters(self, operation: Schema, given: dict[str, Any]) -> Iterator[str]:
        known = {
            parameter["name"].removesuffix("[]"): parameter
            for parameter in map(self._resolved, operation.get("parameters", []))
            if parameter["in"] == "query"
        }
        for name in given.keys() - known.keys():
            yield f"?{name}: no such parameter"
        for name, parameter in known.items():
            if name in given:
                schema = parameter["schema"]
                for problem in self._wrong(self._coerced(given[name], schema), schema):
                    yield f"?{name} {problem}"
            elif parameter.get("required"):
                yield f"?{name}: required"

    def _wrong(self, value: Any, schema: Schema) -> Iterator[str]:
        for error in self._validator(msgspec.json.encode(schema)).iter_errors(value):
            place = "/".join(str(part) for part in error.absolute_path)
            yield f"{place}: {error.message[:200]}"

    @cache  # noqa: B019 - a document lives as long as the tests
    def _validator(self, schema: bytes) -> Any:
        absolute = schema.replace(b'"#/', f'"{_DOCUMENT}#/'.encode())
        return self._kind(msgspec.json.decode(absolute), registry=self._registry)

    def _resolved(self, part: Schema) -> Schema:
        while "$ref" in part:
            target: Any = self.document
            for name in part["$ref"].removeprefix("#/").split("/"):
                target = target[name.replace("~1", "/")]
            part = cast("Schema", target)
        return part

    def _coerced(self, value: Any, schema: Schema) -> Any:
        """A form has only text: read it as the type that the schema wants, where it can be."""
        schema = self._resolved(schema)
        for part in schema.get("allOf", []):
            value = self._coerced(value, part)
        for part in schema.get("anyOf", []):
            tried = self._coerced(value, part)
            if not list(self._wrong(tried, part)):
                return tried
        if isinstance(value, str):
            return _typed(value, schema.get("type"))
        if isinstance(value, dict):
            return self._coerced_fields(cast("dict[str, Any]", value), schema)
        if isinstance(value, list) and "items" in schema:
            return [self._coerced(item, schema["items"]) for item in cast("list[Any]", value)]
        return cast("Any", value)

    def _coerced_fields(self, value: dict[str, Any], schema: Schema) -> dict[str, Any]:
        properties: Schema = schema.get("properties", {})
        others: Any = schema.get("additionalProperties")
        rest = cast("Schema", others) if isinstance(others, dict) else {}
        return {
            name: self._coerced(item, properties.get(name, rest)) for name, item in value.items()
        }


@cache
def published(file: Path) -> OpenApi:
    """The document of a file, read once."""
    return OpenApi(file)


def _body_schema(operation: Schema) -> Schema | None:
    kinds: list[Schema] = list(operation.get("requestBody", {}).get("content", {}).values())
    return kinds[0]["schema"] if kinds else None


def _typed(text: str, kind: str | None) -> Any:
    match kind:
        case "integer" if re.fullmatch(r"-?\d+", text):
            return int(text)
        case "number" if re.fullmatch(r"-?\d+(\.\d+)?", text):
            return float(text)
        case "boolean" if text in {"true", "false"}:
            return text == "true"
        case _:
            return text


def _unflatten(form: str) -> dict[str, Any]:
    """`a[b][0]=c` -> `{"a": {"b": ["c"]}}`."""
    root: dict[str, Any] = {}
    for name, text in parse_qsl(form, keep_blank_values=True, strict_parsing=bool(form)):
        first, *rest = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name)
        keys = [first, *rest]
        here = root
        for key in keys[:-1]:
            here = here.setdefault(key, {})
        assert keys[-1] not in here, f"{name} stands twice"
        here[keys[-1]] = text
    return {name: _with_lists(item) for name, item in root.items()}


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    fields = {name: _with_lists(item) for name, item in cast("dict[str, Any]", value).items()}
    if fields and all(re.fullmatch(r"\d*", name) for name in fields):
        return list(fields.values())
    return fields
