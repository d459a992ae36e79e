"""docs/reference/python.md: what `import insula` and `insula.client` offer, out of signatures and docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any

from reference_words import table

HEAD = """# The Python API

Names that a program may rely on. Each does what the verb of the same name does, by the same code: a walk through them
stands in [python.md](../python.md), the service's client in [client.md](../client.md). Everything else in the package
may change from one version to the next.
"""
MODULES = {
    "insula": "`import insula as ins` imports nothing heavy; each name is loaded when it is first used.",
    "insula.core.types": "What goes in and comes out: plain frozen records.",
    "insula.client": "Needs `pip install 'insula[client]'`.",
}
_WIDEST = 110
_PATHS = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Za-z_]+\b)")


def names(module: ModuleType) -> list[str]:
    """The public names of a module in the order in which it lists them, or in which they stand there."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return [name for name in listed if not name.startswith("__")]
    own = [(name, one) for name, one in vars(module).items() if not name.startswith("_") and inspect.isclass(one)]
    return [name for name, one in own if one.__module__ == module.__name__]


def page() -> str:
    """The page."""
    return "\n".join([HEAD, *(_module(name, said) for name, said in MODULES.items())])


def documented() -> Iterator[tuple[str, Any]]:
    """Every name with what it is."""
    for module in map(import_module, MODULES):
        for name in names(module):
            yield f"{module.__name__}.{name}", getattr(module, name)


def _module(module: str, said: str) -> str:
    found = import_module(module)
    ours = [(name, getattr(found, name)) for name in names(found)]
    lent = [name for name, one in ours if getattr(one, "__module__", "") in MODULES.keys() - {module}]
    also = f"Also here, told below: {', '.join(f'`{name}`' for name in lent)}.\n" if lent else ""
    parts = [_written(f"{module}.{name}", one) for name, one in ours if name not in lent]
    return "\n".join([f"## {module}\n\n{said}\n", *filter(None, (also,)), *parts])


def _written(name: str, one: Any) -> str:
    if inspect.isclass(one):
        return _of_class(name, one)
    if callable(one):
        return f"### {name}\n\n{_signature(name.rpartition('.')[2], one)}\n\n{_doc(one)}\n"
    return f"### {name}\n\n`{one!r}`\n"


def _of_class(name: str, one: type) -> str:
    parts = [f"### {name}", _doc(one)]
    if dataclasses.is_dataclass(one):
        rows = [(f"`{f.name}`", f"`{_type(f.type)}`") for f in dataclasses.fields(one)]
        parts.append(table(("field", "type"), rows))
    elif not issubclass(one, Exception):
        parts.insert(1, _signature(one.__name__, one))
    fields = {f.name for f in dataclasses.fields(one)} if dataclasses.is_dataclass(one) else set()
    for method, found in vars(one).items():
        if method.startswith("_") or method in fields or not (doc := _doc(getattr(one, method, None))):
            continue
        if isinstance(found, property | cached_property):
            parts.append(f"`.{method}`: {doc}")
        elif isinstance(found, FunctionType | classmethod | staticmethod):
            parts.append(f"{_signature('.' + method, getattr(one, method))}\n\n{doc}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _signature(name: str, one: Any) -> str:
    """How something is called, as a block of code: on one line where it fits."""
    try:
        found = inspect.signature(one)
    except (TypeError, ValueError):
        return ""
    taken, starred = [], False
    for parameter in found.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            taken.append("*")
        starred |= parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        taken.append(_parameter(parameter))
    gives = "" if found.return_annotation in (found.empty, None, "None") else f" -> {_type(found.return_annotation)}"
    text = f"{name}({', '.join(taken)}){gives}"
    if len(text) < _WIDEST:
        return f"    {text}"
    return "\n".join([f"    {name}(", *(f"        {each}," for each in taken), f"    ){gives}"])


def _parameter(one: inspect.Parameter) -> str:
    stars = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
    text = f"{stars}{one.name}" + ("" if one.annotation is one.empty else f": {_type(one.annotation)}")
    if one.default is one.empty:
        return text
    shown = f"{one.default.__module__}.{one.default.__name__}" if callable(one.default) else repr(one.default)
    return f"{text} = {shown}"


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return _PATHS.sub("", text)


def _doc(one: Any) -> str:
    return "\n\n".join(_plain(" ".join(part.split())) for part in (inspect.getdoc(one) or "").split("\n\n"))


def _plain(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*")
