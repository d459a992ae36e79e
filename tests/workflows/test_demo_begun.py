"""A demo that was stopped goes on where it was asked for in the same way, and says what it keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from insula.core.errors import UsageError
from insula.workflows.demo_begun import begin, patients_made
from insula.workflows.demo_finished import DONE


def begun(folder: Path, patients: int = 20, *overrides: str) -> tuple[str, str]:
    said: list[str] = []
    return begin(folder, "haemorrhage-ct", patients, overrides, said.append), " ".join(said)


def stopped(folder: Path) -> Path:
    """A demo whose patients are made, with a bundle that may be half written."""
    assert begun(folder) == ("", "")
    (folder / "cohort" / "dicom").mkdir(parents=True)
    (folder / "bundle").mkdir()
    patients_made(folder, folder / "cohort" / "dicom")
    return folder


def test_the_same_demo_goes_on_with_its_patients_and_epochs(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "demo")
    kept, said = begun(folder)
    assert (kept, said) == (
        "cohort/dicom",
        f"'{folder}' holds this demo unfinished; it goes on, and its patients are kept.",
    )
    assert (folder / kept).is_dir()
    assert not (folder / "bundle").exists()
    (folder / "run" / "checkpoints").mkdir(parents=True)
    assert "its patients and finished epochs are kept" in begun(folder)[1]
    assert (folder / "run" / "checkpoints").is_dir()


def test_another_demo_is_made_anew_and_says_so(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "demo")
    assert begun(folder, 21) == (
        "",
        f"'{folder}' holds a demo of other settings that was not finished; it is made anew.",
    )
    assert not (folder / "cohort").exists()
    patients_made(folder, folder / "cohort")
    assert "other settings" in begun(folder, 21, "train.epochs=1")[1]


def test_a_finished_demo_and_one_without_patients_are_made_anew_and_say_so(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "demo")
    (folder / DONE).write_text("{}")
    assert begun(folder) == ("", f"'{folder}' holds a finished demo; it is made anew.")
    assert "before its patients were made" in begun(folder)[1]


def test_a_demo_whose_folder_was_moved_is_made_anew(tmp_path: Path) -> None:
    stopped(tmp_path / "demo").rename(tmp_path / "moved")
    assert begun(tmp_path / "moved")[0] == ""


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(UsageError, match="no earlier demo made it"):
        begun(tmp_path)
    assert (tmp_path / "mine.txt").is_file()
