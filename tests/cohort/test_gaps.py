from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner
from tests.cohort.made_folders import by_patient, picture
from tests.scans.made_dicom import write

from insula.cli import cohort as verbs
from insula.cohort import check_page
from insula.cohort.check import check
from insula.cohort.gaps import Asked, asked, classes_without_a_case, empty_folders
from insula.cohort.index import index
from insula.cohort.table import Notes, copy_notes, load_notes
from insula.core import recipe as recipes

STROKE = recipes.load("stroke-ct")


def test_a_class_without_a_case_is_found_and_fails_where_all_are_needed(tmp_path: Path) -> None:
    cohort = index(by_patient(tmp_path, {"normal": 3}), STROKE)
    wanted = asked(STROKE)
    assert classes_without_a_case(cohort, wanted) == tuple(c for c in STROKE.target.classes if c != "normal")
    report = check(cohort, notes=Notes(asked=wanted))
    assert report.verdict == "fail"
    assert report.problems[0].startswith("no case is labelled ")
    labels = check(cohort, notes=Notes(asked=replace(wanted, kind="multilabel")))
    assert (labels.verdict, labels.missing) == ("cannot tell", report.missing)
    assert check(cohort).missing == ()


def test_a_cohort_without_any_label_lacks_no_class(tmp_path: Path) -> None:
    cohort = index(by_patient(tmp_path, {"normal": 2, "stroke": 2}), STROKE)
    bare = replace(cohort, cases=tuple(replace(case, labels={}) for case in cohort.cases))
    assert classes_without_a_case(bare, asked(STROKE)) == ()
    assert classes_without_a_case(cohort, Asked()) == ()


def test_folders_without_a_file_are_named_the_highest_alone(tmp_path: Path) -> None:
    by_patient(tmp_path, {"normal": 2, "stroke": 2})
    for name in ("stroke/p009", "normal/p010/deep/er", ".hidden/x", "masks", "third/a", "third/b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "stroke" / "p009" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "to").symlink_to(tmp_path / "normal")
    assert empty_folders(tmp_path) == ("normal/p010", "stroke/p009", "third")
    report = check(index(tmp_path, STROKE))
    assert report.verdict == "cannot tell"
    assert "3 folders hold no files (normal/p010, stroke/p009, third)" in report.problems


def test_the_verbs_keep_the_classes_and_say_what_is_missing(tmp_path: Path) -> None:
    data, table = by_patient(tmp_path / "data", {"normal": 4, "stroke": 4}), str(tmp_path / "c.csv")
    (data / "stroke" / "p099").mkdir()
    run = CliRunner().invoke
    made = run(verbs.index, [str(data), "--recipe", "stroke-ct", "--out", table], catch_exceptions=False)
    assert "1 folder without a file: stroke/p099" in made.output
    copy_notes(Path(table), tmp_path / "other.csv")
    assert load_notes(tmp_path / "other.csv").asked == asked(STROKE)
    fine = run(verbs.check, [table, "--no-leaks"], catch_exceptions=False)
    assert "1 folder holds no files (stroke/p099)" in fine.output
    assert "Verdict: cannot tell; nothing here is certainly wrong, a person has to look." in fine.output
    assert fine.exit_code == 0
    recipe = tmp_path / "three.yaml"
    text = (Path(recipes.__file__).parents[1] / "recipes" / "stroke-ct.yaml").read_text(encoding="utf-8")
    recipe.write_text(text.replace("classes: [normal, stroke]", "classes: [normal, stroke, bleed]"), encoding="utf-8")
    asked_for = run(verbs.check, [table, "--no-leaks", "--json", "--recipe", str(recipe)], catch_exceptions=False)
    assert asked_for.exit_code == 31
    assert json.loads(asked_for.output)["check"]["missing"] == ["bleed"]


def test_doubtful_headers_stand_in_the_verdict_and_on_the_page(tmp_path: Path) -> None:
    for k in range(4):
        name = ("normal", "stroke")[k % 2]
        spacing = [0, 0] if k == 0 else [0.5, 0.5]
        pixels = picture(k, 32).astype("int16") + 1024
        write(
            tmp_path / name / f"p{k}" / "1.dcm",
            pixels,
            PatientID=f"P{k}",
            SeriesInstanceUID=f"1.{k}",
            PixelSpacing=spacing,
        )
    cohort = index(tmp_path, STROKE)
    report = check(cohort)
    assert [what.split(" is ")[0] for _, what in report.doubtful] == [r"PixelSpacing '0.0\0.0'"]
    assert "1 case has a doubtful header" in report.problems
    assert report.verdict == "cannot tell"
    text = check_page.render(report, cohort)
    assert "PixelSpacing &#39;0.0\\0.0&#39; is no pair of lengths from 0.0001 to 2000 mm" in text
    assert "Verdict: cannot tell. None of these is a fault by itself" in text
