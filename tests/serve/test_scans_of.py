"""Which of a study's files are which input: by their roles, by their headers, and as they came where they have none."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.serve.client import dicom, nifti
from tests.tiny_bundle import make

from insula.bundle.types import Bundle
from insula.serve.faults import RequestError
from insula.serve.scans_of import by_scan, scans_of

pytestmark = pytest.mark.serve


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make(Path(tmp_path_factory.mktemp("bundle")), unit="series")


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_scans_without_headers_are_each_a_scan_of_the_one_input(bundle: Bundle, tmp_path: Path) -> None:
    first, second = (put(tmp_path, name, nifti(tmp_path)) for name in ("1", "2"))
    found = scans_of({"scan": [first], "scan.2": [second]}, bundle.recipe, {})
    assert found == {"ct": [first], "ct.2": [second]}


def test_series_of_joined_studies_are_told_apart_by_their_headers(bundle: Bundle, tmp_path: Path) -> None:
    mr = put(tmp_path, "mr", dicom("MR", series="1.2.7"))
    ct = put(tmp_path, "ct", dicom("CT", series="1.2.8"))
    other = put(tmp_path, "other", nifti(tmp_path))
    assert scans_of({"scan": [mr], "scan.2": [ct], "scan.3": [other]}, bundle.recipe, {}) == {"ct": [ct]}


def test_a_study_without_a_scan_for_the_model_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    for files in ({}, {"photo": [put(tmp_path, "a", nifti(tmp_path))]}):
        with pytest.raises(RequestError, match="no scan for this model"):
            scans_of(files, bundle.recipe, {})


def test_scans_have_the_names_that_their_heat_has() -> None:
    chosen = {role: [Path(role)] for role in ("mri", "ct.10", "ct.9", "ct.2")}
    assert by_scan(chosen) == {
        "ct": [Path("ct.2")],
        "ct.2": [Path("ct.9")],
        "ct.3": [Path("ct.10")],
        "mri": [Path("mri")],
    }
    assert list(by_scan(chosen)) == ["ct", "ct.2", "ct.3", "mri"]
