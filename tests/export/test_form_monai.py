"""A MONAI bundle: MONAI itself reads and runs it, and what it says is what Insula says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.explain.made import bundle as fused_bundle
from tests.serve.client import dicom

from insula.bundle.load import load
from insula.bundle.types import Bundle
from insula.cli.predict import predict
from insula.core.errors import UsageError
from insula.export.form_monai import inference, metadata
from insula.export.forms import write
from insula.export.run_folder import predict_folder
from insula.infer.predict import Predictor

monai_bundle: Any = pytest.importorskip("monai.bundle", reason="MONAI is in the extras dev and bench")
# what the specification asks for; MONAI takes optional_packages_version as the old name of the required ones
MANDATORY = {
    "schema", "version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version",
    "task", "description", "authors", "copyright", "network_data_format",
}  # fmt: skip
TENSOR = {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range", "is_patch_data", "channel_def"}


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A slice, a series, a scan of another kind, and no scan at all."""
    folder = tmp_path / "scans"
    (folder / "series").mkdir(parents=True)
    (folder / "a.dcm").write_bytes(dicom(seed=4))
    for number in (1, 2, 3):
        (folder / "series" / f"{number}.dcm").write_bytes(dicom(number=number))
    (folder / "mr.dcm").write_bytes(dicom("MR"))
    (folder / "notes.txt").write_text("hello there, no scan")
    (folder / ".hidden").write_text("not a case")
    return folder


def run(folder: Path, scans: Path, out: Path) -> dict[str, Any]:
    with pytest.warns(UserWarning, match="parsing config_file"):
        monai_bundle.run(
            config_file=str(folder / "configs" / "inference.json"),
            meta_file=str(folder / "configs" / "metadata.json"),
            bundle_root=str(folder),
            dataset_dir=str(scans),
            output_file=str(out),
        )
    content: dict[str, Any] = json.loads(out.read_text())
    return content


@pytest.mark.parametrize("unit", ["series", "image"])
def test_monai_runs_it_and_says_what_insula_says(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path, scans: Path, unit: str
) -> None:
    bundle = tiny_bundle(unit=unit)
    write(bundle, "monai", tmp_path / "tiny")
    found = run(tmp_path / "tiny", scans, tmp_path / "out" / "predictions.json")
    assert found["bundle"] == bundle.id
    by_case = {one["case"]: one for one in found["results"]}
    assert list(by_case) == ["a.dcm", "mr.dcm", "notes.txt", "series"]
    said = CliRunner().invoke(
        predict, [str(bundle.path), str(scans / "a.dcm"), str(scans / "series"), "--json"], catch_exceptions=False
    )
    due = json.loads(said.stdout)["results"]
    assert len(due) == 2
    for one in due:
        one.pop("scan")
        assert by_case[one["case"]] == one
    assert by_case["mr.dcm"]["error"]["code"] == "unsuitable_scan"
    assert by_case["notes.txt"]["error"]["code"] == "unreadable_scan"
    assert {by_case[name]["decision"] for name in ("mr.dcm", "notes.txt")} == {"reject"}
    assert str(tmp_path) not in json.dumps(found)


def test_the_parser_of_monai_makes_insulas_own_predictor(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle, folder = tiny_bundle(), tmp_path / "tiny"
    write(bundle, "monai", folder)
    parser = monai_bundle.ConfigParser()
    parser.read_config(str(folder / "configs" / "inference.json"))
    parser.read_meta(str(folder / "configs" / "metadata.json"))
    parser["bundle_root"] = str(folder)
    predictor = parser.get_parsed_content("predictor")
    assert isinstance(predictor, Predictor)
    assert predictor.bundle.id == bundle.id
    assert parser.get_parsed_content("_meta_#network_data_format#outputs#pred#channel_def") == {
        "0": "normal",
        "1": "stroke",
    }


def test_the_folder_and_its_metadata_are_as_specified(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle, folder = tiny_bundle(kind="multilabel"), tmp_path / "tiny"
    written = write(bundle, "monai", folder)
    assert {"configs/metadata.json", "configs/inference.json", "docs/README.md", "LICENSE"} <= set(written)
    assert {p.name for p in (folder / "models" / "insula").iterdir()} == {p.name for p in bundle.path.iterdir()}
    assert load(folder / "models" / "insula").id == bundle.id
    facts = json.loads((folder / "configs" / "metadata.json").read_text())
    assert facts == metadata(Predictor(bundle))
    assert set(facts) >= MANDATORY
    assert all(isinstance(facts[name], str) for name in ("version", "monai_version", "pytorch_version", "task"))
    data = facts["network_data_format"]
    for tensor in (*data["inputs"].values(), *data["outputs"].values()):
        assert set(tensor) >= TENSOR
        assert len(tensor["channel_def"]) == tensor["num_channels"]
    assert data["inputs"]["ct"]["spatial_shape"] == ["*", 16, 16]
    assert list(data["outputs"]["pred"]["channel_def"].values()) == ["any", "subdural", "epidural"]
    assert facts["eval_metrics"] == {"validation_auroc": 0.9, "validation_n": 10}
    readme = (folder / "docs" / "README.md").read_text()
    assert "hashes of the training patients" in readme
    assert "not a medical device" in readme


def test_every_target_of_the_configuration_exists() -> None:
    from pydoc import locate

    def targets(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["_target_"]] if "_target_" in node else []
            return own + [t for v in node.values() for t in targets(v)]
        return [t for v in node for t in targets(v)] if isinstance(node, list) else []

    found = targets(inference())
    assert len(found) == 3
    assert all(callable(locate(name)) for name in found)


def test_a_folder_without_cases_is_refused(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    predictor = Predictor(tiny_bundle())
    (tmp_path / "none").mkdir()
    for name in ("none", "missing"):
        with pytest.raises(UsageError, match="There are no cases in"):
            predict_folder(predictor, tmp_path / name, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


@pytest.mark.train
@pytest.mark.slow
def test_cases_of_several_roles_are_folders_by_role(tmp_path: Path) -> None:
    bundle = fused_bundle(tmp_path)
    cases = tmp_path / "cases"
    for name in ("one/ct", "one/mri", "two/ct.2", "two/ct", "three/pet", "four"):
        (cases / name).mkdir(parents=True)
    (cases / "one" / "ct" / "1.dcm").write_bytes(dicom())
    (cases / "one" / "mri" / "1.dcm").write_bytes(dicom("MR"))
    (cases / "two" / "ct" / "1.dcm").write_bytes(dicom(seed=1))
    (cases / "two" / "ct.2" / "1.dcm").write_bytes(dicom(seed=2))
    (cases / "three" / "pet" / "1.dcm").write_bytes(dicom())
    predictor = Predictor(bundle)
    found = {one["case"]: one for one in predict_folder(predictor, cases, tmp_path / "out.json")["results"]}
    said = CliRunner().invoke(
        predict,
        [str(bundle.path), "--scan", f"ct={cases / 'two' / 'ct'}", "--scan", f"ct={cases / 'two' / 'ct.2'}", "--json"],
        catch_exceptions=False,
    )
    (due,) = json.loads(said.stdout)["results"]
    assert found["two"]["probabilities"] == due["probabilities"]
    assert found["one"]["probabilities"] != found["two"]["probabilities"]
    assert "holds pet, and the model takes ct, mri" in found["three"]["error"]["message"]
    assert "holds nothing" in found["four"]["error"]["message"]
