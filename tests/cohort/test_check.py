from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.stats.contingency import association
from tests.cohort.made_folders import by_patient, dicom_patient

from insula.cli import cohort as verbs
from insula.cohort.associations import associations
from insula.cohort.check import check
from insula.cohort.index import index
from insula.core import recipe as recipes
from insula.core.errors import CohortError
from insula.core.types import Case, Cohort, Scan

STROKE = recipes.load("stroke-ct")


def test_a_clean_cohort_passes(tmp_path: Path) -> None:
    report = check(index(by_patient(tmp_path, {"normal": 3, "stroke": 2}), STROKE))
    assert (report.verdict, report.problems) == ("pass", ())
    assert report.classes == {"normal": (6, 3), "stroke": (4, 2)}
    assert report.sizes == {"96x96x1": 10}
    assert json.loads(json.dumps(report.to_dict()))["verdict"] == "pass"


def test_what_is_wrong_is_reported_with_its_reason(tmp_path: Path) -> None:
    by_patient(tmp_path, {"normal": 3, "stroke": 3})
    cohort = index(tmp_path, STROKE)
    (tmp_path / "normal" / "p000" / "1.png").write_bytes(b"no longer a picture")
    Image.new("L", (96, 96), 7).save(tmp_path / "normal" / "p001" / "1.png")
    Image.open(tmp_path / "normal" / "p002" / "1.png").save(tmp_path / "stroke" / "p003" / "1.png", optimize=True)
    (tmp_path / "stroke" / "torn.dcm").write_text("text")
    shutil.copy(tmp_path / "stroke" / "p004" / "1.png", tmp_path / "stroke" / "new.png")
    report = check(replace(cohort, cases=(*cohort.cases[:-1], replace(cohort.cases[-1], labels={}))))
    assert [a.path for a in report.unreadable] == ["normal/p000/1.png"]
    assert "no scan by its content" in report.unreadable[0].reason
    assert report.blank == ("normal/p001/1.png",)
    assert report.clashes == (("normal/p002/1.png", "stroke/p003/1.png"),)
    assert report.unlabelled == ("stroke/p005/2.png",)
    assert {a.path: a.reason[-14:] for a in report.outside}.keys() == {"stroke/torn.dcm", "stroke/new.png"}
    assert report.verdict == "fail"
    assert len(report.problems) == 5


def test_a_name_that_is_no_utf_8_is_set_aside_and_can_be_written_down(tmp_path: Path) -> None:
    by_patient(tmp_path / "scans", {"normal": 2, "stroke": 2})
    source = tmp_path / "scans" / "stroke" / "p002" / "1.png"
    shutil.copy(source, Path(os.fsdecode(os.fsencode(source.parent) + b"/bad\xff.png")))
    table, out, run = str(tmp_path / "c.parquet"), tmp_path / "out", CliRunner().invoke
    made = run(verbs.index, [str(tmp_path / "scans"), "--recipe", "stroke-ct", "--out", table], catch_exceptions=False)
    looked = run(verbs.check, [table, "--no-leaks", "--out", str(out)], catch_exceptions=False)
    assert (made.exit_code, looked.exit_code) == (0, 0)
    told = json.loads((out / "check.json").read_text(encoding="utf-8"))["outside"]
    name = r"stroke/p002/bad\udcff.png"
    assert told == [{"path": name, "reason": "its name is not valid UTF-8; rename it"}]
    assert name in (out / "check.html").read_text(encoding="utf-8")


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="not there any more"):
        check(Cohort((), str(tmp_path / "gone")))


def test_warnings_of_the_reader_are_counted_by_kind(tmp_path: Path) -> None:
    dicom_patient(tmp_path / "normal" / "a", "A", 2, 1, RescaleIntercept=None)
    report = check(index(tmp_path, STROKE))
    assert report.warnings == {"CT without a rescale to Hounsfield units": 2}


def test_an_attribute_that_is_the_class_is_found() -> None:
    rng = np.random.default_rng(3)
    cases = tuple(
        Case(
            str(i),
            str(i),
            {"ct": Scan((str(i),), "png", attributes={"mode": "RGB" if i % 2 else "L"})},
            {"stroke": ("stroke" if i % 2 else "normal",)},
            {"sex": str(rng.choice(["F", "M"])), "age": f"{rng.uniform(20, 90):.3f}"},
        )
        for i in range(200)
    )
    found = {a.attribute: a for a in associations(Cohort(cases, "/"))}
    assert found["mode"].cramers_v == pytest.approx(1.0)
    assert found["mode"].strong
    assert not found["sex"].strong
    assert len(found["age"].table) == 3
    assert "format" not in found
    table = np.array([list(row.values()) for row in found["sex"].table.values()])
    plain = float(association(table, method="cramer"))
    n = table.sum()
    corrected = np.sqrt(max(0.0, plain**2 - 1 / (n - 1)) / (1 - 1 / (n - 1)))
    assert found["sex"].cramers_v == pytest.approx(corrected)


def test_patients_and_not_pictures_are_counted(tmp_path: Path) -> None:
    cohort = index(by_patient(tmp_path, {"normal": 2, "stroke": 2}, files=5), STROKE)
    cases = tuple(replace(c, attributes={"site": "AB"[int(c.patient[-1]) % 2]}) for c in cohort.cases)
    (site,) = associations(replace(cohort, cases=cases))
    assert (site.attribute, site.counted) == ("site", "patients")
    assert sum(sum(row.values()) for row in site.table.values()) == 4


def test_the_verbs_from_folder_to_report(tmp_path: Path) -> None:
    data, out = by_patient(tmp_path / "data", {"normal": 4, "stroke": 4}), tmp_path / "out"
    run = CliRunner().invoke
    first = run(verbs.index, [str(data), "--recipe", "stroke-ct", "--out", str(out / "c.csv")], catch_exceptions=False)
    assert "16 cases, 8 patients" in first.output
    assert "stroke               8 (4 patients)" in first.output
    second = run(
        verbs.split,
        [str(out / "c.csv"), "--recipe", "stroke-ct", "--out", str(out / "s.parquet"), "--json"],
        catch_exceptions=False,
    )
    assert json.loads(second.output)["classes"]["stroke"]["test"]["patients"] == 1
    third = run(verbs.check, [str(out / "s.parquet"), "--out", str(out / "report")], catch_exceptions=False)
    assert "Leaks: pass" in third.output
    assert json.loads((out / "report" / "leaks.json").read_text())["looked_at"] == 16
    assert json.loads((out / "report" / "check.json").read_text())["verdict"] == "pass"
