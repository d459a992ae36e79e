"""Names, references and identifiers that lead out of their folder: nothing outside is read or written."""

from __future__ import annotations

import io
import json
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID
from tests.faults.made_doors import STUDIES
from tests.faults.tally import Tally, sizes
from tests.scans import made_dicom
from tests.scans.test_dicomdir import medium
from tests.serve.api.made import Made
from tests.serve.client import dicom
from tests.serve.dicomweb.made import RULES, message, with_rules
from tests.tiny_bundle import recipe

from insula.cohort import labels, table
from insula.cohort.deidentify import names as planned_names
from insula.cohort.deidentify.keys import Key
from insula.core.errors import CohortError, InsulaError
from insula.scans import read
from insula.serve.pacs.received import RefusedInstanceError
from insula.serve.pacs.saved import save

pytestmark = [pytest.mark.serve, sizes("form", "short", "full")]
SECRET = 777.0
ROW = "PT000000\\ST000000\\SE000000\\IM000000"


class Ground:
    """A folder to be kept to, and around it what may be neither read nor written: a scan, and files of other names."""

    def __init__(self, place: Path) -> None:
        self.inside, self.outside = place / "root" / "inside", place / "root" / "outside"
        self.inside.mkdir(parents=True)
        self.outside.mkdir()
        for name in ("secret.dcm", "x", "evil.dcm"):
            made_dicom.write(self.outside / name, np.full((4, 4), SECRET, np.int16), RescaleIntercept=0.0)
        self.place, self.before = place, self._all(place)

    def names(self) -> list[str]:
        """Names that lead to what lies outside, or to places where nothing should be, in many spellings."""
        there = str(self.outside / "x")
        climbs = ["../outside/x", "a/../../outside/x", "./../outside/x", "..\\outside\\x", "a\\..\\..\\outside\\x"]
        climbs += ["..//outside//x", "../../root/outside/x", "..%2foutside%2fx", "%2e%2e/outside/x", "..\0/outside/x"]
        climbs += ["..;/outside/x", "\u2025/outside/x", "．．/outside/x", "..\u2215outside\u2215x", "x\0.dcm", "\0"]
        whole = [there, f"/{there}", f"//{there}", f"file://{there}", f"\\\\?\\{there}", f"~/../..{there}", "/dev/zero"]
        windows = ["C:\\x", "c:x", "C:/x", "\\\\host\\share\\x", "CON", "aux.dcm", "NUL", "com1.dcm", "x:stream", "a."]
        odd = [
            "",
            ".",
            "..",
            "...",
            " ",
            "\n",
            "a\nb",
            "a\rb",
            "\x1b[2J",
            "\u202emcd.x",
            "-rf",
            "--",
            "$(touch x)",
            "`id`",
        ]
        return [*climbs, *whole, *windows, *odd, "a" * 300, "a/" * 900 + "x", "é" * 200, "\ud800"]

    def touched(self) -> list[str]:
        """What is no longer as it was outside of the folder."""
        now = self._all(self.place)
        return sorted(
            str(path) for path in now.keys() | self.before.keys()
            if now.get(path) != self.before.get(path) and not path.is_relative_to(self.inside)
        )  # fmt: skip

    def _all(self, place: Path) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def form() -> str:
    """Which form of a test runs: both try the same where there is no more to try."""
    return "short"


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path / "ground")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = Path(tmp_path_factory.mktemp("paths"))
    with with_rules(folder, f"sqlite:///{folder}/insula.db", RULES) as found:
        yield found


def shows_secret(volume: Any) -> bool:
    return bool((volume.array == SECRET).any())


def zipped(name: str, data: bytes, mode: int = 0) -> bytes:
    """A zip with a good slice and one member more, whose name is kept byte for byte. mode: its Unix mode."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("good.dcm", dicom())
        entry = zipfile.ZipInfo("stand-in")
        entry.filename = entry.orig_filename = name
        entry.external_attr = mode << 16
        packed.writestr(entry, data)
    return stream.getvalue()


def test_names_in_zips_lead_nowhere(ground: Ground, made: Made, tally: Tally) -> None:
    kinds = {
        "plain": 0,
        "link": stat.S_IFLNK | 0o777,
        "device": stat.S_IFCHR | 0o666,
        "pipe": stat.S_IFIFO,
        "socket": stat.S_IFSOCK,
    }
    failed: list[tuple[object, ...]] = []
    count = 0
    for name in (n for n in ground.names() if "\ud800" not in n):
        for kind, mode in kinds.items() if name == "../outside/x" else [("plain", 0)]:
            path = ground.inside / "a.zip"
            path.write_bytes(zipped(name or "empty/", dicom(number=2), mode))
            count += 1
            with suppress(InsulaError):
                failed += [(name, kind)] if shows_secret(read.read(path)) else []
    for kind, mode in kinds.items():
        count += 1
        path.write_bytes(zipped("more.dcm", str(ground.outside / "secret.dcm").encode(), mode))
        with suppress(InsulaError):
            failed += [("more.dcm", kind)] if shows_secret(read.read(path)) else []
    for name in ("../outside/x", "/etc/x", "C:\\x"):
        count += 1
        answer = made.client("reader").post(
            STUDIES, data={"project": made.inside, "patient": "Z"}, files=[("files", ("a.zip", zipped(name, dicom())))]
        )
        failed += [] if 400 <= answer.status_code < 500 else [(name, answer.status_code)]
    tally.tried("names, links and devices in zips", count, failed=len(failed), leaked=len(ground.touched()))


def test_a_tar_is_not_opened(ground: Ground, tally: Tally) -> None:
    for kind in (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        path = ground.inside / "a.tar"
        with tarfile.open(path, "w") as packed:
            entry = tarfile.TarInfo("../outside/x")
            entry.type, entry.linkname = kind, str(ground.outside / "secret.dcm")
            packed.addfile(entry)
        with pytest.raises(InsulaError, match="is a tar archive"):
            read.read(path)
    tally.tried("links and devices in tars", 5, leaked=len(ground.touched()))


def test_references_of_an_index_lead_nowhere(ground: Ground, tally: Tally) -> None:
    path = medium(ground.inside / "cd")
    raw, count, failed = path.read_bytes(), 0, []
    for name in [*ground.names(), "..\\..\\outside\\secret.dcm", "PT000000\\..\\..\\..\\OUTSIDE\\X"]:
        try:
            told = name.encode("latin-1")
        except UnicodeEncodeError:
            told = name.encode("utf-8", "replace")
        if len(told) > len(ROW):
            continue
        count += 1
        path.write_bytes(raw.replace(ROW.encode(), told.ljust(len(ROW), b" ")))
        with suppress(InsulaError):
            failed += [name] if shows_secret(read.read(path)) else []
    link = ground.inside / "cd" / "PT000000" / "ST000000" / "SE000000" / "IM000000"
    path.write_bytes(raw)
    link.unlink()
    link.symlink_to(ground.outside / "secret.dcm")
    with pytest.raises(InsulaError, match="link"):
        read.read(path)
    tally.tried("references of a DICOMDIR", count + 1, failed=len(failed), leaked=len(ground.touched()))


def test_tables_of_labels_and_of_cases_lead_nowhere(ground: Ground, tally: Tally) -> None:
    target, passed, count = recipe().target, [], 0
    made_dicom.write(ground.inside / "here.dcm", np.zeros((4, 4), np.int16))
    (ground.inside / "door").symlink_to(ground.outside)
    names = [*ground.names(), "door/secret.dcm", "door"]
    for name in (n for n in names if n.strip() and "\ud800" not in n):
        for column in ("scan", "mask"):
            path = ground.inside / "labels.csv"
            quoted = name.replace('"', '""')
            path.write_text(f'patient_id,label,{column}\nP1,stroke,"{quoted}"\n', encoding="utf-8", newline="")
            count += 1
            try:
                rows = labels.read(path, target, ground.inside)
                place = (ground.inside / (getattr(rows[0], column) or ".")).resolve()
                passed += [] if place.is_relative_to(ground.inside.resolve()) else [(column, name)]
            except CohortError:
                pass
        count += 1
        scan = {"paths": [name], "format": "dicom", "study_uid": "", "series_uid": "", "mask": name, "attributes": {}}
        passed += _loaded(ground.inside / "cases.csv", scan, name)
    assert labels.read(_labels(ground.inside, "here.dcm"), target, ground.inside)[0].scan == "here.dcm"
    tally.tried("paths in tables of labels and cases", count, failed=len(passed), leaked=len(ground.touched()))
    assert not passed


def _labels(folder: Path, name: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(f"patient_id,label,scan\nP1,stroke,{name}\n", encoding="utf-8")
    return path


def _loaded(path: Path, scan: dict[str, Any], name: str) -> list[tuple[str, str]]:
    """What is wrong where a table of cases with one scan is taken: a path that is absolute or climbs."""
    cell = json.dumps({"ct": scan}).replace('"', '""')
    path.write_text(f'key,patient,split,labels,attributes,scans\nk,P1,,{{}},{{}},"{cell}"\n', encoding="utf-8")
    schema: dict[str, Any] = {
        "format": "insula-cohort",
        "version": 1,
        "root": str(path.parent),
        "split_level": "",
        "patient_ids": True,
        "cases": 1,
    }
    table.schema_path(path).write_text(json.dumps(schema), encoding="utf-8")
    try:
        found = table.load(path).cases[0].scans["ct"]
    except CohortError:
        return []
    parts = [part for p in (*found.paths, found.mask) for part in p.replace("\\", "/").split("/")]
    bad = ".." in parts or any(p.startswith("/") or "\0" in p for p in (*found.paths, found.mask))
    return [("cases", name)] if bad else []


def changed(**values: str) -> bytes:
    """A slice whose identifiers are what a sender says, written without a look at them."""
    one = pydicom.dcmread(io.BytesIO(dicom()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
        patch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.IGNORE)
        for name, value in values.items():
            setattr(one, name, value)
        if "SOPInstanceUID" in values:
            one.file_meta.MediaStorageSOPInstanceUID = UID(values["SOPInstanceUID"])
        stream = io.BytesIO()
        one.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


UIDS: Sequence[str] = (
    *("../../x", "/etc/x", "1.2/../../x", "1.2\\..\\x", "..", ".", "1..2", "1.2.3/4", "C:\\x", "1.2.3 ", "a"),
    *("1.2.3%00", "-rf", "1.2.3;x", "*", "1.2.3\n4", "9" * 65, "1." * 40 + "1", "x' OR '1'='1"),
)


def test_identifiers_from_the_network_name_no_place(ground: Ground, made: Made, tally: Tally) -> None:
    failed: list[tuple[object, ...]] = []
    count, stored = 0, Path(made.settings.files)
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID"):
        for uid in UIDS:
            data = changed(**{keyword: uid})
            count += 2
            answer = made.client("reader").post("/dicom-web/studies", **message([data]))
            failed += [] if answer.status_code in (200, 202, 400, 409) else [(keyword, uid, answer.status_code)]
            try:
                path = save(ground.inside / "got", data)
                failed += [] if path.parent == ground.inside / "got" else [(keyword, uid, str(path))]
            except RefusedInstanceError:
                pass
    names = {path.name for path in stored.rglob("*") if path.is_file()}
    failed += [("stored", name, "") for name in names if not all(c in "0123456789abcdef" for c in name)]
    paths = (
        "studies/../x",
        "studies/1.2.3/series/..%2f..",
        "studies/%2e%2e/series",
        "studies/1/instances/..\\x",
        "workitems/..%2fx",
    )
    for address in paths:
        count += 1
        answer = made.client("reader").get(f"/dicom-web/{address}")
        failed += [] if answer.status_code in (400, 404, 405, 422) else [(address, answer.status_code)]
    tally.tried(
        "UIDs of objects and addresses from the network", count, failed=len(failed), leaked=len(ground.touched())
    )


def test_cleaning_goes_through_no_link(ground: Ground, tally: Tally) -> None:
    made_dicom.write(ground.inside / "here.dcm", np.zeros((4, 4), np.int16))
    links: dict[str, Callable[[], Path]] = {
        "to a scan": lambda: ground.outside / "secret.dcm",
        "to a folder": lambda: ground.outside,
        "to itself": lambda: ground.inside / "to itself",
        "to the root": lambda: Path("/"),
        "to a device": lambda: Path("/dev/zero"),
    }
    for name, target in links.items():
        (ground.inside / name).symlink_to(target())
    planned = [item.relative for item in planned_names.plan(ground.inside, Key(b"k" * 32, lasting=True), ())]
    tally.tried(
        "links in a folder that is cleaned", len(links), failed=planned != ["here.dcm"], leaked=len(ground.touched())
    )
