from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.serve.client import dicom
from tests.serve.models import two_roles

from insula.bundle.types import Bundle
from insula.core.errors import ScanError, UnsuitableScanError
from insula.core.recipe_policy import Source
from insula.core.types import Case, Scan
from insula.infer.decide import decide
from insula.infer.predict import Predictor
from insula.infer.uncertainty import asked
from insula.infer.writers import as_dict
from insula.serve.faults import RequestError
from insula.serve.models.loaded import Loaded

pytestmark = pytest.mark.serve


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """A model of two roles, with clinical columns."""
    return Loaded(two_roles.bundle(tmp_path_factory.mktemp("two")), 1)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, list[Path]]:
    """Two CT series and one of MR, as they lie in a file store."""
    found: dict[str, list[Path]] = {}
    for scan, modality, count, seed in (("ct", "CT", 3, 0), ("ct.2", "CT", 2, 9), ("mri", "MR", 2, 5)):
        found[scan] = []
        for number in range(1, count + 1):
            path = tmp_path / f"{scan}-{number}"
            path.write_bytes(dicom(modality, number, seed=seed))
            found[scan].append(path)
    return found


ASK: tuple[Source, ...] = ("dropout",)


def test_a_study_of_several_scans_is_predicted_as_the_predictor_predicts_the_case(
    model: Loaded, files: dict[str, list[Path]]
) -> None:
    known = {"age": "63", "sex": "F"}
    got = model.study(files, "k", known, ASK)
    alone = Predictor(model.bundle, 1)
    scans = {scan: Scan(tuple(str(p) for p in paths), "dicom") for scan, paths in files.items()}
    due = alone.case(Case("k", "p", scans, {}, known), Path("/"), ask=asked(model.bundle, ASK))
    assert as_dict(got.prediction, got.decision) == as_dict(due, decide(due, model.bundle))
    assert list(got.prediction.heatmaps) == ["ct", "ct.2", "mri"]
    assert {role: [len(bag) for bag in bags] for role, bags in got.views.items()} == {"ct": [3, 2], "mri": [2]}
    assert [volume.modality for volume in got.volumes["ct"]] == ["CT", "CT"]
    assert "dropout" in got.prediction.uncertainty


def test_what_is_known_of_the_patient_and_each_scan_count(model: Loaded, files: dict[str, list[Path]]) -> None:
    whole = model.study(files, "k", {"age": "63", "sex": "F"}).prediction
    older = model.study(files, "k", {"age": "20", "sex": "M"}).prediction
    without = model.study({"ct": files["ct"], "mri": files["mri"]}, "k", {"age": "63", "sex": "F"}).prediction
    assert np.abs(whole.probabilities - older.probabilities).max() > 1e-4
    assert np.abs(whole.probabilities - without.probabilities).max() > 1e-6


def test_a_role_that_is_missing_is_said(model: Loaded, files: dict[str, list[Path]]) -> None:
    got = model.study({"mri": files["mri"]}, "k")
    assert "no scan for 'ct': predicted without it" in got.prediction.warnings
    assert model.overlay(got) is None  # the map is that of the first role's scan


@pytest.mark.parametrize(
    ("names", "code"),
    [(("pet",), "unknown_role"), ((), "no_scan"), (("ct.2",), "no_scan"), (("ct", "ct.3"), "no_scan")],
)
def test_scans_that_the_model_does_not_take_are_refused(
    model: Loaded, files: dict[str, list[Path]], names: tuple[str, ...], code: str
) -> None:
    with pytest.raises(RequestError) as caught:
        model.study(dict.fromkeys(names, files["ct"]), "k")
    assert (caught.value.status, caught.value.fault_code) == (422, code)


def test_a_scan_of_another_modality_or_none_is_an_error_without_our_folders(
    model: Loaded, files: dict[str, list[Path]], tmp_path: Path
) -> None:
    with pytest.raises(UnsuitableScanError):
        model.study({"ct": files["mri"]}, "k")
    (tmp_path / "rubbish").write_bytes(b"rubbish" * 100)
    with pytest.raises(ScanError) as caught:
        model.study({"ct": [tmp_path / "rubbish"]}, "k")
    assert str(tmp_path) not in str(caught.value)


def test_runs_go_through_the_batcher(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    loaded = Loaded(tiny_bundle().path, 1)
    (tmp_path / "x.dcm").write_bytes(dicom())
    assert loaded.batcher.calls == 0
    loaded.study({"ct": [tmp_path / "x.dcm"]}, "k")
    assert (loaded.batcher.calls, loaded.batcher.cases) == (1, 1)
    assert loaded.predictor.engine is loaded.batcher
    assert loaded.batcher.most == loaded.gain.most
