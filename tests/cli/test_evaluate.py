from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests import tiny_bundle, tiny_cohort
from tests.evaluate import made_pictures, told

from insula.bundle.load import load as load_bundle
from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.cli import main
from insula.cohort import table
from insula.core import recipe as recipes
from insula.core.errors import EvaluationError, UsageError
from insula.core.recipe import OperatingPoint
from insula.core.types import Cohort, Split
from insula.evaluate import near
from insula.metrics.thresholds import choose

FILES = {"report.html", "report.json", "cases.parquet", "model-card.md", "checklists.json", "evaluation-plan.json"}


def insula(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["insula", *map(str, words)])
    try:
        main.run()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def made(root: Path, split: Split = "test") -> tuple[Path, Path]:
    """A bundle and a cohort's table."""
    path = root / "cohort.parquet"
    table.save(tiny_cohort.make(root / "scans", split=split), path)
    return tiny_bundle.make(root).path, path


def report(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return found


def guards(out: Path) -> dict[str, str]:
    return {guard["name"]: guard["verdict"] for guard in report(out)["guards"]}


def test_a_report_is_written_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, cohort = made(tmp_path)
    out = tmp_path / "out"
    assert insula(monkeypatch, "evaluate", bundle, cohort, "--out", out, "--gallery", 1, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert {p.name for p in out.iterdir()} == FILES | {"heatmaps"}
    assert said.pop("report") == str(out / "report.html")
    assert said.items() <= report(out).items()
    assert said["patient"]["patients"] == 8
    assert said["optimistic"] == said["failures"] == []
    assert said["baselines"]["models"] == []
    assert "the cohort holds no labelled training cases" in said["baselines"]["sentence"]


def test_what_else_lies_in_the_folder_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, cohort = made(tmp_path, split="")
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    (out / "report.html").write_text("old")
    assert insula(monkeypatch, "evaluate", bundle, cohort, "--out", out, "--split", "all", "--gallery", 0) == 0
    assert (out / "mine.txt").read_text() == "precious"
    assert {p.name for p in out.iterdir()} == FILES | {"mine.txt"}
    text = capsys.readouterr().out
    assert text.startswith(report(out)["headline"])
    assert text.endswith(f"Report: {out / 'report.html'}\n")
    assert report(out)["headline"] in (out / "report.html").read_text(encoding="utf-8")


def test_a_cohort_without_the_split_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, cohort = made(tmp_path, split="")
    assert insula(monkeypatch, "evaluate", bundle, cohort, "--out", tmp_path / "out") == EvaluationError.exit_code
    assert "--split all" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "cohort.parquet.looks.jsonl").exists()


def test_a_file_in_the_reports_place_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("precious")
    assert insula(monkeypatch, "evaluate", tmp_path / "no-bundle", tmp_path / "none", "--out", tmp_path / "out") == 2
    assert "out' is a file" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "precious"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Give BUNDLE and COHORT"),
        (("bundle",), "Give BUNDLE and COHORT"),
        (("--predictions", "p.csv", "a", "b"), "at most a COHORT, and paths given are 2"),
        (("--predictions", "p.csv", "--split", "val"), "--split has no use with --predictions"),
        (("--predictions", "p.csv", "--gallery", "2"), "--gallery has no use with --predictions"),
        (("b", "c", "--positive", "stroke"), "--positive is for --predictions"),
        (("b", "c", "--threshold", "stroke"), "'stroke' is no threshold"),
        (("b", "c", "--threshold", "stroke=2"), "'stroke=2' is no threshold"),
    ],
)
def test_words_that_cannot_be_followed_are_explained(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    said: str,
) -> None:
    assert insula(monkeypatch, "evaluate", *words, "--out", tmp_path / "out") == UsageError.exit_code
    assert said in capsys.readouterr().err


def test_the_plan_stands_before_the_first_look_and_looks_are_counted_over_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, cohort = made(tmp_path)
    for number in (1, 2, 3):
        out = tmp_path / f"out{number}"
        assert insula(monkeypatch, "evaluate", bundle, cohort, "--out", out, "--gallery", 0) == 0
        assert report(out)["looks"]["number"] == number
    entries = [json.loads(line) for line in (tmp_path / "cohort.parquet.looks.jsonl").read_text().splitlines()]
    assert [entry["kind"] for entry in entries] == ["plan", "look", "look", "look"]
    plan = json.loads((tmp_path / "out1" / "evaluation-plan.json").read_text())
    assert entries[0]["plan"] == plan == report(tmp_path / "out3")["looks"]["plan"]
    assert plan["thresholds"] == {"normal": 0.5, "stroke": 0.5}
    assert "This is look 3 at this test set" in (tmp_path / "out3" / "report.html").read_text(encoding="utf-8")


def test_a_prediction_that_fails_leaves_a_plan_and_no_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, cohort = made(tmp_path)
    for path in (tmp_path / "scans").rglob("*.dcm"):
        path.write_bytes(b"no scan")
    assert insula(monkeypatch, "evaluate", bundle, cohort, "--out", tmp_path / "out") == EvaluationError.exit_code
    record = (tmp_path / "cohort.parquet.looks.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in record] == ["plan"]


def test_a_planted_patient_leak_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, cohort = made(tmp_path)
    parts = tiny_bundle.parts(tiny_bundle.recipe(), tiny_bundle.weights(1, 2))
    leaked = told.more(load_bundle(path), patients=["A3", "B1"]).baseline.patients
    save(path, replace(parts, baseline=replace(parts.baseline, patients=leaked)))
    out = tmp_path / "out"
    assert insula(monkeypatch, "evaluate", path, cohort, "--out", out, "--gallery", 0) == 0
    assert report(out)["headline"] == "Optimistic: 1 of 8 patients here were in the training data."
    assert guards(out)["patients"] == "fail"
    assert report(out)["guards"][1]["evidence"] == ["case-3"]
    assert "ROC-AUC" not in report(out)["headline"]


def pictures(root: Path) -> tuple[Path, Path, Cohort]:
    """A bundle, and a table of 30 training and 8 test pictures, one of which is a training picture in disguise."""
    cohort = made_pictures.cohort(root / "scans", 30, 8)
    disguised = cohort.of_split("test")[5]
    made_pictures.put(root / "scans" / f"{disguised.key}.jpg", made_pictures.copied(made_pictures.head(6)))
    path = root / "cohort.parquet"
    table.save(cohort, path)
    content = tiny_bundle.recipe(unit="image").model_dump(mode="json", by_alias=True)
    content["inputs"]["ct"]["prep"][0] = {"windows": {"value": [[40, 80]], "pictures": "as_shown"}}
    recipe = recipes.parse(content, "tiny")
    return save(root / "bundle", tiny_bundle.parts(recipe, tiny_bundle.weights(1, 2))).path, path, cohort


def test_a_duplicated_picture_is_caught_by_the_codes_that_travel_with_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, table_path, cohort = pictures(tmp_path)
    known = near.of_cases(cohort.of_split("train"), tmp_path / "scans")

    def fuller(source: Path) -> Bundle:
        return told.more(load_bundle(source), known)

    monkeypatch.setattr("insula.bundle.load.load", fuller)
    out = tmp_path / "out"
    assert insula(monkeypatch, "evaluate", path, table_path, "--out", out, "--gallery", 0, "--no-baselines") == 0
    assert report(out)["headline"] == (
        "Optimistic: 1 of 8 cases here show a picture of the training data (copies count)."
    )
    assert guards(out)["files"] == "pass"  # other bytes
    evidence = next(g["evidence"] for g in report(out)["guards"] if g["name"] == "pictures")
    assert evidence[0].startswith("test-035 (")
    assert "mirrored" in evidence[0]


def test_a_duplicated_picture_is_caught_against_the_cohorts_own_training_cases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, table_path, _ = pictures(tmp_path)
    out = tmp_path / "out"
    assert insula(monkeypatch, "evaluate", path, table_path, "--out", out, "--gallery", 0) == 0
    assert guards(out)["pictures"] == "fail"
    assert report(out)["baselines"]["models"][0]["train_patients"] == 30


def test_a_threshold_tuned_on_the_test_set_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, cohort = made(tmp_path)
    assert insula(monkeypatch, "evaluate", bundle, cohort, "--out", tmp_path / "a", "--gallery", 0) == 0
    seen = pd.read_parquet(tmp_path / "a" / "cases.parquet")
    best = choose(seen["y_stroke"], seen["p_stroke"], OperatingPoint(youden=True))
    words = ("evaluate", bundle, cohort, "--out", tmp_path / "b", "--gallery", 0, "--threshold", f"stroke={best:.6f}")
    assert insula(monkeypatch, *words) == 0
    tuned = report(tmp_path / "b")
    assert tuned["headline"].startswith("Optimistic: the threshold 0.")
    assert "is not the bundle's (0.5) and is the best one on these very patients" in tuned["headline"]
    assert guards(tmp_path / "b")["threshold"] == "fail"
    assert tuned["looks"]["changes"][0].startswith("the thresholds of the same model are")
    assert tuned["facts"]["thresholds"]["stroke"] == pytest.approx(best, abs=1e-6)


def test_a_threshold_chosen_on_patients_of_the_test_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, cohort = made(tmp_path)
    monkeypatch.setattr("insula.bundle.load.load", lambda path: told.more(load_bundle(path), chosen_on=["A1", "V7"]))
    assert insula(monkeypatch, "evaluate", bundle, cohort, "--out", tmp_path / "out", "--gallery", 0) == 0
    assert report(tmp_path / "out")["headline"] == ("Optimistic: the threshold was chosen on 1 of the 8 patients here.")


def test_several_seeds_are_one_look_and_told_by_mean_and_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, cohort = made(tmp_path)
    paths = []
    for seed in (1, 2):
        recipe = tiny_bundle.recipe().model_copy(update={"seed": seed})
        paths.append(save(tmp_path / f"seed{seed}", tiny_bundle.parts(recipe, tiny_bundle.weights(1, 2, seed))).path)
    out = tmp_path / "out"
    assert insula(monkeypatch, "evaluate", *paths, cohort, "--out", out, "--gallery", 0) == 0
    found = report(out)
    assert found["headline"].startswith("stroke, mean of 2 seeds: ROC-AUC")
    assert found["seeds"]["seeds"] == [1, 2]
    assert found["looks"]["number"] == 1
    assert found["looks"]["plan"]["models"] == found["seeds"]["bundles"]
    folders = sorted(p for p in out.iterdir() if p.is_dir())
    assert len(folders) == 2
    areas = [report(folder)["patient"]["classes"]["stroke"]["figures"]["roc_auc"]["value"] for folder in folders]
    assert found["seeds"]["figures"]["roc_auc"]["values"] == areas


def test_predictions_made_elsewhere_need_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "theirs.csv"
    rows = [f"c{i},p{i},{i % 2},{0.2 + 0.05 * (i % 7) + 0.3 * (i % 2):.3f},{i // 3 % 2}" for i in range(24)]
    path.write_text("case,patient,label,probability,reader_Ada\n" + "\n".join(rows) + "\n")
    out = tmp_path / "out"
    words = ("evaluate", "--predictions", path, "--positive", "stroke", "--threshold", "stroke=0.4", "--out", out)
    assert insula(monkeypatch, *words) == 0
    found = report(out)
    assert found["headline"].startswith("stroke: ROC-AUC")
    assert found["facts"]["thresholds"] == {"stroke": 0.4}
    assert found["readers"]["readers"][0]["name"] == "Ada"
    assert found["looks"]["record"] == "theirs.csv.looks.jsonl"
    assert found["model"] is None


def test_readers_of_a_file_stand_beside_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, cohort = made(tmp_path)
    readers = tmp_path / "readers.csv"
    readers.write_text("case,Ada,Ben\n" + "".join(f"case-{i},{i % 2},{i // 2 % 2}\n" for i in range(8)))
    out = tmp_path / "out"
    assert insula(monkeypatch, "evaluate", bundle, cohort, "--out", out, "--gallery", 0, "--readers", readers) == 0
    found = report(out)["readers"]
    assert [r["sensitivity"]["value"] for r in found["readers"]] == [1.0, 0.5]
    assert found["fleiss"]["n"] == 8


def test_another_site_is_called_external(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, path = made(tmp_path)
    cohort = table.load(path)
    there = tuple(replace(case, attributes={"site": "Porto"}) for case in cohort.cases)
    table.save(replace(cohort, cases=there), path)
    for sites, standing in ((["Oslo"], "external"), (["Oslo", "Porto"], "internal"), ([], "not known")):
        monkeypatch.setattr("insula.bundle.load.load", lambda p, s=sites: told.more(load_bundle(p), sites=s))
        assert insula(monkeypatch, "evaluate", bundle, path, "--out", tmp_path / "out", "--gallery", 0) == 0
        assert report(tmp_path / "out")["site"]["standing"] == standing
