"""A whole folder: names, links between files, tables, going on after a stop, and what is refused."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from tests.scans.made_dicom import write

from insula.cli.main import main
from insula.cohort.deidentify import find_text, journal, keys, one
from insula.cohort.deidentify.keys import Key
from insula.cohort.deidentify.run import Job, _write_mapping, run
from insula.core.errors import CohortError, MissingPartError, UsageError

KEY = Key(b"a key of more than sixteen", True)
PIXELS = np.full((6, 4), 1030, np.int16)


def cli(*arguments: str, key: str | None = "a key of more than sixteen") -> Result:
    return CliRunner().invoke(main, ["deidentify", *arguments], env={keys.VARIABLE: key})


def job(source: Path, out: Path, **more: Any) -> Job:
    given: dict[str, Any] = {"options": frozenset({"shifted-dates"}), "burned_in": "keep"}
    return Job(source, out, **(given | more))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two patients: one with two visits of DICOM, one with pictures under a class's folder."""
    root = tmp_path / "old"
    for visit, date in enumerate(("20200101", "20200131")):
        for k in range(2):
            write(
                root / "ward" / f"visit {visit}" / f"{k}.dcm", PIXELS + k, PatientID="P1", PatientName="Doe^Jane",
                StudyInstanceUID=f"1.2.{visit}", StudyDate=date, SOPInstanceUID=f"1.2.{visit}.{k}",
            )  # fmt: skip
    for k in (2, 10, 1):
        (root / "stroke" / "P2").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((5, 5), k, np.uint8)).save(root / "stroke" / "P2" / f"doe_{k}.png")
    (root / "notes.txt").write_text("Jane Doe")
    return root


def files(out: Path) -> list[str]:
    return sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file() and p.parent != out)


def test_files_of_one_patient_stay_linked_and_intervals_stay(source: Path, tmp_path: Path) -> None:
    report = run(job(source, tmp_path / "new", keep_names=("Stroke",)), KEY)
    assert report.counts == {"written": 7, "quarantined": 0, "left out": 1, "blanked": 0}
    made = [pydicom.dcmread(p) for p in sorted((tmp_path / "new").rglob("*.dcm"))]
    assert {m.PatientID for m in made} == {KEY.name("P1")} == {str(m.PatientName) for m in made}
    days = sorted({pydicom.valuerep.DA(m.StudyDate) for m in made})
    assert (days[1] - days[0]).days == 30
    assert {m.StudyInstanceUID for m in made} == {KEY.uid("1.2.0"), KEY.uid("1.2.1")}
    assert len({m.SOPInstanceUID for m in made}) == 4


def test_folders_get_pseudonyms_and_files_keep_their_order(source: Path, tmp_path: Path) -> None:
    run(job(source, tmp_path / "new", keep_names=("Stroke",)), KEY)
    folder = f"stroke/{KEY.name('P2')}"
    assert [f for f in files(tmp_path / "new") if f.endswith("png")] == [f"{folder}/000{k}.png" for k in (1, 2, 3)]
    shades = [int(np.asarray(Image.open(tmp_path / "new" / folder / f"000{k}.png"))[0, 0]) for k in (1, 2, 3)]
    assert shades == [1, 2, 10]


def test_a_scan_and_its_sidecar_share_a_name(tmp_path: Path) -> None:
    import nibabel

    root = tmp_path / "old"
    root.mkdir()
    for name in ("b", "a"):
        nibabel.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4)).to_filename(root / f"{name}.nii.gz")
        (root / f"{name}.json").write_text('{"Modality": "MR", "PatientName": "x"}')
    run(job(root, tmp_path / "new"), KEY)
    copies = sorted(p.name for p in (tmp_path / "new").iterdir() if p.name[0] == "0")
    assert copies == ["0001.json", "0001.nii.gz", "0002.json", "0002.nii.gz"]


def test_the_same_key_gives_the_same_copy_and_another_another(source: Path, tmp_path: Path) -> None:
    for name, key in (("a", KEY), ("b", KEY), ("c", Key(b"another of sixteen", True))):
        run(job(source, tmp_path / name), key)
    first, second, third = ({f: (tmp_path / n / f).read_bytes() for f in files(tmp_path / n)} for n in "abc")
    assert first == second
    assert first.keys().isdisjoint(third.keys())


def test_nothing_is_written_into_the_source(source: Path, tmp_path: Path) -> None:
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in source.rglob("*") if p.is_file()}
    run(job(source, tmp_path / "new"), KEY)
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in source.rglob("*") if p.is_file()} == before


def test_a_stopped_run_goes_on_with_the_same_key_alone(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = one.process
    done: list[Path] = []

    def stop(path: Path, *rest: Any) -> Any:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(path)
        return whole(path, *rest)

    monkeypatch.setattr(one, "process", stop)
    out = tmp_path / "new"
    with pytest.raises(KeyboardInterrupt):
        run(job(source, out), KEY)
    text = (out / journal.NAME).read_text()
    assert not [word for word in ("Doe", "P1", "doe_", "ward") if word in text]
    (out / journal.NAME).write_text(text + '{"number": 4, "sou')  # a line that was cut
    monkeypatch.setattr(one, "process", whole)
    with pytest.raises(UsageError, match="another key"):
        run(job(source, out), Key(b"another of sixteen", True))
    with pytest.raises(UsageError, match="other options"):
        run(job(source, out, burned_in="quarantine"), KEY)
    calls: list[Path] = []

    def count(path: Path, *rest: Any) -> Any:
        calls.append(path)
        return whole(path, *rest)

    monkeypatch.setattr(one, "process", count)
    report = run(job(source, out), KEY)
    assert len(calls) == 8 - 3
    assert report.counts["written"] == 7
    assert not (out / journal.NAME).exists()
    with pytest.raises(UsageError, match="not empty"):
        run(job(source, out), KEY)


def test_labels_get_pseudonyms_paths_and_no_other_column(source: Path, tmp_path: Path) -> None:
    table = source / "labels.csv"
    table.write_text(
        "patient_id,label,any,scan,age,name,site\n"
        "P1,stroke,1,ward/visit 0,93,Jane Doe,North\n"
        "P2,normal,0,stroke/P2/doe_2.png,41,John Roe,South\n"
        "P3,normal,0,notes.txt,50,Max Moe,South\n"
    )
    report = run(job(source, tmp_path / "new", table=table, keep_columns=("age",)), KEY)
    rows = list(csv.DictReader((tmp_path / "new" / "labels.csv").read_text().splitlines()))
    assert [list(row) for row in rows] == [["patient_id", "label", "any", "scan", "age"]] * 2
    assert [row["age"] for row in rows] == ["90+", "41"]
    assert [row["patient_id"] for row in rows] == [KEY.name("P1"), KEY.name("P2")]
    assert rows[0]["scan"] == f"{KEY.name('ward')}/{KEY.name('visit 0')}"
    assert (tmp_path / "new" / rows[1]["scan"]).is_file()
    assert report.table is not None
    assert report.table.without_scan == 1
    assert report.table.dropped == ("name", "site")
    with pytest.raises(CohortError, match="no column 'weight'"):
        run(job(source, tmp_path / "other", table=table, keep_columns=("weight",)), KEY)


def test_an_old_name_that_begins_a_formula_is_none_in_the_mapping(tmp_path: Path) -> None:
    _write_mapping(tmp_path / "m.csv", [("patient", "=HYPERLINK(1)", "new"), ("patient", "P1", "other")])
    assert (tmp_path / "m.csv").read_text().splitlines()[1:] == ["patient,'=HYPERLINK(1),new", "patient,P1,other"]


def test_the_mapping_is_for_its_owner_and_outside(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "mapping.csv"
    run(job(source, tmp_path / "new", mapping=path), KEY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    rows = {(r["kind"], r["old"]): r["new"] for r in csv.DictReader(path.read_text().splitlines())}
    assert rows["patient", "P1"] == KEY.name("P1")
    assert rows["uid", "1.2.0"] == KEY.uid("1.2.0")
    assert rows["days", "P1"] == str(KEY.days("P1"))
    assert (tmp_path / "new" / rows["file", "ward/visit 0/0.dcm"]).is_file()
    for bad in (tmp_path / "new2" / "m.csv", source / "m.csv", path):
        with pytest.raises(UsageError, match=r"mapping|exists"):
            run(job(source, tmp_path / "new2", mapping=bad), KEY)


@pytest.mark.parametrize("out", [".", "deeper", ".."])
def test_folders_that_lie_in_each_other_are_refused(out: str, source: Path) -> None:
    with pytest.raises(UsageError, match="lie in each other"):
        run(job(source, source / out), KEY)


def test_a_file_that_fails_is_not_copied_and_the_exit_code_says_so(source: Path, tmp_path: Path) -> None:
    (source / "ward" / "Jane Doe.png").write_bytes(b"\x89PNG\r\n\x1a\nJane Doe")
    got = cli(str(source), "--out", str(tmp_path / "new"), "--burned-in", "keep", "--json")
    assert got.exit_code == 30
    content = json.loads(got.stdout)
    assert content["counts"] == {"written": 7, "quarantined": 1, "left out": 1, "blanked": 0}
    assert "Jane" not in got.output
    assert not [p for p in (tmp_path / "new").rglob("*") if p.is_file() and b"Jane" in p.read_bytes()]
    lines = list(csv.DictReader((tmp_path / "new" / "report.csv").read_text().splitlines()))
    assert [line["reason"] for line in lines if line["status"] == "quarantined"] == [
        "cannot be read without doubt: damaged, or of a form not known"
    ]


def test_without_a_key_the_text_says_that_runs_are_not_linked(source: Path, tmp_path: Path) -> None:
    got = cli(str(source), "--out", str(tmp_path / "new"), "--burned-in", "keep", key=None)
    assert "later runs give other pseudonyms" in got.output
    assert json.loads((tmp_path / "new" / "report.json").read_text())["linkable_to_later_runs"] is False


def test_blanking_without_tesseract_is_refused(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_text, "installed", lambda: None)
    with pytest.raises(MissingPartError, match="system-packages ocr"):
        run(job(source, tmp_path / "new", burned_in="blank"), KEY)
    assert not (tmp_path / "new").exists()


def test_an_index_of_files_is_left_out(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    folder.mkdir()
    index = pydicom.dcmread(str(pydicom.data.get_testdata_file("DICOMDIR")))
    index.save_as(folder / "DICOMDIR")
    (folder / "a.dcm").write_bytes((source / "ward" / "visit 0" / "0.dcm").read_bytes())
    report = run(job(folder, tmp_path / "new"), KEY)
    assert report.counts["left out"] == 1
    assert "index of files" in report.rows[1].reason


def test_what_stays_is_said_first_in_the_text_and_on_the_page(source: Path, tmp_path: Path) -> None:
    for path in (source / "ward").rglob("*.dcm"):
        made = pydicom.dcmread(path)
        made.PatientSex, made.PatientAge = "F", "063Y"
        made.save_as(path)
    options = ["--option", "retain-patient", "--keep-name", "stroke", "--burned-in", "keep"]
    done = cli(str(source), "--out", str(tmp_path / "new"), *options)
    kept = "Values of 2 attributes stay by options: PatientAge (4), PatientSex (4)."
    assert "KEPT in the copies:" in done.output
    assert kept in done.output
    assert "Dates stay, moved by the same number of days for each patient" in done.output
    assert "Folder names that stay: stroke." in done.output
    page = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    assert page.index(kept) < page.index("What was not looked at")
    content = json.loads((tmp_path / "new" / "report.json").read_text(encoding="utf-8"))
    assert content["kept"] == {"PatientAge": 4, "PatientSex": 4}
    plain = cli(str(source), "--out", str(tmp_path / "plain"), "--burned-in", "keep", "--dates", "remove")
    assert "KEPT" not in plain.output
