"""Parsers of what people write by hand, and of what was written before a crash: recipes, rules, spaces, journals."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from tests.faults.guided.target import Target, on_disk

from insula.core import journal_lines, recipe
from insula.core.errors import RecipeError, UsageError
from insula.serve.pacs import rules
from insula.serve.training import read as training
from insula.workflows import search_space

_RECIPE = files("insula").joinpath("recipes", "haemorrhage-ct.yaml").read_bytes()
_RULES = b"rules:\n  - {name: a, when: {modality: CT, source: 'A*'}, project: P, model: m, send: [x], objects: [map]}\n"


def _rules(path: Path) -> None:
    found = rules.read_rules(path)
    found.first(rules.SeriesFacts("A", "CT", "HEAD", "x", "y"))
    found.plain("A")


def _override(data: bytes) -> None:
    content = {"train": {"epochs": 3}, "targets": {"main": {"classes": ["a"], "words": {"a": "b"}}}}
    recipe.changed(content, (data.decode("utf-8", "replace"),), "x")


def _of_run(path: Path) -> None:
    state = path.stat()
    training._recipe(path, (state.st_mtime_ns, state.st_size))
    training._recipe.cache_clear()


def _line(data: bytes) -> None:
    found = journal_lines.decoded(data)
    if found is not None:
        again = journal_lines.decoded(journal_lines.encoded(found))
        assert json.dumps(again) == json.dumps(found)  # as text: NaN is not equal to itself


TARGETS = {
    "recipe": Target(on_disk(recipe.load), (_RECIPE,), (RecipeError,), cost=10),
    "override of a recipe": Target(_override, (b"train.epochs=5", b"targets.main.classes=[a, c]"), (RecipeError,)),
    "recipe in a run's folder": Target(on_disk(_of_run), (_RECIPE,), cost=10),
    "rules of the node": Target(on_disk(_rules), (_RULES,), (UsageError,), cost=10),
    "space of a search": Target(
        on_disk(search_space.load),
        (b"train.lr: {low: 1e-5, high: 1e-2, log: true}\nseed: {choices: [1, 2]}\n",),
        (RecipeError,),
        cost=10,
    ),
    "line of a journal": Target(_line, (journal_lines.encoded({"a": [1, "b", None]}),)),
}
