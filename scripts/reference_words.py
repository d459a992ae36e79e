"""What the pages of docs/reference are made of: key by key out of docstrings and schemas, tables in Markdown."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
NO_DEFAULT = "needed"
_REF = "#/$defs/"


def said_of(section: type[BaseModel]) -> dict[str, str]:
    """Key → what the docstring of a section says of it, where it stands as `key, key: …` at the start of a sentence."""
    keys = "|".join(re.escape(key) for key in keys_of(section))
    text = " ".join((section.__doc__ or "").split())
    starts = list(re.finditer(rf"(?:^|(?<=[.;] ))((?:{keys})(?:, (?:{keys}))*): ", text))
    found: dict[str, str] = {}
    for place, start in enumerate(starts):
        end = starts[place + 1].start() if place + 1 < len(starts) else len(text)
        for key in start[1].split(", "):
            assert key not in found, f"{section.__name__} says twice what '{key}' is"
            found[key] = sentence(text[start.end() : end])
    return found


def keys_of(section: type[BaseModel]) -> dict[str, str]:
    """What people write for a field (its alias and its name) → the field's name."""
    fields = section.model_fields.items()
    return {name: name for name, _ in fields} | {f.alias: name for name, f in fields if f.alias}


def introduction(section: type[BaseModel]) -> str:
    """The docstring of a section up to the first key that it explains."""
    text = " ".join((section.__doc__ or "").split())
    keys = "|".join(re.escape(key) for key in keys_of(section))
    first = re.search(rf"(?:^|(?<=[.;] ))(?:{keys})(?:, (?:{keys}))*: ", text)
    return text[: first.start()].strip() if first else text


def sentence(text: str) -> str:
    """A piece of a docstring as a sentence of its own."""
    plain = text.strip().rstrip(";,").strip()
    return plain[:1].upper() + plain[1:] + ("" if plain.endswith((".", ":")) else ".")


def kind(schema: Mapping[str, Any]) -> str:
    """A type in words, with its range: `whole number, 1 or more`."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind(one) for one in schema["anyOf"]))
    if "$ref" in schema or "allOf" in schema:
        return "section"
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("writeOnly") or schema.get("format") == "password":
        return "secret"
    return ", ".join(filter(None, (_plain(schema), _range(schema))))


def _plain(schema: Mapping[str, Any]) -> str:
    of = schema.get("type", "")
    if of == "array":
        return f"list of {_many(kind(schema.get('items', {})))}"
    if of == "object":
        inner = _held(schema)
        return f"name: {kind(inner)}" if isinstance(inner, Mapping) and inner else "mapping"
    if of == "string":
        return "path" if schema.get("format") == "path" else "text"
    return {"integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}.get(
        of, "anything"
    )


def _many(words: str) -> str:
    first, comma, rest = words.partition(",")
    several = {"number": "numbers", "whole number": "whole numbers", "text": "texts", "section": "sections"}
    return several.get(first, first) + comma + rest


def _range(schema: Mapping[str, Any]) -> str:
    low, high = _number(schema, "minimum"), _number(schema, "maximum")
    above, below = _number(schema, "exclusiveMinimum"), _number(schema, "exclusiveMaximum")
    if low and high:
        return f"{low} to {high}"
    said = [
        f"above {above}" if above else f"{low} or more" if low else "",
        f"below {below}" if below else f"{high} at most" if high else "",
    ]
    if schema.get("minItems"):
        said.append(f"{schema['minItems']} or more of them")
    return " and ".join(filter(None, said))


def _number(schema: Mapping[str, Any], name: str) -> str:
    """A bound as people write it, "" for none."""
    value = schema.get(name)
    if value is None:
        return ""
    return f"{int(value):,}".replace(",", "\u202f") if value == int(value) and abs(value) >= 10_000 else f"{value:g}"


def default(schema: Mapping[str, Any], needed: bool) -> str:
    """What holds where a key is left out, as YAML and JSON write it; a dash for a section, whose keys say it."""
    if needed:
        return NO_DEFAULT
    value = schema.get("default")
    if "$ref" in schema or "allOf" in schema or isinstance(value, dict):
        return "–"
    if value == "" or ("default" not in schema and schema.get("type") in ("object", "array")):
        return "–"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def sections_of(schema: Mapping[str, Any], one: Mapping[str, Any]) -> tuple[str, str]:
    """The name of the section that a property holds, and how its place is written behind the key; "" for none."""
    if "$ref" in one:
        return str(one["$ref"]).removeprefix(_REF), ""
    for inner in one.get("anyOf", ()):
        if found := sections_of(schema, inner)[0]:
            return found, sections_of(schema, inner)[1]
    if one.get("type") == "array" and (found := sections_of(schema, one.get("items", {}))[0]):
        return found, "[]"
    more = _held(one)
    if isinstance(more, Mapping) and (found := sections_of(schema, more)[0]):
        return found, ".NAME"
    return "", ""


def _held(schema: Mapping[str, Any]) -> Any:
    """What a mapping with names of one's own holds."""
    patterned = list(schema.get("patternProperties", {}).values())
    return patterned[0] if patterned else schema.get("additionalProperties")


def cell(text: str) -> str:
    """Text as it may stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(cell(one) for one in row)} |" for row in rows)])


@cache
def _parsed(module: str) -> ast.Module:
    place = SOURCE / Path(*module.split("."))
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def first_sentence(target: str) -> str:
    """What the first sentence of the docstring behind `module:function` says, without importing it; "" for none."""
    module, _, name = target.partition(":")
    for node in _parsed(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return shortened(ast.get_docstring(node) or "")
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return first_sentence(f"{node.module}:{alias.name}")
    return ""


def module_sentence(module: str) -> str:
    """What the first sentence of a module's docstring says."""
    return shortened(ast.get_docstring(_parsed(module)) or "")


def shortened(text: str) -> str:
    """The first sentence of a docstring."""
    return re.split(r"(?<=[.])\s+(?=[A-Z`])", " ".join(text.partition("\n\n")[0].split()), maxsplit=1)[0]
