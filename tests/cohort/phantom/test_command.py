"""`insula phantom`, then `insula index` and `insula check`, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.cohort.phantom.heads import table

from insula.cli.cohort import FAILED
from insula.cli.main import main
from insula.core.errors import UsageError

_CT = ("device:0.2", "missing:0.1", "subgroup:sex=F", "wrong-modality:2", "unreadable:3", "duplicates:4")


def call(*words: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(w) for w in words])
    if result.exception is not None and result.exit_code != code:
        raise result.exception
    assert result.exit_code == code
    return result.output


def test_the_command_makes_what_it_is_asked_for_and_says_what_it_planted(tmp_path: Path) -> None:
    out = tmp_path / "made"
    words = ("--patients", "4", "--size", "64", "--slices", "8", "--plant", "scanner:0.9", "--plant", "text:any:AP")
    said = json.loads(call("phantom", "haemorrhage-ct", out, *words, "--json"))
    assert said["plants"] == {"text": {"name": "any", "share": 1.0, "word": "AP"}, "scanner": 0.9}
    facts = json.loads((out / "phantom.json").read_text())
    assert facts["plants"] == said["plants"]
    assert facts["planted"]["text"] == ["PH-0001", "PH-0003"]
    assert [r["text"] for r in table(out)] == ["", "AP", "", "AP"]


def test_the_help_names_every_plant() -> None:
    from insula.cohort.phantom.plants import FORMS

    said = call("phantom", "--help")
    assert all(f"  {name}:" in said for name in FORMS)


def test_answers_are_in_the_labels_only_where_they_are_asked_for(tmp_path: Path) -> None:
    words = ("--patients", "2", "--size", "64", "--slices", "8")
    call("phantom", "stroke-ct", tmp_path / "plain", *words)
    call("phantom", "stroke-ct", tmp_path / "told", *words, "--answers")
    heads = [(tmp_path / name / "labels.csv").read_text().splitlines()[0] for name in ("plain", "told")]
    assert "infarct_age" not in heads[0]
    assert "kind,infarct_age" in heads[1]
    with pytest.raises(UsageError, match="'clot-origin' has no further answers"):
        call("phantom", "clot-origin", tmp_path / "clots", *words, "--answers")


def test_a_wrong_plant_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no plant 'typo'; there are: text, "):
        call("phantom", "stroke-ct", tmp_path / "made", "--plant", "typo:3")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "plants", "more", "told"),
    [
        ("haemorrhage-ct", (*_CT, "text:any", "border:any", "scanner:1"), (), "scanner"),
        ("stroke-ct", (*_CT, "text:stroke", "outline:stroke", "scanner:1"), (), "scanner"),
        ("brain-tumour", (*_CT, "text:malignant", "border:benign", "scanner:1"), (), "scanner"),
        ("clot-origin", ("text:CE", "border:LAA", "scanner:1", "duplicates:4", "unreadable:3"), (), "site"),
        ("stroke-ct", ("text:stroke", "colour:stroke", "duplicates:4", "unreadable:3"), ("--as", "pictures"), "mode"),
    ],
)
def test_the_index_reads_and_the_check_finds_what_was_planted(
    kind: str, plants: tuple[str, ...], more: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    folder, cohort = tmp_path / "made", tmp_path / "cohort.csv"
    words = [word for plant in plants for word in ("--plant", plant)]
    call("phantom", kind, folder, "--patients", "24", "--size", "96", "--slices", "12", *words, *more)
    call("index", folder, "--recipe", kind, "--out", cohort)
    call("split", cohort, "--recipe", kind, "--from-files", folder / "splits", "--out", cohort)
    found = json.loads(call("check", cohort, "--json", code=FAILED))
    check, leaks = found["check"], found["leaks"]
    assert check["verdict"] == "fail"
    assert check["counts"]["unreadable"] >= 1
    assert any(a["attribute"] == told and a["cramers_v"] > 0.8 for a in check["associations"])
    assert leaks["verdict"] == "fail"
    assert leaks["identical"] >= 1
    copies = {(r["copy_of"], r["patient_id"]): r["copy"] for r in table(folder) if r["copy_of"]}
    paired = {how for (a, b), how in copies.items() for p in leaks["pairs"] if a in p["first"] and b in p["second"]}
    paired |= {how for (a, b), how in copies.items() for p in leaks["pairs"] if b in p["first"] and a in p["second"]}
    assert {"exact", "recompressed", "flipped"} <= paired


@pytest.mark.slow
def test_a_clean_cohort_is_called_clean(tmp_path: Path) -> None:
    folder, cohort = tmp_path / "made", tmp_path / "cohort.csv"
    call("phantom", "stroke-ct", folder, "--patients", "24", "--size", "96", "--slices", "12")
    call("index", folder, "--recipe", "stroke-ct", "--out", cohort)
    found = json.loads(call("check", cohort, "--json"))["check"]
    assert found["counts"]["unreadable"] == found["counts"]["outside"] == 0
    assert not [a for a in found["associations"] if a["cramers_v"] > 0.5]
