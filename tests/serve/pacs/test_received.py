"""What an object leaves in the records when it came in, and what is refused with which status."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, generate_uid
from sqlalchemy import insert
from tests.serve.api.made import Made
from tests.serve.pacs.made_studies import Quiet, node, slices
from tests.serve.pacs.pseudonymous import PSEUDONYMS

from insula.serve.pacs.received import (
    CANNOT_UNDERSTAND,
    DUPLICATE,
    NO_RESOURCES,
    RefusedInstanceError,
    receive,
)
from insula.serve.pacs.rules import SeriesFacts
from insula.serve.store import schema
from insula.serve.store.connect import writing

pytestmark = pytest.mark.serve


@pytest.fixture
def quiet(made: Made, tmp_path: Path) -> Quiet:
    with node(made, tmp_path) as found:
        return found


def headers(data: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(io.BytesIO(data))


def test_an_object_is_stored_as_it_came_and_entered(quiet: Quiet) -> None:
    (one,) = slices(numbers=(1,), SeriesDescription="axial")
    told, files = headers(one), quiet.made.service.files
    receipt = receive(quiet.made.service, one, "CT1")
    assert receipt.state == "kept"
    assert (receipt.study_uid, receipt.sop_instance_uid) == (told.StudyInstanceUID, told.SOPInstanceUID)
    (study,) = quiet.rows(schema.pacs_studies, study_uid=told.StudyInstanceUID)
    (series,) = quiet.rows(schema.pacs_series, pacs_study_id=study.id)
    (instance,) = quiet.rows(schema.pacs_instances, pacs_series_id=series.id)
    assert (study.source, study.description, study.state, study.generation) == ("CT1", "Head", "receiving", 0)
    assert (series.modality, series.body_part, series.description) == ("CT", "HEAD", "axial")
    assert (instance.sop_instance_uid, instance.transfer_syntax_uid) == (
        told.SOPInstanceUID,
        told.file_meta.TransferSyntaxUID,
    )
    kept = files.get(instance.sha256)
    assert len(kept) == instance.size
    assert headers(kept) == told


@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize("hide", [False, True])
def test_what_was_made_here_and_comes_back_is_not_taken_in(quiet: Quiet, hide: bool, sent: bool) -> None:
    """sent: under another UID than it is stored under. hide: what comes in is to be stored under pseudonyms."""
    (one,) = slices(numbers=(1,), BurnedInAnnotation="YES")
    told, prediction = headers(one), quiet.made.predicted()["id"]
    with writing(quiet.made.service.records) as connection:
        made = {"kind": "report", "modality": "SR", "sha256": "0" * 64, "size": 1, "prediction_id": prediction}
        made |= {"study_uid": told.StudyInstanceUID, "series_uid": told.SeriesInstanceUID}
        made |= {"sop_instance_uid": told.SOPInstanceUID, "sop_class_uid": told.SOPClassUID}
        made |= {"sop_instance_uid": generate_uid(), "sent_uid": told.SOPInstanceUID} if sent else {}
        connection.execute(insert(schema.pacs_objects).values(made))
    before = len(quiet.rows(schema.pacs_studies))
    pseudonyms = PSEUDONYMS if hide else None
    assert receive(quiet.made.service, one, "ARCHIVE", pseudonyms=pseudonyms).state == "again"
    assert len(quiet.rows(schema.pacs_studies)) == before


def test_the_same_object_again_is_no_error(quiet: Quiet) -> None:
    (one,) = slices(numbers=(1,))
    states = [receive(quiet.made.service, one, source).state for source in ("CT1", "CT1", "ARCHIVE")]
    assert states == ["kept", "again", "again"]
    assert len(quiet.rows(schema.pacs_instances, sop_instance_uid=headers(one).SOPInstanceUID)) == 1


def test_another_object_under_the_same_uid_is_refused(quiet: Quiet) -> None:
    uid = generate_uid()
    first, second = (slices(numbers=(1,), SOPInstanceUID=uid, StudyDescription=text)[0] for text in ("a", "b"))
    receive(quiet.made.service, first, "CT1")
    with pytest.raises(RefusedInstanceError) as caught:
        receive(quiet.made.service, second, "CT1")
    assert caught.value.status == DUPLICATE
    assert uid not in str(caught.value)
    (kept,) = quiet.rows(schema.pacs_instances, sop_instance_uid=uid)
    assert headers(quiet.made.service.files.get(kept.sha256)).StudyDescription == "a"


def test_a_series_that_comes_by_several_threads_at_once_is_one(quiet: Quiet) -> None:
    study, series = generate_uid(), generate_uid()
    objects = slices(study, series, range(1, 17))
    with ThreadPoolExecutor(4) as pool:
        states = list(pool.map(lambda one: receive(quiet.made.service, one, "CT1").state, objects * 2))
    assert sorted(states) == ["again"] * 16 + ["kept"] * 16
    (row,) = quiet.rows(schema.pacs_studies, study_uid=study)
    (one,) = quiet.rows(schema.pacs_series, pacs_study_id=row.id)
    assert len(quiet.rows(schema.pacs_instances, pacs_series_id=one.id)) == 16


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_other_transfer_syntaxes_are_kept_as_they_are(quiet: Quiet, syntax: str) -> None:
    told = headers(slices(numbers=(1,))[0])
    told.file_meta.TransferSyntaxUID = UID(syntax)
    stream = io.BytesIO()
    told.save_as(stream, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True, enforce_file_format=True)
    receive(quiet.made.service, stream.getvalue(), "CT1")
    (row,) = quiet.rows(schema.pacs_instances, sop_instance_uid=told.SOPInstanceUID)
    assert row.transfer_syntax_uid == syntax
    assert headers(quiet.made.service.files.get(row.sha256)).PatientID == "P-9"


def test_compressed_pixels_are_not_touched(quiet: Quiet) -> None:
    told = headers(slices(numbers=(1,))[0])
    told.compress(RLELossless)
    stream = io.BytesIO()
    told.save_as(stream, enforce_file_format=True)
    receive(quiet.made.service, stream.getvalue(), "CT1")
    (row,) = quiet.rows(schema.pacs_instances, sop_instance_uid=told.SOPInstanceUID)
    kept = headers(quiet.made.service.files.get(row.sha256))
    assert kept.PixelData == told.PixelData


def without(name: str) -> bytes:
    gone: dict[str, Any] = {name: None}
    return slices(numbers=(1,), **gone)[0]


def cut(where: int) -> bytes:
    return slices(numbers=(1,))[0][:where]


@pytest.mark.parametrize(
    "data",
    [
        lambda: b"",
        lambda: b"not DICOM" * 100,
        lambda: cut(100),
        lambda: cut(140),
        lambda: cut(300),
        lambda: without("StudyInstanceUID"),
        lambda: without("SeriesInstanceUID"),
        lambda: slices(numbers=(1,), StudyInstanceUID="../../etc/passwd")[0],
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_what_is_no_object_is_refused_and_nothing_kept(quiet: Quiet, data: Callable[[], bytes]) -> None:
    before, stored = len(quiet.rows(schema.pacs_instances)), len(list(quiet.made.service.files.all()))
    with pytest.raises(RefusedInstanceError) as caught:
        receive(quiet.made.service, data(), "CT1")
    assert caught.value.status == CANNOT_UNDERSTAND
    assert len(quiet.rows(schema.pacs_instances)) == before
    assert len(list(quiet.made.service.files.all())) == stored


def test_an_object_that_is_too_long_is_refused(quiet: Quiet) -> None:
    (one,) = slices(numbers=(1,))
    with pytest.raises(RefusedInstanceError) as caught:
        receive(quiet.made.service, one, "CT1", most_bytes=500)
    assert caught.value.status == NO_RESOURCES


@pytest.mark.parametrize(
    ("attributes", "facts"),
    [
        ({}, SeriesFacts("CT1", "CT", "HEAD", "Head", "")),
        ({"BodyPartExamined": None, "StudyDescription": None}, SeriesFacts("CT1", "CT", "", "", "")),
        ({"SeriesDescription": "a\x07b"}, SeriesFacts("CT1", "CT", "HEAD", "Head", "ab")),
        ({"SeriesDescription": "Schädel", "SpecificCharacterSet": "ISO_IR 192"}, None),
    ],
)
def test_rules_look_at_what_headers_say(quiet: Quiet, attributes: dict[str, Any], facts: SeriesFacts | None) -> None:
    (one,) = slices(numbers=(1,), **attributes)
    wanted = facts or SeriesFacts("CT1", "CT", "HEAD", "Head", "Schädel")
    receive(quiet.made.service, one, "CT1")
    (series,) = quiet.rows(schema.pacs_series, series_uid=headers(one).SeriesInstanceUID)
    (study,) = quiet.rows(schema.pacs_studies, id=series.pacs_study_id)
    found = SeriesFacts(study.source, series.modality, series.body_part, study.description, series.description)
    assert found == wanted
