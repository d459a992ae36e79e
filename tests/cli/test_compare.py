from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests import tiny_bundle, tiny_cohort

from insula.bundle.save import save
from insula.cli.compare import compare
from insula.cohort import table
from insula.core.errors import EvaluationError, InsulaError, UsageError


def insula(*words: object) -> int:
    """Call the verb itself, whether or not the table of verbs has it; InsulaError gives its exit code."""
    try:
        compare.main([str(word) for word in words], standalone_mode=False)
    except InsulaError as error:
        return error.exit_code
    return 0


def bundles(root: Path) -> list[Path]:
    made = []
    for seed in (1, 2):
        parts = tiny_bundle.parts(tiny_bundle.recipe(), tiny_bundle.weights(1, 2, seed))
        made.append(save(root / f"run{seed}" / "bundle", parts).path)
    return made


def cohort(root: Path) -> Path:
    path = root / "cohort.parquet"
    table.save(tiny_cohort.make(root / "scans"), path)
    return path


def report(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return found


def predictions(path: Path, shift: float) -> Path:
    rows = [f"c{i},p{i},{i % 2},{0.2 + 0.05 * (i % 7) + shift * (i % 2):.3f}" for i in range(30)]
    path.write_text("case,patient,label,probability\n" + "\n".join(rows) + "\n")
    return path


def test_two_bundles_on_one_cohort_are_one_look(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = bundles(tmp_path)
    path, out = cohort(tmp_path), tmp_path / "out"
    assert insula(a, b, "--cohort", path, "--out", out, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    found = report(out)
    assert told["report"] == str(out / "report.html")
    assert found["tests"] == told["tests"]
    assert (found["first"]["name"], found["second"]["name"]) == ("run1/bundle", "run2/bundle")
    assert found["first"]["model"] != found["second"]["model"]
    assert (found["cases"], found["patients"], found["positives"]) == (8, 8, 4)
    assert found["looks"]["number"] == 1
    assert found["looks"]["plan"]["models"] == [found["first"]["model"], found["second"]["model"]]
    assert {g["name"] for g in found["first"]["guards"]} >= {"patients", "threshold", "plan"}
    assert insula(a, b, "--cohort", path, "--out", tmp_path / "again") == 0
    assert report(tmp_path / "again")["looks"]["number"] == 2


def test_two_tables_of_predictions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = predictions(tmp_path / "a.csv", 0.4), predictions(tmp_path / "b.csv", 0.1)
    out = tmp_path / "out"
    assert insula(a, b, "--positive", "stroke", "--out", out) == 0
    found = report(out)
    area = found["tests"][0]["found"]
    assert area["first"] > area["second"]
    assert area["difference"]["interval"][0] > 0
    assert found["headline"].startswith("stroke: ROC-AUC A")
    assert (tmp_path / "a.csv.looks.jsonl").is_file()
    text = capsys.readouterr().out
    assert "A = a.csv" in text
    assert all(f"  {name}  " in text for name in ("ROC-AUC", "PR-AUC (average precision)", "Sensitivity", "MCC"))
    assert "roc_auc" not in text
    assert "This is the first look" in text
    assert found["headline"] in (out / "report.html").read_text(encoding="utf-8")


def test_a_bundle_against_predictions_of_the_same_cases(tmp_path: Path) -> None:
    path, bundle = cohort(tmp_path), bundles(tmp_path)[0]
    theirs = tmp_path / "theirs.csv"
    rows = [f"case-{i},A{i},{i % 2},{0.3 + 0.3 * (i % 2):.2f}" for i in range(8)]
    theirs.write_text("case,patient,label,probability\n" + "\n".join(rows) + "\n")
    assert insula(bundle, theirs, "--cohort", path, "--positive", "stroke", "--out", tmp_path / "out") == 0
    found = report(tmp_path / "out")
    assert found["cases"] == 8
    assert found["tests"][0]["found"]["second"] == 1.0


@pytest.mark.parametrize(
    ("which", "code"), [("no cohort", UsageError.exit_code), ("twice", UsageError.exit_code), ("apart", 21)]
)
def test_what_cannot_be_compared_leaves_nothing(tmp_path: Path, which: str, code: int) -> None:
    assert EvaluationError.exit_code == 21
    a = predictions(tmp_path / "a.csv", 0.4)
    out = tmp_path / "out"
    if which == "no cohort":
        assert insula(bundles(tmp_path)[0], a, "--out", out) == code
    elif which == "twice":
        assert insula(a, a, "--out", out) == code
    else:
        other = tmp_path / "b.csv"
        other.write_text("case,patient,label,probability\nx,x,1,0.5\ny,y,0,0.4\n")
        assert insula(a, other, "--out", out) == code
    assert not out.exists()
    assert not list(tmp_path.rglob("*.jsonl"))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["c0,p0,1,0.5", "c1,p1,1,0.4"], "1 of 2 cases have two labels, the first 'c0'"),
        (["c0,p9,0,0.5", "c1,p1,1,0.4"], "Case 'c0' is of another patient"),
    ],
)
def test_tables_that_contradict_each_other_are_no_look(tmp_path: Path, rows: list[str], said: str) -> None:
    a, other = predictions(tmp_path / "a.csv", 0.4), tmp_path / "b.csv"
    other.write_text("case,patient,label,probability\n" + "\n".join(rows) + "\n")
    with pytest.raises(EvaluationError, match=said):
        compare.main([str(a), str(other), "--out", str(tmp_path / "out")], standalone_mode=False)
    assert {p.name for p in tmp_path.iterdir()} == {"a.csv", "b.csv"}


def test_a_bundle_and_predictions_of_other_cases_are_refused_before_anything_is_predicted(tmp_path: Path) -> None:
    path, bundle = cohort(tmp_path), bundles(tmp_path)[0]
    with pytest.raises(EvaluationError, match="are not in the cohort"):
        compare.main(
            [
                str(bundle),
                str(predictions(tmp_path / "a.csv", 0.4)),
                "--cohort",
                str(path),
                "--out",
                str(tmp_path / "o"),
            ],
            standalone_mode=False,
        )
    assert not list(tmp_path.rglob("*.jsonl"))


def test_the_same_predictions_in_another_order_are_one_model(tmp_path: Path) -> None:
    a = predictions(tmp_path / "a.csv", 0.4)
    head, *rows = a.read_text().splitlines()
    (tmp_path / "b.csv").write_text("\n".join([head, *rows[::-1]]) + "\n")
    assert insula(a, tmp_path / "b.csv", "--out", tmp_path / "out") == UsageError.exit_code
