from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from insula.core import parts
from insula.core.errors import MissingPartError
from insula.core.parts import PARTS

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {name: lines for name, lines in PROJECT["optional-dependencies"].items() if name not in ("dev", "bench")}
NOT_DELIVERED = {"deploy", "docs", "notebooks", "release"}


def named(lines: list[str]) -> set[str]:
    return {canonical(re.split(r"[\[<>=;! ]", line)[0]) for line in lines}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    there = parts._there
    monkeypatch.setattr(parts, "_there", lambda name: name not in names and there(name))


def test_each_extra_is_a_part_and_the_other_way_round() -> None:
    assert PARTS.keys() == EXTRAS.keys() - NOT_DELIVERED


def test_each_part_is_told_of_on_the_page_about_installing() -> None:
    page = (Path(__file__).parents[2] / "docs" / "install.md").read_text(encoding="utf-8")
    rows = "\n".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)`", rows)) == set(PARTS)


def test_what_a_part_needs_is_installed_by_its_extra() -> None:
    of_module = metadata.packages_distributions()
    known = 0
    for name, part in PARTS.items():
        asked = named(EXTRAS[name])
        for module in part.modules:
            makers = {canonical(maker) for maker in of_module.get(module.partition(".")[0], ())}
            assert not makers or makers & asked, f"{module} of the part {name} comes by {makers}, not by {asked}"
            known += bool(makers)
    assert known > 25


def test_a_missing_part_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    parts.need("evaluate", "Evaluating")  # all there: silent
    without(monkeypatch, "pandas", "sklearn")
    assert parts.missing("evaluate") == ("pandas", "sklearn")
    with pytest.raises(MissingPartError) as met:
        parts.need("evaluate", "Evaluating")
    assert str(met.value) == (
        "Evaluating needs pandas, sklearn, which are not installed; run: pip install 'insula[evaluate]'."
    )


def test_a_parquet_table_without_pyarrow_has_two_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "pyarrow")
    parts.need_for_table(Path("cohort.csv"))
    with pytest.raises(MissingPartError, match=r"'cohort.Parquet' needs pyarrow.*insula\[evaluate\].*'cohort.csv'"):
        parts.need_for_table(Path("a/cohort.Parquet"))


def test_a_module_is_found_in_its_part_and_a_strange_one_in_none() -> None:
    assert parts.of_module("pandas") == "evaluate"
    assert parts.of_module("opentelemetry.sdk.trace") == "traces"
    assert parts.of_module("lightning.pytorch") == "train"
    assert parts.of_module("insula.no_such") == ""
    assert not parts._there("no_such_package.inner")
