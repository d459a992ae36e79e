"""Objects to an archive by C-STORE: as they are, written anew where that is needed, and what is not taken."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian, JPEG2000Lossless, MRImageStorage
from tests.serve.pacs.made_peers import archive, content, folder_of, scan, settings

from insula.serve.pacs import dimse_store
from insula.serve.pacs.dimse import VERIFICATION
from insula.serve.pacs.outcome import Outcome, Ready, files_of, ready
from insula.serve.pacs.peer_errors import PeerRefusedError, PeerUnreachableError


def objects(folder: Path, *files: bytes) -> list[Ready]:
    return [ready(path) for path in files_of([folder_of(folder, files)])]


def packed() -> bytes:
    """An object whose pixels nobody here can read, as in JPEG 2000."""
    one = dcmread(BytesIO(scan()))
    one.file_meta.TransferSyntaxUID = JPEG2000Lossless
    one.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(60)])
    one["PixelData"].VR = "OB"
    one["PixelData"].is_undefined_length = True
    stream = BytesIO()
    one.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def test_objects_arrive_as_they_are(tmp_path: Path) -> None:
    sent = [scan(n) for n in range(1, 4)] + [packed()]
    told: list[Outcome] = []
    with archive(does=(CTImageStorage,), syntaxes=["1.2.840.10008.1.2.1", JPEG2000Lossless]) as there:
        known = settings(there.address)
        done = dimse_store.store(known, known.peer["archive"], objects(tmp_path, *sent), told.append)
    assert [one.taken for one in done] == [True] * 4
    assert told == done
    assert sorted(content(one) for one in there.stored) == sorted(content(one) for one in sent)


def test_an_uncompressed_object_is_written_anew_for_an_archive_that_takes_no_other(tmp_path: Path) -> None:
    with archive(does=(CTImageStorage,), syntaxes=[ImplicitVRLittleEndian]) as there:
        known = settings(there.address)
        (done,) = dimse_store.store(known, known.peer["archive"], objects(tmp_path, scan(7)))
    assert done == Outcome(done.ready, 0)
    stored, sent = dcmread(BytesIO(there.stored[0])), dcmread(BytesIO(scan(7)))
    assert stored.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert stored.PixelData == sent.PixelData
    assert stored.PatientName == sent.PatientName


def test_what_an_archive_does_not_take_is_said_of_each(tmp_path: Path) -> None:
    known_class = scan()
    other = dcmread(BytesIO(scan()))
    other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = MRImageStorage
    stream = BytesIO()
    other.save_as(stream, enforce_file_format=True)
    with archive(does=(CTImageStorage,)) as there:
        known = settings(there.address)
        done = dimse_store.store(
            known, known.peer["archive"], objects(tmp_path, known_class, packed(), stream.getvalue())
        )
    assert [(one.status, one.message) for one in done] == [
        (0, ""),
        (0x0122, "the peer takes no JPEG 2000 Image Compression (Lossless Only)"),
        (0x0122, "the peer takes no MR Image Storage"),
    ]
    assert len(there.stored) == 1


def test_what_an_archive_answers_is_kept_with_each(tmp_path: Path) -> None:
    with archive(does=(CTImageStorage,)) as there:
        there.store_status = lambda number: {1: 0x0000, 2: 0xB000, 3: 0xA700, 4: 0x0111}[number]
        known = settings(there.address)
        done = dimse_store.store(known, known.peer["archive"], objects(tmp_path, *(scan(n) for n in range(1, 5))))
    assert [(one.status, one.taken) for one in done] == [(0, True), (0xB000, True), (0xA700, False), (0x0111, False)]
    assert "Out of Resources" in done[2].message


def test_many_kinds_go_in_several_associations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dimse_store, "_KINDS", 1)
    with archive(does=(CTImageStorage,), syntaxes=["1.2.840.10008.1.2.1", JPEG2000Lossless]) as there:
        known = settings(there.address)
        done = dimse_store.store(known, known.peer["archive"], objects(tmp_path, scan(1), packed(), scan(2)))
    assert [one.taken for one in done] == [True] * 3
    assert len(there.stored) == 3


def test_sending_stops_when_it_is_cancelled(tmp_path: Path) -> None:
    with archive(does=(CTImageStorage,)) as there:
        known = settings(there.address)
        done = dimse_store.store(
            known, known.peer["archive"], objects(tmp_path, scan(1), scan(2)), None, lambda: bool(there.stored)
        )
    assert len(done) == len(there.stored) == 1


def test_an_archive_that_takes_nothing(tmp_path: Path) -> None:
    with archive(does=(VERIFICATION,)) as there:
        known = settings(there.address)
        with pytest.raises(PeerRefusedError, match="offers nothing"):
            dimse_store.store(known, known.peer["archive"], objects(tmp_path, scan()))


def test_an_archive_that_goes_away(tmp_path: Path) -> None:
    with archive(does=(CTImageStorage,)) as there:

        def away(number: int) -> int:
            raise ConnectionAbortedError

        there.store_status = away
        known = settings(there.address)
        (done,) = dimse_store.store(known, known.peer["archive"], objects(tmp_path, scan()))
        assert not done.taken  # the archive's program failed, and said so
        address = there.address
    with pytest.raises(PeerUnreachableError):
        dimse_store.store(settings(address), settings(address).peer["archive"], objects(tmp_path / "2", scan()))
