from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom.fileset import FileSet
from tests.scans.bundled import bundled
from tests.scans.made_dicom import dataset

from insula.core.errors import LimitError, ScanError
from insula.scans import catalogue, dicomdir
from insula.scans.limits import Limits
from insula.scans.read import read, sniff

MEDIUM = bundled("README.txt").parent
if not (MEDIUM / "77654033").is_dir():
    MEDIUM = next(p.parent for p in MEDIUM.parent.rglob("77654033"))


def medium(folder: Path) -> Path:
    """A file set of one series, written by pydicom."""
    files = FileSet()
    for k in range(3):
        made = dataset(np.full((4, 4), 1024 + k, np.int16), ImagePositionPatient=[0.0, 0.0, 5.0 * k])
        made.PatientName, made.StudyDate, made.StudyTime, made.StudyID = "A", "20200101", "120000", "1"
        made.SeriesNumber, made.InstanceNumber, made.AccessionNumber = 1, k + 1, ""
        files.add(made)
    files.write(folder)
    files._stage["t"].cleanup()  # pydicom leaves it to the garbage collector, with a warning
    return folder / "DICOMDIR"


@pytest.mark.parametrize("name", ["DICOMDIR", "DICOMDIR-bigEnd", "DICOMDIR-implicit", "DICOMDIR-nooffset"])
def test_pydicoms_own_media_list_their_series_and_one_is_chosen(name: str) -> None:
    path = MEDIUM / name
    assert sniff(path) == "dicomdir"
    found = catalogue.of(path)
    assert len(found) == 13
    assert sum(len(e.files) for e in found) == 31
    chosen = next(e for e in found if e.description == "SmartScore - Gated 0.5 sec")
    assert (chosen.modality, chosen.slices, chosen.geometry) == ("CT", 5, "5 slices of 16x16 2.5 mm apart, axial")
    assert read(path, series=str(chosen.number)).array.shape == (1, 5, 16, 16)
    assert (read(path, series=chosen.uid).array == read(path, series=str(chosen.number)).array).all()
    with pytest.raises(ScanError, match=r"holds 13 series .* choose one by its number or UID"):
        read(path)
    with pytest.raises(ScanError, match="no series '77'"):
        read(path, series="77")


def test_one_series_is_read_and_missing_files_are_counted(tmp_path: Path) -> None:
    path = medium(tmp_path)
    assert read(path).array[0, :, 0, 0].tolist() == [0.0, 1.0, 2.0]
    assert read(tmp_path).array.shape == (1, 3, 4, 4)  # the folder, its index passed over
    dicomdir.files(path)[0][2].unlink()
    assert read(path).warnings == ("1 file of the index missing",)
    shutil.rmtree(tmp_path / "PT000000")
    with pytest.raises(ScanError, match="an index of 3 files and none of them is there"):
        read(path)


def test_names_are_found_in_either_case(tmp_path: Path) -> None:
    path = medium(tmp_path)
    (tmp_path / "PT000000").rename(tmp_path / "pt000000")
    assert read(path).array.shape == (1, 3, 4, 4)


@pytest.mark.parametrize("reference", [b"..\\SECRET", b"/etc/passwd", b"PT000000\\..\\..\\X", b"C:\\X"])
def test_references_out_of_the_folder_are_refused(tmp_path: Path, reference: bytes) -> None:
    path = medium(tmp_path)
    raw = path.read_bytes()
    old = b"PT000000\\ST000000\\SE000000\\IM000000"
    assert raw.count(old) == 1
    path.write_bytes(raw.replace(old, reference.ljust(len(old), b" ")))
    with pytest.raises(ScanError, match="outside its folder"):
        read(path)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    path = medium(tmp_path / "cd")
    inside = dicomdir.files(path)[0][0]
    inside.rename(tmp_path / "elsewhere")
    inside.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ScanError, match="a link out of its folder"):
        read(path)


def test_an_index_of_too_many_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="more than 2 files"):
        dicomdir.files(medium(tmp_path), Limits(max_files=2))
