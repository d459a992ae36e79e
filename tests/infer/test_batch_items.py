"""What a folder is taken for, case by case."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom.uid import BasicTextSRStorage
from tests.scans.made_dicom import write
from tests.tiny_cohort import make

from insula.core import recipe as recipes
from insula.core.errors import ScanError, UsageError
from insula.core.recipe import Recipe
from insula.infer.batch_items import count_files, of_cohort, of_folder


def recipe(unit: str = "series", **more: str) -> Recipe:
    return recipes.parse(
        {
            "name": "tiny",
            "model": {"encoder": "simple_cnn"},
            "question": "Is it?",
            "inputs": {"ct": {"modality": "CT", "unit": unit, "prep": [{"resize": 16}]}, **more},
            "targets": {"answer": {"kind": "binary", "classes": ["no", "yes"]}},
        },
        "tiny",
    )


def test_each_series_is_a_case_by_its_folder(tmp_path: Path) -> None:
    make(tmp_path, patients=3, slices=2)
    found = list(of_folder(tmp_path, recipe()))
    assert [item.case.key for item in found] == ["0", "1", "2"]
    assert found[1].case.scans["ct"].paths == ("1/0.dcm", "1/1.dcm")
    assert all(item.headers and item.files == 2 and not item.aside and item.failure is None for item in found)
    assert count_files(tmp_path) == 6


def test_two_series_of_one_folder_are_two_cases_by_their_first_files(tmp_path: Path) -> None:
    make(tmp_path, patients=2, slices=2)
    for k in range(2):
        shutil.move(tmp_path / f"1/{k}.dcm", tmp_path / f"0/b{k}.dcm")
    assert [item.case.key for item in of_folder(tmp_path, recipe())] == ["0/0.dcm", "0/b0.dcm"]


def test_what_is_no_scan_is_set_aside_or_told(tmp_path: Path) -> None:
    make(tmp_path, patients=1, slices=2)
    pixels = np.full((24, 24), 1000, np.int16)
    place = {"ImagePositionPatient": [0.0, 0.0, 0.0]}
    write(tmp_path / "0/scout.dcm", pixels, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], **place)
    write(tmp_path / "0/mr.dcm", pixels, Modality="MR", SeriesInstanceUID="1.9", **place)
    (tmp_path / "0/note.txt").write_text("no scan")
    (tmp_path / "0/.hidden").write_text("not looked at")
    (tmp_path / "empty.dcm").touch()
    found = {item.case.key: item for item in of_folder(tmp_path, recipe())}
    assert found["0/scout.dcm"].aside == "localiser"
    assert found["0/mr.dcm"].aside == "modality MR"
    assert "is no scan by its content" in str(found["0/note.txt"].failure)
    assert "is empty" in str(found["empty.dcm"].failure)
    assert found["0"].case.scans["ct"].paths == ("0/0.dcm", "0/1.dcm")
    assert len(found) == 5


def test_a_file_that_ends_within_its_header_is_told_wherever_it_ends(tmp_path: Path) -> None:
    """Where it ended between two elements it was counted among what is no picture, and had no row."""
    pixels = np.full((2, 2), 1000, np.int16)
    whole = write(tmp_path / "whole.dcm", pixels).read_bytes()
    rows = whole.index(b"\x28\x00\x10\x00US")
    (tmp_path / "cut").mkdir()
    for length in range(132, rows, 2):
        (tmp_path / f"cut/{length}.dcm").write_bytes(whole[:length])
    found = list(of_folder(tmp_path / "cut", recipe()))
    assert len(found) == len(range(132, rows, 2))
    assert all(isinstance(item.failure, ScanError) and not item.aside for item in found)
    assert any("ends within its header" in str(item.failure) for item in found)


def test_a_file_that_holds_no_picture_by_its_kind_is_set_aside(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("Rows", "Columns", "PixelData"))
    pixels = np.ones((2, 2), np.int16)
    write(tmp_path / "report.dcm", pixels, SOPClassUID=BasicTextSRStorage, Modality="SR", **nothing)
    write(tmp_path / "other.dcm", pixels, Modality="MR", SeriesInstanceUID="1.9", **nothing)
    assert [item.aside for item in of_folder(tmp_path, recipe())] == ["no picture", "no picture"]


def test_a_folder_that_is_not_there_and_a_file_are_told(tmp_path: Path) -> None:
    (tmp_path / "one.dcm").touch()
    with pytest.raises(ScanError, match=r"There is no folder '.*nope'"):
        of_folder(tmp_path / "nope", recipe())
    with pytest.raises(UsageError, match=r"one\.dcm' is a file and no folder of scans; .* leave out --out"):
        of_folder(tmp_path / "one.dcm", recipe())


def test_pictures_are_a_stack_for_series_and_cases_of_their_own_for_pictures(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for k in range(3):
        cv2.imwrite(str(tmp_path / f"a/{k}.png"), np.full((20, 20), 40 * k, np.uint8))
    assert [item.case.key for item in of_folder(tmp_path, recipe())] == ["a"]
    keys = [item.case.key for item in of_folder(tmp_path, recipe("image"))]
    assert keys == ["a/0.png", "a/1.png", "a/2.png"]


def test_a_change_of_a_file_is_another_content(tmp_path: Path) -> None:
    make(tmp_path, patients=2, slices=1)
    before = [item.content for item in of_folder(tmp_path, recipe())]
    (tmp_path / "1/0.dcm").write_bytes((tmp_path / "1/0.dcm").read_bytes() + b"\0")
    after = [item.content for item in of_folder(tmp_path, recipe())]
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_a_cohort_gives_its_cases_in_its_order(tmp_path: Path) -> None:
    cohort = make(tmp_path, patients=3)
    found = list(of_cohort(cohort, recipe()))
    assert [item.case for item in found] == list(cohort.cases)
    assert not any(item.headers for item in found)


def test_several_inputs_need_a_cohort(tmp_path: Path) -> None:
    two = recipe(mr={"modality": "MR", "prep": [{"resize": 16}]})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="insula join"):
        of_folder(tmp_path, two)
