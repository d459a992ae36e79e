from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.cohort.table import load, save, schema_path
from insula.core.errors import CohortError
from insula.core.types import Case, Cohort, Scan

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
FILE = st.from_regex(r"[a-z0-9 ,;\"'é]{1,8}(/[a-z]{1,3}\.dcm)?", fullmatch=True)
FACTS = st.dictionaries(NAME, TEXT, max_size=3)
SCAN = st.builds(
    Scan,
    paths=st.lists(FILE, min_size=1, max_size=3).map(tuple),
    format=st.sampled_from(["dicom", "png"]),
    study_uid=TEXT,
    series_uid=TEXT,
    mask=st.one_of(st.just(""), FILE),
    attributes=FACTS,
)
CASE = st.builds(
    Case,
    key=NAME,
    patient=TEXT,
    scans=st.dictionaries(NAME, SCAN, min_size=1, max_size=2),
    labels=st.dictionaries(NAME, st.lists(NAME, max_size=3).map(tuple), max_size=2),
    attributes=FACTS,
    split=st.sampled_from(["", "train", "val", "test"]),
)
COHORT = st.builds(
    Cohort,
    cases=st.lists(CASE, max_size=4, unique_by=lambda c: c.key).map(tuple),
    root=TEXT,
    split_level=st.sampled_from(["", "patient", "picture"]),
    patient_ids=st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(COHORT, st.sampled_from([".csv", ".parquet"]))
def test_what_is_saved_comes_back_equal(cohort: Cohort, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"c{suffix}"
        save(cohort, path)
        assert load(path) == cohort


def one(path: Path) -> Path:
    case = Case("a", "p", {"ct": Scan(("x.png",), "png")}, {"t": ("c",)})
    save(Cohort((case,), "/data"), path)
    return path


def test_foreign_and_damaged_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="neither"):
        load(tmp_path / "a.txt")
    with pytest.raises(CohortError, match="no cohort"):
        load(tmp_path / "a.csv")
    path = one(tmp_path / "a.csv")
    text = path.read_text()
    path.write_text(text + text.splitlines()[1] + "\n")
    with pytest.raises(CohortError, match="2 rows and its schema promises 1"):
        load(path)
    path.write_text(text.replace("x.png", "../x.png"))
    with pytest.raises(CohortError, match="no case"):
        load(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(CohortError, match="other columns"):
        load(path)
    schema_path(path).unlink()
    with pytest.raises(CohortError, match="no schema"):
        load(path)
    table = one(tmp_path / "b.parquet")
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(CohortError, match="Parquet"):
        load(table)


def test_two_cases_of_one_key_are_not_written(tmp_path: Path) -> None:
    case = Case("a", "p", {}, {})
    with pytest.raises(CohortError, match="share a key"):
        save(Cohort((case, case), "/"), tmp_path / "a.csv")


def test_the_schema_keeps_the_root(tmp_path: Path) -> None:
    content = json.loads(schema_path(one(tmp_path / "a.csv")).read_text())
    assert (content["root"], content["cases"], content["version"]) == ("/data", 1, 1)


def test_first_hour_a_folder_in_place_of_a_table_is_told_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="is a folder") as caught:
        load(tmp_path)
    assert f"insula index {tmp_path} --recipe NAME --out cohort." in str(caught.value)
