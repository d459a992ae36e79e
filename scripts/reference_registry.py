"""docs/reference/registry.md: every entry of every table by which Insula is extended, out of the tables themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from importlib import import_module

from reference_words import SOURCE, cell, first_sentence, module_sentence, shortened, table

from insula.core.registry import Registry

HEAD = """# Every entry of every table

Each kind of thing that can be added stands in one small table, where a name leads to a function
([adding.md](../adding.md)). What is listed here comes with Insula; packages of others add entries by the entry-point
group that is named, and `insula info --json` lists what is known on a machine.
"""
TITLES: Mapping[str, tuple[str, str]] = {
    "reader": ("Readers", "Which file is read by what; the kind is found by content. [reading.md](../reading.md)"),
    "prep": ("Preparation steps", "`inputs.NAME.prep` of a recipe. [preparation.md](../preparation.md)"),
    "encoder": (
        "Encoders",
        "`model.encoder`; every backbone of timm is taken by its name too. [models.md](../models.md)",
    ),
    "form": ("Forms of export", "`--format` of `insula export`. [export.md](../export.md)"),
    "explainer": ("Explainers", "`--method` of `insula explain`. [explanation.md](../explanation.md)"),
    "audit": ("Parts of an audit", "`--only` of `insula audit`. [audit.md](../audit.md)"),
    "corruption": ("Corruptions", "`audit.robustness.corruptions` of a recipe. [audit.md](../audit.md)"),
    "writer": ("Writers", "How `insula predict` writes an answer."),
}
_BY_MODULE = frozenset(  # whose module says better what they are than the function does
    {"grad_cam_pp", "integrated_gradients", "guided_backprop", "attention_rollout", "occlusion", "simple_cnn"}
)
_TABLE = re.compile(r"^(\w+)(?:: Final)? = Registry\(", re.MULTILINE)


def registries() -> Iterator[tuple[str, Registry]]:
    """Every table of the package with the module that it stands in, found in the sources."""
    for path in sorted((SOURCE / "insula").rglob("*.py")):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for name in _TABLE.findall(path.read_text(encoding="utf-8")):
            if module == "insula.model.encoders":  # the one table whose module needs PyTorch
                yield module, Registry("encoder", _entries_of(path.read_text(encoding="utf-8")))
                continue
            yield module, getattr(import_module(module), name)


def page() -> str:
    """The page."""
    return "\n".join([HEAD, *(_written(module, one) for module, one in registries()), _layouts(), _parameters()])


def sentences(one: Registry) -> dict[str, str]:
    """Entry → the first sentence of what it says of itself."""
    return {name: _said(one, name) for name in sorted(one._entries)}


def _written(module: str, one: Registry) -> str:
    title, where = TITLES[one.kind]
    rows = [(f"`{name}`", said) for name, said in sentences(one).items()]
    group = f"Table in `{module}`; entry-point group `insula.{one.kind}`."
    return f"## {title}\n\n{where}\n\n{group}\n\n{table(('name', 'what it is'), rows)}\n"


def _said(one: Registry, name: str) -> str:
    target = one._entries[name]
    module = target.partition(":")[0]
    if one.kind == "audit" or name in _BY_MODULE:
        return module_sentence(module)
    if one.kind == "corruption":
        found = one.get(name)
        return f"{getattr(found, 'title')}, in {getattr(found, 'unit')}."  # noqa: B009 - an entry need not be one
    return first_sentence(target) or module_sentence(target.partition(":")[0])


def _entries_of(text: str) -> dict[str, str]:
    return dict(re.findall(r'^\s+"(\w+)": "([\w.:]+)",$', text, re.MULTILINE))


def _layouts() -> str:
    from insula.cohort.layouts.choose import LAYOUTS

    rows = [
        (f"`{name}`", shortened(inspect.getdoc(inspect.getmodule(lay)) or "")) for name, (_, lay) in LAYOUTS.items()
    ]
    head = "`--layout` of `insula index`; the first that fits is taken. [cohorts.md](../cohorts.md)"
    made = table(("name", "what it is"), rows)
    return f"## Layouts of folders\n\n{head}\n\nTable in `insula.cohort.layouts.choose`.\n\n{made}\n"


def _parameters() -> str:
    from reference_words import default, kind

    from insula.prep.check import parameters
    from insula.prep.steps import STEPS

    rows = []
    for name in STEPS.names():
        schema = parameters(name).model_json_schema()
        for key, held in schema.get("properties", {}).items():
            rule = held.get("description") or kind(held)
            rows.append((f"`{name}`", f"`{key}`", default(held, key in schema.get("required", ())), cell(rule)))
    head = "A bare value behind a step's name is its parameter `value`, or its only one."
    return (
        f"## Parameters of the preparation steps\n\n{head}\n\n{table(('step', 'parameter', 'default', 'rule'), rows)}\n"
    )
