"""The shapes of the API's bodies as people read them: a table of fields, and an example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Schema = Mapping[str, Any]
_REF: Final = "#/components/schemas/"
_DEEPEST: Final = 6  # of an example, should a shape ever hold itself
_BY_FORMAT: Final = {"date-time": "2026-01-31T08:05:00Z", "date": "2026-01-31", "binary": "(a file)"}


@dataclass(frozen=True)
class Field:
    """A field of a shape. kind: its type in words; of: the name of the shape it holds, if it does."""

    name: str
    kind: str
    of: str
    needed: bool
    said: str


def fields_of(schema: Schema) -> tuple[Field, ...]:
    """The fields of an object in the order in which the API gives them."""
    needed = schema.get("required", ())
    return tuple(
        Field(name, kind_of(one), shape_of(one), name in needed, " ".join([*_rules(one), one.get("description", "")]))
        for name, one in schema.get("properties", {}).items()
    )


def kind_of(schema: Schema) -> str:
    """A type in words: `text`, `list of numbers`, `"reader" or "admin"`."""
    if "$ref" in schema:
        return shape_of(schema)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind_of(one) for one in schema["anyOf"]))
    if "const" in schema:
        return f'"{schema["const"]}"'
    if "enum" in schema:
        return " or ".join(f'"{one}"' for one in schema["enum"])
    kind = schema.get("type", "")
    if kind == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"object of {kind_of(inner)}" if isinstance(inner, Mapping) and inner else "object"
    if kind == "string":
        return {"date-time": "instant", "binary": "file"}.get(schema.get("format", ""), "text")
    return {"integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}.get(
        kind, "anything"
    )


def shape_of(schema: Schema) -> str:
    """The name of the shape that a schema names somewhere, "" for none."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_REF)
    inner = [*schema.get("anyOf", ()), schema.get("items"), schema.get("additionalProperties")]
    return next((found for one in inner if isinstance(one, Mapping) and (found := shape_of(one))), "")


def example_of(schema: Schema, shapes: Mapping[str, Schema], depth: int = 0) -> Any:
    """A value of a shape, as it may stand in a request or answer."""
    if "$ref" in schema:
        return example_of(shapes[shape_of(schema)], shapes, depth + 1) if depth < _DEEPEST else {}
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("default") is not None and schema["default"] != {}:
        return schema["default"]
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return example_of(next((one for one in schema["anyOf"] if one.get("type") != "null"), {}), shapes, depth)
    return _of_type(schema, shapes, depth)


def _of_type(schema: Schema, shapes: Mapping[str, Schema], depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "")
    if kind == "array":
        count = max(1, schema.get("minItems", 1))
        return [example_of(schema.get("items", {}), shapes, depth + 1)] * count
    if kind == "object":
        inner = schema.get("additionalProperties")
        if "properties" in schema:
            return {name: example_of(one, shapes, depth + 1) for name, one in schema["properties"].items()}
        return {"name": example_of(inner, shapes, depth + 1)} if isinstance(inner, Mapping) and inner else {}
    if kind == "string":
        text = _BY_FORMAT.get(schema.get("format", ""), "text")
        return text + "…" * (schema.get("minLength", 0) - len(text))
    if kind == "integer":
        return int(schema.get("minimum", 1))
    return {"number": 0.5, "boolean": False}.get(kind)


def _rules(schema: Schema) -> list[str]:
    """What a value has to keep to, each rule as a sentence."""
    inner = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)
    low, high = inner.get("minimum", inner.get("exclusiveMinimum")), inner.get("maximum", inner.get("exclusiveMaximum"))
    said = []
    if low is not None and high is not None:
        said.append(f"{low:g} to {high:g}.")
    elif low is not None:
        said.append(f"{low:g} or more.")
    if "maxLength" in inner:
        least = f"{inner['minLength']} to " if inner.get("minLength", 0) > 1 else "At most "
        said.append(f"{least}{inner['maxLength']} characters.")
    if schema.get("default") not in (None, {}, [], ""):
        default = schema["default"]
        said.append(f"Without it: {str(default).lower() if isinstance(default, bool) else default}.")
    return said
