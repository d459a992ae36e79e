"""`insula audit` on a bundle and a cohort."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import tiny_bundle, tiny_cohort

from insula.bundle.load import load
from insula.cli import main
from insula.cohort import table
from insula.core import recipe as recipes
from insula.core.errors import BundleError, CohortError, MissingPartError, RecipeError, UsageError
from insula.core.recipe_audit import Audit

QUICK = ("--check", "marks", "--check", "exchange", "--check", "calibration", "--replicates", 200)


def insula(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["insula", *map(str, words)])
    try:
        main.run()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A bundle and a cohort's table."""
    root = tmp_path_factory.mktemp("made")
    path = root / "cohort.parquet"
    table.save(tiny_cohort.make(root / "scans", patients=12), path)
    return tiny_bundle.make(root).path, path


def report(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "audit.json").read_text(encoding="utf-8"))
    return found


def test_an_audit_writes_its_files_tells_itself_and_ends_with_0(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert insula(monkeypatch, "audit", *made, "--out", out, *QUICK, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert {"audit.html", "summary.html", "audit.json", "journal", "evaluation-plan.json"} <= {
        p.name for p in out.iterdir()
    }
    assert said.pop("report") == str(out / "audit.html")
    assert said["verdict"] != "fail"
    assert said["facts"]["checks"] == ["marks", "exchange", "calibration"]
    assert (said["facts"]["patients"], said["facts"]["positives"]) == (12, 6)
    assert said["findings"] == report(out)["findings"]
    assert {one["check"].split("/")[0] for one in said["findings"]} <= {"marks", "exchange", "calibration"}


def test_what_takes_a_while_is_told_before_it_begins(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("--check", "heat", "--check", "marks", "--replicates", 200)
    assert insula(monkeypatch, "audit", *made, "--out", tmp_path / "out", *few, "--json") in (0, 1)
    out, err = capsys.readouterr()
    assert json.loads(out)["kind"] == "audit"
    told = [line.strip() for line in err.splitlines()]
    assert [line for line in told if " of 12" not in line] == [
        "loading: programs, bundle and cohort",
        "hashing the files of the cases, then predicting them",
        "figures, guards and trivial models of the evaluation",
        "loading PyTorch, to hold heat against networks with weights drawn anew",
        "judging what was measured",
        "writing the pages",
    ]


def test_a_finding_that_fails_ends_with_1(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # every probability of the tiny model lies well off the share that is right
    limits = ("--set", "audit.calibration.confidence=0", "--check", "calibration", "--replicates", 200)
    code = insula(monkeypatch, "audit", *made, "--out", tmp_path / "out", *limits)
    found = {one["check"]: one for one in report(tmp_path / "out")["findings"]}
    assert found["calibration/confidence"]["limit"] == 0.0
    assert (code == 1) == any(one["verdict"] == "fail" for one in found.values())
    assert code == 1
    assert "fail" in capsys.readouterr().out


def test_all_checks_run_on_a_bundle_whose_network_cannot_be_built_anew(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    few = ("--set", "audit.robustness.grades=[2]", "--replicates", 200)
    assert insula(monkeypatch, "audit", *made, "--out", out, *few) in (0, 1)
    found = report(out)
    assert found["failures"] == []
    assert [part["name"] for part in found["parts"]] == found["facts"]["checks"]
    heat = next(part for part in found["parts"] if part["name"] == "heat")
    assert any("No network could be drawn anew" in note for note in heat["notes"])


def test_an_audit_that_is_called_again_goes_on_from_its_journal(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    words = ("audit", *made, "--out", out, "--check", "marks", "--replicates", 200)
    insula(monkeypatch, *words)
    written = (out / "journal" / "journal.txt").read_bytes()
    first = report(out)
    insula(monkeypatch, *words)
    assert (out / "journal" / "journal.txt").read_bytes() == written
    assert report(out)["findings"] == first["findings"]
    insula(monkeypatch, *words, "--seed", 3)
    assert len((out / "journal" / "journal.txt").read_bytes()) == 2 * len(written)


def test_an_unreadable_file_is_told_and_the_audit_goes_on(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(made[1].parent / "scans", tmp_path / "scans")
    cohort = tmp_path / "cohort.parquet"
    table.save(tiny_cohort.make(tmp_path / "scans", patients=12), cohort)
    (tmp_path / "scans/3/0.dcm").write_bytes(b"no scan")
    out = tmp_path / "out"
    assert insula(monkeypatch, "audit", made[0], cohort, "--out", out, *QUICK) == 0
    found = report(out)
    assert found["facts"]["cases"] == 11
    assert [(one["case"], one["rejected"]) for one in found["failures"]] == [("case-3", True)]


def test_a_limit_of_the_bundle_can_be_set_and_its_id_stays(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    words = (
        "--set",
        "audit.shortcuts.marks=0.9",
        "--set",
        "audit.label_noise=null",
        "--check",
        "marks",
        "--check",
        "labels",
    )
    assert insula(monkeypatch, "audit", *made, "--out", out, *words, "--replicates", 200) == 0
    found = report(out)
    assert found["facts"]["limits"]["shortcuts"]["marks"] == 0.9
    assert found["facts"]["bundle"] == load(made[0]).id
    limits = {one["check"]: one["limit"] for one in found["findings"]}
    assert limits["marks/text"] == 0.9
    assert limits["labels/contradicted"] is None


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (("--set", "train.epochs=5"), UsageError, "'train.epochs=5' is no limit of an audit; only keys of the section"),
        (("--set", "auditing.x=5"), UsageError, "is no limit of an audit"),
        (("--set", "audit.skull.auc=0.1"), RecipeError, "unknown key 'audit.skull.auc'"),
        (("--set", "audit.skull.roc_auc=-1"), RecipeError, "audit.skull.roc_auc"),
        (("--set", "audit.skull"), RecipeError, "audit.skull"),
        (("--check", "skul"), UsageError, "There is no audit called 'skul'; known are: background, "),
        (("--without", "nothing"), UsageError, "nothing"),
    ],
)
def test_what_cannot_be_followed_is_said_before_anything_is_predicted(
    made: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    error: Any,
    said: str,
) -> None:
    assert insula(monkeypatch, "audit", *made, "--out", tmp_path / "out", *words) == error.exit_code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_missing_files_are_typed_errors(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", tmp_path / "out")
    assert insula(monkeypatch, "audit", tmp_path / "none", made[1], *out) == BundleError.exit_code
    assert insula(monkeypatch, "audit", made[0], tmp_path / "none.parquet", *out) == CohortError.exit_code
    assert insula(monkeypatch, "audit", made[0], *out) == UsageError.exit_code
    assert "Paths given: 1" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert insula(monkeypatch, "audit", *made, "--out", tmp_path / "file") == UsageError.exit_code
    assert "file' is a file, and --out is a folder" in capsys.readouterr().err


def test_networks_drawn_anew_that_are_wanted_and_cannot_be_built_end_the_audit(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("audit", *made, "--out", tmp_path / "out", "--check", "heat", "--sanity", "--replicates", 200)
    assert insula(monkeypatch, *words) == BundleError.exit_code
    assert "weights.safetensors" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert insula(monkeypatch, *words) == MissingPartError.exit_code
    assert "give --no-sanity" in capsys.readouterr().err


def test_a_bundle_from_before_audits_had_limits_has_the_default_ones(made: tuple[Path, Path], tmp_path: Path) -> None:
    content = yaml.safe_load((made[0] / "recipe.yaml").read_text(encoding="utf-8"))
    del content["audit"]
    old = recipes.parse(content, "old")
    assert old.audit == Audit()
    assert old == load(made[0]).recipe
