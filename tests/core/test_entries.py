from __future__ import annotations

import re
from importlib import import_module

import pytest
from tests.house.walk import ROOT

from insula.core.entries import TABLES, entries
from insula.core.recipe_names import names
from insula.core.registry import Registry


def test_every_registry_of_the_source_is_looked_into() -> None:
    source = ROOT / "src" / "insula"
    found = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if re.search(r"^\w+(: \w+)? = Registry\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert found == set(TABLES)


@pytest.mark.parametrize("file", TABLES)
def test_the_names_are_those_of_the_registry_itself(file: str) -> None:
    if file.startswith("model/"):
        pytest.importorskip("torch")
    module = import_module(f"insula.{file.removesuffix('.py').replace('/', '.')}")
    tables = [one for one in vars(module).values() if isinstance(one, Registry)]
    assert len(tables) == 1
    assert entries()[tables[0].kind] == tables[0].names()


def test_the_recipes_are_those_of_the_folder() -> None:
    folder = ROOT / "src" / "insula" / "recipes"
    assert names() == tuple(sorted(path.stem for path in folder.glob("*.yaml")))
