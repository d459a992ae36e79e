"""What `insula evaluate` refuses, warns of and knows again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests import tiny_bundle, tiny_cohort
from tests.cli.test_evaluate import insula, made, report

from insula.bundle.save import save
from insula.cohort import table
from insula.core.errors import EvaluationError


def theirs(path: Path, rows: int = 12, order: int = 1) -> Path:
    lines = [f"c{i},p{i},{('normal', 'stroke')[i % 2]},{0.3 + 0.3 * (i % 2) + 0.01 * i:.3f}" for i in range(rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("case,patient,label,probability\n" + "\n".join(lines[::order]) + "\n")
    return path


def test_a_copy_of_a_table_under_another_name_in_another_order_is_the_same_test_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, path in enumerate([theirs(tmp_path / "a.csv"), theirs(tmp_path / "away" / "b.csv", order=-1)], start=1):
        out = tmp_path / f"out{number}"
        assert insula(monkeypatch, "evaluate", "--predictions", path, "--positive", "stroke", "--out", out) == 0
        assert report(out)["looks"]["number"] == number
        assert report(out)["looks"]["models"] == 1
    assert "the same cases were judged under another name: a.csv." in capsys.readouterr().out


def test_another_split_table_with_the_same_test_cases_is_looked_at_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, path = made(tmp_path)
    (tmp_path / "again").mkdir()
    made_again = tmp_path / "again" / "other.parquet"
    table.save(table.load(path), made_again)
    for number, one in enumerate([path, made_again], start=1):
        out = tmp_path / f"out{number}"
        assert insula(monkeypatch, "evaluate", bundle, one, "--out", out, "--gallery", 0) == 0
        assert report(out)["looks"]["number"] == number


@pytest.mark.parametrize(
    ("readers", "words", "said"),
    [
        ("case,Ada\nc0,strok\n", (), "Ada answered 'strok' for case 'c0'"),
        ("case,Ada\nx0,stroke\n", (), "they are called like 'x0'"),
        ("id,Ada\nc0,stroke\n", (), "it needs 'case' and one column a reader"),
        ("", ("--threshold", "tumour=0.4"), "a threshold for 'tumour'"),
        ("", ("--positive", "tumour"), "no label 'tumour'"),
    ],
)
def test_what_is_refused_is_no_look_and_leaves_no_plan(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_register: Path,
    readers: str,
    words: tuple[str, ...],
    said: str,
) -> None:
    path, given = theirs(tmp_path / "a.csv"), tmp_path / "readers.csv"
    given.write_text(readers)
    more = ("--readers", given) if readers else ()
    out = tmp_path / "out"
    asked = ("evaluate", "--predictions", path, "--positive", "stroke", "--out", out, *more, *words)
    assert insula(monkeypatch, *asked) == EvaluationError.exit_code
    assert said in capsys.readouterr().err
    assert {p.name for p in tmp_path.iterdir()} == {"a.csv", "readers.csv"}
    assert not own_register.exists()


def test_readers_of_cases_that_are_not_there_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, given = theirs(tmp_path / "a.csv"), tmp_path / "readers.csv"
    given.write_text("case,Ada\nc0,normal\nc1,stroke\ntypo,stroke\n")
    words = ("evaluate", "--predictions", path, "--positive", "stroke", "--readers", given, "--out", tmp_path / "out")
    assert insula(monkeypatch, *words) == 0
    assert "Note: Left out: 1 answer of Ada about no judged case: 'typo'." in capsys.readouterr().out
    assert report(tmp_path / "out")["readers"]["notes"][1] == "Ada read 2 of the 12 judged cases."


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ("run", "is the folder of a training run; give the bundle in it, '"),
        ("runs", "holds several training runs; give the bundle of one"),
        ("neither", "is no bundle (it has no manifest.json)"),
        ("file", "is given with --predictions"),
        ("scans", "is a folder, and a cohort is a table of its cases; make one: insula index"),
        ("table", "theirs.csv' is no cohort's table"),
        ("without", "--without scaner: the cohort has no such column; did you mean 'scanner'?"),
        ("folder of predictions", "empty' is a folder; give the CSV file"),
    ],
)
def test_what_is_given_in_the_place_of_another_has_a_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], which: str, said: str
) -> None:
    (tmp_path / "empty").mkdir()
    path = tmp_path / "cohort.parquet"
    cohort = tiny_cohort.make(tmp_path / "scans")
    table.save(replace(cohort, cases=tuple(replace(c, attributes={"scanner": "AX"}) for c in cohort.cases)), path)
    bundle = save(
        tmp_path / "runs" / "one" / "bundle", tiny_bundle.parts(tiny_bundle.recipe(), tiny_bundle.weights(1, 2))
    ).path
    words: dict[str, tuple[object, ...]] = {
        "run": (tmp_path / "runs" / "one", path),
        "runs": (tmp_path / "runs", path),
        "neither": (tmp_path / "empty", path),
        "file": (path, path),
        "scans": (bundle, tmp_path / "scans"),
        "table": (bundle, theirs(tmp_path / "theirs.csv")),
        "without": (bundle, path, "--without", "scaner"),
        "folder of predictions": ("--predictions", tmp_path / "empty"),
    }
    assert insula(monkeypatch, "evaluate", *words[which], "--out", tmp_path / "out") != 0
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_label_that_is_no_class_is_named_with_its_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, path = made(tmp_path)
    cohort = table.load(path)
    target = next(iter(cohort.cases[3].labels))
    wrong = replace(cohort.cases[3], labels={target: ("strok",)})
    table.save(replace(cohort, cases=(*cohort.cases[:3], wrong, *cohort.cases[4:])), path)
    assert insula(monkeypatch, "evaluate", bundle, path, "--out", tmp_path / "out") == EvaluationError.exit_code
    told = capsys.readouterr().err
    assert "labels 1 case with no class of the bundle: 'case-3', the first 'strok'" in told
    assert not (tmp_path / "out").exists()
