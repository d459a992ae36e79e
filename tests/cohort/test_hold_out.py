from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.cohort.made_folders import by_patient

from insula.cli import cohort as verbs
from insula.cohort.hold_out import each_held_out, hold_out, keep_test, parse, values
from insula.cohort.index import index
from insula.cohort.table import save
from insula.core import recipe as recipes
from insula.core.errors import SplitError, UsageError
from insula.core.types import Case, Cohort

STROKE = recipes.load("stroke-ct")


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    made = index(by_patient(tmp_path / "data", {"normal": 10, "stroke": 10}), STROKE)
    sites = ("north", "south", "south", "west")
    return replace(
        made, cases=tuple(replace(c, attributes={"site": sites[int(c.patient[1:]) % 4]}) for c in made.cases)
    )


def test_a_site_becomes_the_test_and_nothing_of_it_is_trained_on(cohort: Cohort) -> None:
    made = hold_out(cohort, STROKE, "site", "north")
    assert {c.attributes["site"] for c in made.of_split("test")} == {"north"}
    assert "north" not in {c.attributes["site"] for s in ("train", "val") for c in made.of_split(s)}
    assert len({c.patient for c in made.of_split("test")}) == 5
    assert len({c.patient for c in made.of_split("val")}) == 2
    assert {c.labels["stroke"][0] for c in made.of_split("val")} == {"normal", "stroke"}
    assert all(c.split for c in made.cases)
    assert made.split_level == "patient"
    assert hold_out(cohort, STROKE, "site", "north") == made


def test_a_patient_of_two_sites_is_tested_whole(cohort: Cohort) -> None:
    first = next(c for c in cohort.cases if c.attributes["site"] == "south")
    cases = tuple(replace(c, attributes={"site": "north"}) if c.key == first.key else c for c in cohort.cases)
    made = hold_out(replace(cohort, cases=cases), STROKE, "site", "north")
    assert {c.split for c in made.cases if c.patient == first.patient} == {"test"}


def test_unlabelled_cases_get_no_split(cohort: Cohort) -> None:
    cases = (replace(cohort.cases[0], labels={}), *cohort.cases[1:])
    assert hold_out(replace(cohort, cases=cases), STROKE, "site", "north").cases[0].split == ""


def test_each_site_in_turn(cohort: Cohort) -> None:
    tested: list[str] = []
    for value, made in each_held_out(cohort, STROKE, "site"):
        assert {c.attributes["site"] for c in made.of_split("test")} == {value}
        tested += sorted({c.patient for c in made.of_split("test")})
    assert sorted(tested) == sorted({c.patient for c in cohort.cases})


def test_attributes_of_the_files_can_be_held_out_too(cohort: Cohort) -> None:
    assert values(cohort, "mode").keys() == {"L"}
    with pytest.raises(SplitError, match="All cases have one mode"):
        next(each_held_out(cohort, STROKE, "mode"))


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("hospital", "north", r"no case has an attribute 'hospital'.*mode, site, size"),
        ("site", "east", r"no case has site 'east'.*south \(10\), north \(5\), west \(5\)"),
        ("mode", "L", "none is left to train on"),
    ],
)
def test_what_cannot_be_held_out(cohort: Cohort, attribute: str, value: str, message: str) -> None:
    with pytest.raises(SplitError, match=f"(?i){message}"):
        hold_out(cohort, STROKE, attribute, value)


def test_without_patient_ids_nothing_is_held_out(cohort: Cohort) -> None:
    with pytest.raises(SplitError, match="not known"):
        hold_out(replace(cohort, patient_ids=False), STROKE, "site", "north")


def test_the_option(cohort: Cohort, tmp_path: Path) -> None:
    save(cohort, tmp_path / "c.csv")
    line = [str(tmp_path / "c.csv"), "--recipe", "stroke-ct", "--out", str(tmp_path / "s.csv"), "--json"]
    done = CliRunner().invoke(verbs.split, [*line, "--hold-out", "site=north"], catch_exceptions=False)
    counts = json.loads(done.output)["classes"]
    assert sum(counts[name]["test"]["patients"] for name in counts) == 5
    with pytest.raises(UsageError, match="--hold-out"):
        CliRunner().invoke(
            verbs.split, [*line, "--hold-out", "site=north", "--level", "picture"], catch_exceptions=False
        )
    with pytest.raises(SplitError, match="site=NAME"):
        parse("north")


def published(patients: int = 40) -> Cohort:
    cases = [
        Case(f"c{i}-{j}", f"p{i}", {}, {"stroke": (("normal", "stroke")[i % 2],)}, split="test" if i < 8 else "train")
        for i in range(patients)
        for j in range(2)
    ]
    return Cohort(tuple(cases), "/data", "patient")


def test_a_published_test_split_stays_and_val_comes_out_of_train() -> None:
    source = published()
    made = keep_test(source, STROKE)
    assert made.of_split("test") == source.of_split("test")
    assert len({c.patient for c in made.of_split("val")}) in (4, 5, 6)
    assert not {c.patient for c in made.of_split("val")} & {c.patient for c in made.of_split("train")}
    assert {c.labels["stroke"][0] for c in made.of_split("val")} == {"normal", "stroke"}
    assert made.split_level == "patient"


def test_groups_are_kept_whole_beside_a_published_test_split() -> None:
    source = published()
    group = [f"c{i}-0" for i in (0, 10, 12, 14, 16, 18)]
    made = keep_test(source, STROKE, "picture", [group])
    split = {c.key: c.split for c in made.cases}
    assert split["c0-0"] == "test"
    assert len({split[key] for key in group[1:]}) == 1
    assert made.split_level == "picture"


def test_no_test_split_and_patients_on_both_sides_are_refused() -> None:
    source = published()
    with pytest.raises(SplitError, match="No case of this cohort is in test yet"):
        keep_test(replace(source, cases=source.of_split("train")), STROKE)
    mixed = replace(source, cases=(*source.cases, replace(source.cases[0], key="again", split="train")))
    with pytest.raises(SplitError, match="1 patients stand in test and in other splits, the first 'p0'"):
        keep_test(mixed, STROKE)
    assert keep_test(mixed, STROKE, "picture").split_level == "picture"
