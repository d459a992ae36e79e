from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from insula.cli.cohort import index
from insula.cli.join import join
from insula.cohort.found import Aside
from insula.cohort.phantom.make import make
from insula.cohort.phantom.order import Options
from insula.cohort.table import load, load_notes, save, save_notes
from insula.core.errors import UsageError
from insula.core.types import Case, Cohort, Scan

RECIPE = """
name: both
question: Is the tumour malignant?
inputs:
  ct: {modality: CT, prep: [{resize: 64}]}
  mri: {modality: MR, prep: [{percentile: [1, 99]}, {resize: 64}]}
targets:
  tumour: {kind: multiclass, classes: [healthy, benign, malignant], primary: malignant}
model: {encoder: simple_cnn}
"""


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    """Two tables of one role `scan` with two patients each, one of them in both."""
    places = []
    for name, patients in {"a": ("p", "q"), "b": ("q", "r")}.items():
        cases = tuple(Case(p, p, {"scan": Scan((f"{p}.nii",), "nifti")}, {"t": ("x",)}) for p in patients)
        places.append(tmp_path / f"{name}.csv")
        save(Cohort(cases, str(tmp_path / name)), places[-1])
        save_notes(places[-1], "folders", "it has folders", [Aside("odd.txt", "no scan")])
    return places[0], places[1]


def test_phantoms_are_indexed_by_role_and_joined(tmp_path: Path) -> None:
    run = CliRunner().invoke
    folder = make("brain-tumour", tmp_path / "ph", 6, 1, 64, 8, options=Options(modality="both"))
    recipe = tmp_path / "both.yaml"
    recipe.write_text(RECIPE)
    said = run(index, [str(folder), "--recipe", str(recipe), "--out", str(tmp_path / "x.parquet")])
    assert isinstance(said.exception, UsageError)
    assert "ct, mri" in str(said.exception)
    for role in ("ct", "mri"):
        out = str(tmp_path / f"{role}.parquet")
        made = run(index, [str(folder), "--recipe", str(recipe), "--role", role, "--out", out], catch_exceptions=False)
        assert made.exit_code == 0
        assert "6 cases, 6 patients" in made.output
    clinical = tmp_path / "clinical.csv"
    clinical.write_text("MRN,nihss\nPH-0000,4\nPH-9999,7\n")
    joined = tmp_path / "joined.parquet"
    given = [str(tmp_path / f"{role}.parquet") for role in ("ct", "mri")]
    made = run(
        join, [*given, "--out", str(joined), "--table", str(clinical), "--id", "MRN", "--json"], catch_exceptions=False
    )
    data = json.loads(made.output)
    assert (data["cases"], data["complete"], data["roles"]) == (6, 6, {"ct": 6, "mri": 6})
    assert data["table"] == {"columns": ["nihss"], "cases_without_row": 5, "rows_without_case": 1}
    first = load(joined).cases[0]
    assert list(first.scans) == ["ct", "mri"]
    assert first.attributes["nihss"] == "4"


def test_roles_are_renamed_and_notes_move_along(tmp_path: Path, tables: tuple[Path, Path]) -> None:
    out = tmp_path / "j.csv"
    arguments = [*map(str, tables), "--out", str(out), "--role-of", "a=ct", "--role-of", "b.csv=mri"]
    made = CliRunner().invoke(join, arguments, catch_exceptions=False)
    assert "1 patients have every role, 2 lack one" in made.output
    assert {c.patient: list(c.scans) for c in load(out).cases} == {"p": ["ct"], "q": ["ct", "mri"], "r": ["mri"]}
    assert [item.path for item in load_notes(out).aside] == ["a/odd.txt", "b/odd.txt"]


@pytest.mark.parametrize("rename", ["a", "c=ct", "a=CT", "a=ct.2"])
def test_a_rename_that_names_no_table_or_no_role_is_refused(
    tmp_path: Path, tables: tuple[Path, Path], rename: str
) -> None:
    said = CliRunner().invoke(join, [*map(str, tables), "--out", str(tmp_path / "j.csv"), "--role-of", rename])
    assert isinstance(said.exception, UsageError)
    assert "a.csv, b.csv" in str(said.exception)


def test_columns_alone_can_be_added(tmp_path: Path, tables: tuple[Path, Path]) -> None:
    clinical = tmp_path / "clinical.csv"
    clinical.write_text("patient,age\np,50\n")
    out = tmp_path / "j.csv"
    asked = ["--out", str(out), "--table", str(clinical), "--keep-cases"]
    made = CliRunner().invoke(join, [str(tables[0]), *asked], catch_exceptions=False)
    assert "1 case(s) have no row in clinical.csv" in made.output
    assert [dict(c.attributes) for c in load(out).cases] == [{"age": "50"}, {}]
    assert isinstance(CliRunner().invoke(join, [*map(str, tables), *asked]).exception, UsageError)
    assert isinstance(CliRunner().invoke(join, [str(tables[0]), "--out", str(out), "--id", "x"]).exception, UsageError)
