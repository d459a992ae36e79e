"""What identifies a patient is nowhere in what is written: names, headers, reports, screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner, Result
from tests.cohort.deidentify import canaries

from insula.cli.main import main
from insula.cohort.deidentify.profile import OPTIONS
from insula.scans.read import read_files

KEY = "a key that is long enough"
DATES = {"shifted-dates": "shift", "full-dates": "keep"}


def deidentify(source: Path, out: Path, *more: str) -> Result:
    arguments = ["deidentify", str(source), "--out", str(out), "--burned-in", "keep", *more]
    return CliRunner().invoke(main, arguments, env={"INSULA_DEID_KEY": KEY})


def everything(out: Path, *said: str) -> bytes:
    """All bytes below a folder, the names of its files and folders, and what was printed."""
    parts = [path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()]
    names = [path.relative_to(out).as_posix().encode() for path in out.rglob("*")]
    return b"\n".join([*parts, *names, *(text.encode() for text in said)])


def left(known: canaries.Canaries, seen: bytes) -> dict[str, bytes]:
    return {name: value for name, value in known.found_by.items() if value in seen}


def copied(out: Path) -> pydicom.Dataset:
    (path,) = out.rglob("*.dcm")
    return pydicom.dcmread(path)


@pytest.fixture
def source(tmp_path: Path) -> tuple[Path, canaries.Canaries]:
    image, known = canaries.made()
    path = tmp_path / "CNFOLDER" / "CNPATIENT^DOE" / "CNFILE 19991231.dcm"
    canaries.write(path, image)
    known.found_by |= {"root": b"CNFOLDER", "folder": b"CNPATIENT", "file": b"CNFILE", "date in a name": b"19991231"}
    return tmp_path / "CNFOLDER", known


def test_the_canaries_are_in_the_source(source: tuple[Path, canaries.Canaries]) -> None:
    folder, known = source
    seen = everything(folder.parent)
    assert [name for name in known.found_by if known.found_by[name] not in seen] == []
    assert len(known.found_by) > 700


def test_nothing_of_any_attribute_is_left(source: tuple[Path, canaries.Canaries], tmp_path: Path) -> None:
    folder, known = source
    got = deidentify(folder, tmp_path / "new", "--dates", "remove", "--json")
    assert got.exit_code == 0, got.output
    assert left(known, everything(tmp_path / "new", got.stdout, got.stderr)) == {}


@pytest.mark.parametrize("tail", [b"CNTRAILING", b"\0" * 64 + b"CNTRAILING" + b"\0" * 64, b"\0CNTRAILING\0" * 900])
def test_bytes_behind_the_dataset_are_not_copied(tail: bytes, source: tuple[Path, Any], tmp_path: Path) -> None:
    folder, _ = source
    (path,) = folder.rglob("*.dcm")
    path.write_bytes(path.read_bytes() + tail)
    got = deidentify(folder, tmp_path / "new", "--json")
    assert got.exit_code in (0, 30), got.output  # copied without them, or not copied at all
    assert b"CNTRAILING" not in everything(tmp_path / "new", got.stdout, got.stderr)


def test_with_shifted_dates_only_times_of_day_are_left(source: tuple[Path, canaries.Canaries], tmp_path: Path) -> None:
    folder, known = source
    got = deidentify(folder, tmp_path / "new")
    assert got.exit_code == 0, got.output
    times = {
        r.keyword or r.tag for r in canaries.listed() if "shifted-dates" in r.options and canaries.vr_of(r) == "TM"
    }
    assert set(left(known, everything(tmp_path / "new", got.stdout, got.stderr))) <= times


@pytest.mark.parametrize("option", [name for name in OPTIONS if name != "retain-safe-private"])
def test_an_option_keeps_its_own_attributes_and_no_other(
    option: str, source: tuple[Path, canaries.Canaries], tmp_path: Path
) -> None:
    folder, known = source
    how = ["--dates", DATES[option]] if option in DATES else ["--dates", "remove", "--option", option]
    got = deidentify(folder, tmp_path / "new", *how)
    assert got.exit_code == 0, got.output
    seen = everything(tmp_path / "new", got.stdout, got.stderr)
    kept = {r.keyword or r.tag for r in canaries.listed() if r.options.get(option) == "K" and canaries.vr_of(r) != "SQ"}
    bulk = {r.keyword for r in canaries.listed() if canaries.vr_of(r) in ("OB", "OW", "UN")}
    if option == "shifted-dates":
        kept |= {r.keyword or r.tag for r in canaries.listed() if option in r.options and canaries.vr_of(r) == "TM"}
    nested = {f"{r.keyword or r.tag}.SOPInstanceUID" for r in canaries.listed()} if option == "retain-uids" else set()
    nested |= {"nested EthnicGroup"} if option == "retain-patient" else set()
    stayed = set(left(known, seen))
    assert stayed - kept - nested == set()
    assert (kept & known.found_by.keys()) - stayed - bulk == set()
    codes = [item.CodeValue for item in copied(tmp_path / "new").DeidentificationMethodCodeSequence]
    assert codes == sorted(["113100", OPTIONS[option].code])


def test_private_attributes_stay_only_from_the_list_and_only_as_numbers(tmp_path: Path) -> None:
    image, known = canaries.made()
    block = image.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", "1000")
    block.add_new(0x08, "CS", "CNSIEMENS")
    other = image.private_block(0x0043, "GEMS_PARM_01", create=True)
    other.add_new(0x39, "LO", "CNTEXT")
    canaries.write(tmp_path / "old" / "a.dcm", image)
    known.found_by |= {"unlisted": b"CNSIEMENS", "text": b"CNTEXT"}
    got = deidentify(tmp_path / "old", tmp_path / "new", "--dates", "remove", "--option", "retain-safe-private")
    made = copied(tmp_path / "new")
    assert made.private_block(0x0019, "SIEMENS MR HEADER")[0x0C].value == 1000
    assert left(known, everything(tmp_path / "new", got.output)) == {}
    assert [tag for tag in made.keys() if tag.is_private and tag.group != 0x0019] == []  # noqa: SIM118


def test_the_copy_is_read_as_the_original(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.int16).reshape(6, 4) + 1000
    image, _ = canaries.made(pixels)
    canaries.write(tmp_path / "old" / "a.dcm", image)
    assert deidentify(tmp_path / "old", tmp_path / "new").exit_code == 0
    (path,) = (tmp_path / "new").rglob("*.dcm")
    before, after = read_files([tmp_path / "old" / "a.dcm"]), read_files([path])
    np.testing.assert_array_equal(before.array, after.array)
    np.testing.assert_array_equal(before.affine, after.affine)
    assert (before.units, before.modality) == (after.units, after.modality)
    made = pydicom.dcmread(path)
    assert made.preamble == bytes(128)
    assert made.PatientIdentityRemoved == "YES"
    assert made.LongitudinalTemporalInformationModified == "MODIFIED"
    assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID != image.SOPInstanceUID


def test_the_report_has_names_of_attributes_and_no_value(
    source: tuple[Path, canaries.Canaries], tmp_path: Path
) -> None:
    folder, _ = source
    deidentify(folder, tmp_path / "new", "--dates", "remove")
    report: dict[str, Any] = json.loads((tmp_path / "new" / "report.json").read_text())
    counted = report["attributes"]
    missing = {r.keyword for r in canaries.listed() if r.keyword and r.keyword not in counted}
    assert missing == set()
    assert counted["StudyDescription"]["removed"] >= 1
    assert counted["private attribute"]["removed"] >= 7
    page = (tmp_path / "new" / "report.html").read_text()
    assert "StudyDescription" in page
    assert "anonym" not in page.lower()
