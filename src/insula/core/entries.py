"""Which entries the registries have, read from the tables' source: importing them takes seconds, and PyTorch."""

from __future__ import annotations

import ast
from importlib.metadata import entry_points
from importlib.resources import files
from typing import Final

TABLES: Final = (  # where a registry stands
    "scans/read.py",
    "prep/steps.py",
    "model/encoders.py",
    "infer/writers.py",
    "explain/methods.py",
    "audit/run.py",
    "audit/corruptions.py",
    "export/forms.py",
)


def entries() -> dict[str, tuple[str, ...]]:
    """Kind → the names that it has, sorted, those of installed add-ons among them; no registry is imported."""
    every = entry_points()  # once: looking through all installed packages takes longer than all that follows
    found = {}
    for file in TABLES:
        kind, ours = _table(file)
        found[kind] = tuple(sorted({*ours, *(one.name for one in every.select(group=f"insula.{kind}"))}))
    return found


def _table(file: str) -> tuple[str, tuple[str, ...]]:
    """Kind and names of the one `NAME = Registry(kind, table)` of a file; table: written there, or a constant."""
    named: dict[str, ast.expr] = {}
    for node in ast.parse(files("insula").joinpath(file).read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                named[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                named[name] = value
    for value in named.values():
        match value:
            case ast.Call(func=ast.Name(id="Registry"), args=[kind, table]):
                table = named[table.id] if isinstance(table, ast.Name) else table
                return str(ast.literal_eval(kind)), tuple(ast.literal_eval(table))
    raise ValueError(f"'{file}' holds no table of a registry")
