"""A model from Python says what the verbs say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tests import tiny_bundle

import insula as ins
from insula.bundle.save import save
from insula.cli.main import main
from insula.core.errors import MissingPartError, ScanError, UsageError


def printed(*words: object) -> dict[str, Any]:
    got = CliRunner().invoke(main, [*map(str, words), "--json"], catch_exceptions=False)
    found: dict[str, Any] = json.loads(got.stdout)
    return found


def test_a_scan_is_read_from_a_folder_or_from_its_files(folder: Path) -> None:
    volume = ins.read(folder)
    assert volume.array.shape == (1, 8, 64, 64)
    assert volume.units == "HU"
    same = ins.read([str(file) for file in sorted(folder.iterdir())])
    np.testing.assert_array_equal(volume.array, same.array)
    with pytest.raises(UsageError, match="one series already"):
        ins.read([folder], series="1")


def test_a_prediction_is_that_of_the_verb(bundle: Path, model: ins.Model, folder: Path) -> None:
    result = model.predict(folder, uncertainty="all")
    (told,) = printed("predict", bundle, folder, "--uncertainty", "all")["results"]
    assert {"scan": str(folder), **result.to_dict()} == told
    assert str(result).splitlines()[0].startswith(f"{folder.name}: ")
    assert result.label in model.classes
    assert result.probabilities == told["probabilities"]
    assert (result.action, list(result.reasons)) == (told["decision"], told["reasons"])
    assert ins.predict(bundle, folder, uncertainty="all").to_dict() == result.to_dict()


def test_a_path_its_volume_its_role_and_its_case_give_one_answer(
    model: ins.Model, folder: Path, cohort: ins.Cohort
) -> None:
    expected = model.predict(folder).probabilities
    assert model.predict(ins.read(folder)).probabilities == expected
    assert model.predict({"ct": [folder]}).probabilities == expected
    assert model.predict(str(folder)).probabilities == expected
    assert model.predict_case(cohort.cases[0], cohort).probabilities == expected


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ({"mri": "x"}, {}, "takes ct"),
        ({}, {}, "No scan is given"),
        ("x", {"uncertainty": "dropot"}, "policy, all, dropout"),
    ],
)
def test_what_the_model_does_not_take_is_refused(
    model: ins.Model, given: Any, options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    given = tiny_bundle.volume() if given == "x" else given
    with pytest.raises(UsageError, match=said):
        model.predict(given, **options)


def test_a_column_that_the_model_lacks_and_a_file_that_is_no_scan(model: ins.Model, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'age' is no clinical column"):
        model.predict(tiny_bundle.volume(), known={"age": 63})
    (tmp_path / "a.txt").write_text("no scan")
    with pytest.raises(ScanError, match=r"a\.txt") as met:
        model.predict(tmp_path / "a.txt")
    assert met.value.see == "errors#unreadable_scan"


def test_a_rejected_scan_has_neither_class_nor_probabilities(tmp_path: Path) -> None:
    made = tiny_bundle.parts(tiny_bundle.recipe(), tiny_bundle.weights(1, 2))
    path = save(tmp_path / "bundle", tiny_bundle.rejecting(made)).path
    result = ins.predict(path, tiny_bundle.volume())
    assert (result.action, result.label, result.probabilities) == ("reject", "", {})
    assert "no answer" in str(result)


def test_every_case_of_a_cohort_goes_into_one_table(model: ins.Model, cohort: ins.Cohort, tmp_path: Path) -> None:
    counts = model.predict_all(cohort, tmp_path / "table.csv", readers=1)
    assert counts.rows == len(cohort)
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert len(lines) == 1 + len(cohort)
    cohort.write(tmp_path / "cohort.csv")
    assert model.predict_all(tmp_path / "cohort.csv", tmp_path / "again.csv", readers=1) == counts
    assert (tmp_path / "again.csv").read_text().splitlines() == lines
    with pytest.raises(UsageError, match="there already"):
        model.predict_all(cohort, tmp_path / "again.csv")


def test_an_explanation_is_that_of_the_verb(bundle: Path, model: ins.Model, folder: Path, tmp_path: Path) -> None:
    where = model.explain(folder, tmp_path / "api", top=2)
    told = printed("explain", bundle, folder, "--out", tmp_path / "verb", "--top", 2)
    assert (where.score, where.of, where.unit) == (told["class"], told["of"], told["unit"])
    assert where.result.to_dict()["probabilities"] == told["probabilities"]
    ours, theirs = ({p.name: p.read_bytes() for p in (tmp_path / one).iterdir()} for one in ("api", "verb"))
    assert ours == theirs
    assert sorted(ours) == sorted(file.name for file in where.files)
    assert [s.slice for s in where.slices] == [s["slice"] for s in told["slices"]]
    assert where.heatmaps["ct"].array.shape[:2] == (1, 8)
    assert {picture.suffix for picture in where.pictures} <= {".png"}


def test_without_a_folder_nothing_is_written(model: ins.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    where = model.explain(tiny_bundle.volume(), method="occlusion", slices=[1])
    assert where.files == ()
    assert list(tmp_path.iterdir()) == []
    assert where.heatmaps["ct"].slices == (1,)
    assert np.abs(where.heatmaps["ct"].array).max() > 0
    with pytest.raises(UsageError, match="no class 'tumour'"):
        model.explain(tiny_bundle.volume(), class_name="tumour")


def test_an_export_is_whole_and_lacking_parts_are_named(
    model: ins.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = model.export("onnx", tmp_path / "plain")
    assert tmp_path / "plain" / "model.onnx" in files
    assert all(file.is_file() for file in files)
    monkeypatch.setattr("insula.core.parts.missing", lambda part: ("torch",) if part == "train" else ())
    with pytest.raises(MissingPartError, match=r"insula\[train\]"):
        model.export("safetensors", tmp_path / "weights")


def test_a_model_says_what_it_is(model: ins.Model, bundle: Path) -> None:
    assert repr(model) == f"Model(tiny-ct, {model.id}, normal|stroke)"
    assert model.bundle.path == bundle
    with pytest.raises(ins.InsulaError, match="no bundle folder"):
        ins.load(bundle / "nowhere")
