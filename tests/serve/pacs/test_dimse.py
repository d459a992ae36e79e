"""Questions to an archive over DIMSE: what comes back, and what of an archive that answers badly."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    Comprehensive3DSRStorage,
    CTImageStorage,
    EncapsulatedPDFStorage,
    JPEG2000Lossless,
    ParametricMapStorage,
    SegmentationStorage,
)
from pynetdicom.presentation import AllStoragePresentationContexts
from tests.scans.made_dicom import dataset
from tests.serve.pacs.made_peers import STUDY, archive, content, found, scan, settings

from insula.core.errors import InsulaError, UsageError
from insula.serve.pacs import dimse, peer_errors
from insula.serve.pacs.contexts import retrievable
from insula.serve.pacs.peer_errors import PeerAnswerError, PeerRefusedError
from insula.serve.pacs.query import FoundSeries, FoundStudy, Query, checked
from insula.serve.pacs.received import CANNOT_UNDERSTAND, NoRoomError, RefusedInstanceError
from insula.serve.pacs.retrieved import Retrieved


def test_an_echo_is_timed() -> None:
    with archive() as there:
        known = settings(there.address)
        assert 0 < dimse.echo(known, known.peer["archive"]) < 60_000


def test_a_search_says_what_is_asked_and_reads_what_is_found() -> None:
    with archive() as there:
        there.answers = [
            found(1, PatientID="P1", PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 192", StudyTime="101112",
                  ModalitiesInStudy=["MR", "CT"], StudyDescription="Kopf", NumberOfStudyRelatedSeries=2,
                  NumberOfStudyRelatedInstances=30, AccessionNumber="A1", PatientBirthDate="19700101"),
            found(2),
        ]  # fmt: skip
        known = settings(there.address)
        query = Query("P1", "Müller", "A1", "1.2.3", date(2026, 1, 1), None, "CT", "Kopf")
        answer = dimse.find(known, known.peer["archive"], checked(query))
    (asked,) = there.asked
    assert str(asked.PatientName) == "Müller*"
    assert (asked.PatientID, asked.AccessionNumber, asked.StudyInstanceUID) == ("P1", "A1", "1.2.3")
    assert (asked.StudyDate, asked.ModalitiesInStudy, asked.StudyDescription) == ("20260101-", "CT", "*Kopf*")
    assert asked.QueryRetrieveLevel == "STUDY"
    assert not answer.more
    assert answer.studies == (
        FoundStudy("1.2.3.2", "20260102"),
        FoundStudy("1.2.3.1", "20260101", "101112", "P1", "Müller^Jörg", "19700101", "A1", ("CT", "MR"), "Kopf", 2, 30),
    )


def test_beyond_the_limit_the_archive_is_told_to_stop() -> None:
    with archive() as there:
        there.answers = [found(n) for n in range(2000)]
        known = settings(there.address)
        answer = dimse.find(known, known.peer["archive"], Query(limit=3))
    assert (len(answer.studies), answer.more, there.cancelled) == (3, True, 1)


def test_control_characters_do_not_come_through_and_a_study_without_a_uid_is_none() -> None:
    with archive() as there:
        there.answers = [found(1, PatientName="a\x1b[2Jb", StudyDescription="=cmd\x07"), found(2, StudyInstanceUID="")]
        known = settings(there.address)
        (study,) = dimse.find(known, known.peer["archive"], Query()).studies
    assert (study.patient_name, study.description) == ("a[2Jb", "=cmd")


def test_series_in_order() -> None:
    with archive() as there:
        for number in (3, 1):
            one = Dataset()
            one.SeriesInstanceUID, one.SeriesNumber, one.Modality = f"1.{number}", number, "CT"
            one.NumberOfSeriesRelatedInstances = 5
            there.answers.append(one)
        known = settings(there.address)
        listed = dimse.series(known, known.peer["archive"], STUDY)
    assert listed == (FoundSeries("1.1", "CT", 1, instances=5), FoundSeries("1.3", "CT", 3, instances=5))
    assert there.asked[0].StudyInstanceUID == STUDY


def test_a_search_that_is_refused() -> None:
    with archive() as there:
        there.final = 0xA700
        known = settings(there.address)
        with pytest.raises(PeerRefusedError, match=r"0xA700.*Out of Resources") as refusal:
            dimse.find(known, known.peer["archive"], Query())
    assert refusal.value.status == 0xA700


def test_an_archive_that_does_no_search() -> None:
    with archive(does=(dimse.VERIFICATION,)) as there:
        known = settings(there.address)
        with pytest.raises(PeerRefusedError, match="offers nothing"):
            dimse.find(known, known.peer["archive"], Query())


@pytest.mark.parametrize("syntaxes", [["1.2.840.10008.1.2.1"], ["1.2.840.10008.1.2"]])
def test_a_study_is_fetched_object_by_object(syntaxes: Sequence[str]) -> None:
    sent = [scan(n) for n in range(1, 6)]
    got: list[bytes] = []
    told: list[tuple[int, int | None]] = []
    with archive(sent, syntaxes=syntaxes) as there:
        known = settings(there.address)
        came = dimse.get(known, known.peer["archive"], STUDY, got.append, lambda *one: told.append(one))
    assert came == Retrieved(5)
    assert told[-1] == (5, 5)
    if syntaxes == ["1.2.840.10008.1.2.1"]:  # else the archive has written them anew
        assert [content(one) for one in got] == [content(one) for one in sent]


def test_what_is_stored_compressed_comes_as_it_is() -> None:
    one = dcmread(BytesIO(scan()))
    one.file_meta.TransferSyntaxUID = JPEG2000Lossless
    one.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(60)])
    one["PixelData"].VR = "OB"
    one["PixelData"].is_undefined_length = True
    stream = BytesIO()
    one.save_as(stream, enforce_file_format=True)
    got: list[bytes] = []
    with archive([stream.getvalue()], syntaxes=[JPEG2000Lossless]) as there:
        known = settings(there.address)
        assert dimse.get(known, known.peer["archive"], STUDY, got.append) == Retrieved(1)
    assert content(got[0]) == content(stream.getvalue())
    assert dcmread(BytesIO(got[0])).file_meta.TransferSyntaxUID == JPEG2000Lossless


def test_what_the_study_holds_is_proposed_before_all_else() -> None:
    """An archive that sends nothing of a study where one of its classes was not proposed gets all of them."""
    held = [CTImageStorage, *(str(one.abstract_syntax) for one in AllStoragePresentationContexts[-115:])]
    study = found(1, SOPClassesInStudy=held[:30])
    with archive([scan()]) as there:
        there.answers = [study]
        known = settings(there.address)
        assert dimse.get(known, known.peer["archive"], STUDY, lambda data: None) == Retrieved(1)
    assert "SOPClassesInStudy" in there.asked[0]
    contexts, roles = retrievable(held)
    assert len(contexts) <= 127
    assert {str(one.abstract_syntax) for one in contexts} >= set(held)
    assert {str(one.sop_class_uid) for one in roles} >= set(held)


def test_without_a_word_of_the_archive_what_insula_makes_is_proposed() -> None:
    proposed = {one.abstract_syntax for one in retrievable()[0]}
    assert {ParametricMapStorage, SegmentationStorage, Comprehensive3DSRStorage, EncapsulatedPDFStorage} < proposed
    assert {one.abstract_syntax for one in retrievable(["1.2.x", "*", ""])[0]} == proposed


def test_an_archive_that_does_not_search_is_asked_all_the_same() -> None:
    with archive([scan()], does=(dimse.GET, CTImageStorage)) as there:
        known = settings(there.address)
        assert dimse.get(known, known.peer["archive"], STUDY, lambda data: None) == Retrieved(1)


def test_what_is_refused_here_is_counted_and_the_rest_comes() -> None:
    got: list[bytes] = []

    def take(data: bytes) -> None:
        got.append(data)
        if len(got) == 2:
            raise RefusedInstanceError(CANNOT_UNDERSTAND, "no")

    with archive([scan(n) for n in range(1, 5)]) as there:
        known = settings(there.address)
        came = dimse.get(known, known.peer["archive"], STUDY, take)
    assert came == Retrieved(3, 0, 1)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), NoRoomError("No space is left.")])
def test_an_error_of_ours_ends_the_retrieval_and_is_told(error: Exception) -> None:
    got: list[bytes] = []

    def take(data: bytes) -> None:
        got.append(data)
        raise error

    with archive([scan(n) for n in range(1, 5)]) as there:
        known = settings(there.address)
        with pytest.raises(type(error), match="No space"):
            dimse.get(known, known.peer["archive"], STUDY, take)
    assert len(got) == 1


def test_an_object_that_is_too_large_ends_the_retrieval() -> None:
    large = dataset(np.zeros((1200, 1200), np.int16), StudyInstanceUID=STUDY)
    stream = BytesIO()
    large.save_as(stream, enforce_file_format=True)
    got: list[bytes] = []
    with archive([scan(), stream.getvalue()]) as there:
        known = settings(there.address, max_instance_mb=1)
        with pytest.raises(PeerAnswerError, match="more than it may"):
            dimse.get(known, known.peer["archive"], STUDY, got.append)
    assert len(got) == 1


def test_a_retrieval_that_is_cancelled_stops() -> None:
    got: list[bytes] = []
    with archive([scan(n) for n in range(1, 30)]) as there:
        known = settings(there.address)
        came = dimse.get(known, known.peer["archive"], STUDY, got.append, cancelled=lambda: len(got) > 1)
    assert there.cancelled == 1
    assert came.completed == len(got) < 29


def test_a_retrieval_that_is_refused() -> None:
    with archive() as there:
        there.get_status = 0xA702
        known = settings(there.address)
        with pytest.raises(PeerRefusedError, match="0xA702"):
            dimse.get(known, known.peer["archive"], STUDY, lambda data: None)


def test_an_archive_is_asked_to_send_elsewhere() -> None:
    with archive(does=(CTImageStorage,)) as node, archive([scan(1), scan(2)], node=node.port) as there:
        known = settings(there.address)
        came = dimse.move(known, known.peer["archive"], STUDY, "ARCHIVE")
    assert came == Retrieved(2)
    assert there.moved_to == ["ARCHIVE"]
    assert len(node.stored) == 2


def test_an_archive_that_does_not_know_where_to() -> None:
    with archive([scan()]) as there:
        known = settings(there.address)
        with pytest.raises(PeerRefusedError, match=r"0xA801.*destination unknown") as refusal:
            dimse.move(known, known.peer["archive"], STUDY, "NOBODY")
    assert refusal.value.status == 0xA801


@pytest.mark.parametrize("wrong", ["", "1.2.x", "*", "1.2\\1.3"])
def test_what_is_no_uid_is_not_sent(wrong: str) -> None:
    known = settings("dicom://ARCHIVE@127.0.0.1:1")
    for ask in (
        lambda: dimse.series(known, known.peer["archive"], wrong),
        lambda: dimse.move(known, known.peer["archive"], wrong, "X"),
        lambda: dimse.get(known, known.peer["archive"], wrong, lambda data: None),
    ):
        with pytest.raises(UsageError):
            ask()


def test_every_error_of_a_peer_has_an_exit_code_of_its_own() -> None:
    kinds = [one for one in vars(peer_errors).values() if isinstance(one, type) and issubclass(one, InsulaError)]
    codes = [one.exit_code for one in kinds if one is not InsulaError]
    assert len(set(codes)) == len(codes) == 4


def test_an_archive_that_answers_a_search_too_slowly_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dimse, "_TO_FIND", -1.0)  # as if its answers had come for two minutes
    with archive() as made:
        made.answers = [found(1), found(2)]
        known = settings(made.address)
        with pytest.raises(PeerAnswerError, match="too slowly"):
            dimse.find(known, known.peer["archive"], Query())
