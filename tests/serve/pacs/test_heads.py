from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from tests.serve.pacs.listening import bytes_of, slice_of

from insula.serve.pacs import file_meta, heads
from insula.serve.pacs.heads import Head, HeadError, ShortHeadError

CT = "1.2.840.10008.5.1.4.1.1.2"


def head_of(syntax: str) -> Head:
    return Head(CT, "1.2.3.4.1.1", "1.2.3.4", "1.2.3.4.1", syntax, "CT", "HEAD", "Head", "Axial")


def data_of(**fields: Any) -> bytes:
    whole = bytes_of(slice_of(1, **fields))
    return whole[file_meta.split(whole)[1] :]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_the_attributes_are_read(syntax: str) -> None:
    whole = bytes_of(slice_of(1, syntax=syntax))
    named, start = file_meta.split(whole)
    assert named == syntax
    assert heads.read(whole[start:], syntax) == head_of(syntax)
    assert heads.read(whole[start:], syntax).facts("CT1").study_description == "Head"


@pytest.mark.parametrize(("said", "day"), [(b"20260131", "20260131"), (b"2026.131", ""), (b"        ", "")])
def test_the_day_and_the_number_of_the_order_are_read(said: bytes, day: str) -> None:
    data = data_of(StudyDate="20260131", AccessionNumber="A-17 ").replace(b"20260131", said)
    found = heads.read(data, ExplicitVRLittleEndian)
    assert (found.study_date, found.accession_number) == (day, "A-17")


def test_big_endian_is_read() -> None:
    elements = [(0x00080016, CT), (0x00080018, "1.2.3.4.1.1"), (0x00080060, "CT"), (0x0020000D, "1.2.3.4")]
    raw = b""
    for tag, value in [*elements, (0x0020000E, "1.2.3.4.1")]:
        kind, text = (b"CS" if value == "CT" else b"UI"), value.encode() + b"\0" * (len(value) % 2)
        raw += struct.pack(">HH2sH", tag >> 16, tag & 0xFFFF, kind, len(text)) + text
    found = heads.read(raw, ExplicitVRBigEndian)
    assert (found.instance_uid, found.series_uid, found.modality) == ("1.2.3.4.1.1", "1.2.3.4.1", "CT")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("undefined", [False, True])
def test_attributes_within_sequences_are_not_those_of_the_object(syntax: str, undefined: bool) -> None:
    inner = Dataset()
    inner.StudyInstanceUID, inner.SeriesInstanceUID = "9.9.9", "9.9.9.9"
    inner.PurposeOfReferenceCodeSequence = Sequence([Dataset()])
    file = slice_of(1, syntax=syntax)
    file.ReferencedStudySequence = Sequence([inner, inner])
    file.SourceImageSequence = Sequence([inner])
    for one in (file["ReferencedStudySequence"], inner["PurposeOfReferenceCodeSequence"]):
        one.is_undefined_length = undefined
        for part in one.value:
            part.is_undefined_length_sequence_item = undefined
    whole = bytes_of(file)
    assert heads.read(whole[file_meta.split(whole)[1] :], syntax) == head_of(syntax)


def test_a_sequence_of_no_known_kind_holds_elements_without_kinds() -> None:
    inner = struct.pack("<HHL", 0x0020, 0x000D, 6) + b"9.9.9\0"
    unknown = struct.pack("<HH2sHL", 0x0009, 0x1001, b"UN", 0, 0xFFFFFFFF)
    unknown += struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner
    unknown += struct.pack("<HHL", 0xFFFE, 0xE00D, 0) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    data = data_of()
    place = data.index(struct.pack("<HH", 0x0010, 0x0010))
    assert heads.read(data[:place] + unknown + data[place:], ExplicitVRLittleEndian) == head_of(ExplicitVRLittleEndian)


@pytest.mark.parametrize(
    ("said", "done"),
    [(ImplicitVRLittleEndian, ExplicitVRLittleEndian), (ExplicitVRLittleEndian, ImplicitVRLittleEndian)],
)
def test_a_sender_that_says_one_and_does_the_other_is_understood(said: str, done: str) -> None:
    whole = bytes_of(slice_of(1, syntax=done))
    assert heads.read(whole[file_meta.split(whole)[1] :], said) == head_of(said)


def test_texts_come_in_their_character_set_without_what_cannot_be_printed() -> None:
    data = data_of(SpecificCharacterSet="ISO_IR 192", StudyDescription="Schädel 頭部", SeriesDescription="a\tb")
    found = heads.read(data, ExplicitVRLittleEndian)
    assert (found.study_description, found.series_description) == ("Schädel 頭部", "ab")
    strange = data.replace(b"ISO_IR 192", b"ISO_IR 999")
    assert heads.read(strange, ExplicitVRLittleEndian).study_uid == "1.2.3.4"


def test_a_beginning_that_is_cut_is_told_from_what_is_no_data_set() -> None:
    data = data_of()
    end = data.index(struct.pack("<HH", 0x0020, 0x000E))
    for size in (50, 100, end):
        with pytest.raises(ShortHeadError):
            heads.read(data[:size], ExplicitVRLittleEndian)
    with pytest.raises(HeadError) as caught:
        heads.read(data_of(StudyInstanceUID=""), ExplicitVRLittleEndian)
    assert not isinstance(caught.value, ShortHeadError)


@pytest.mark.parametrize("uid", ["1.2.", "1..2", "1.2.3/../4", "1." + "2" * 63, "a.b", "1"])
def test_uids_that_are_none_are_refused(uid: str) -> None:
    assert not heads.is_uid(uid)


@pytest.mark.parametrize("uid", ["1.02.3", "01.2", "1.000", "1." + "2" * 62])
def test_uids_of_old_scanners_have_zeros(uid: str) -> None:
    assert heads.is_uid(uid)


def test_what_inflates_without_end_is_not_inflated() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join([packer.compress(bytes(1 << 20)) for _ in range(200)]) + packer.flush()
    with pytest.raises(HeadError):
        heads.read(bomb, DeflatedExplicitVRLittleEndian)
    with pytest.raises(HeadError):
        heads.read(b"\xff" * 100, DeflatedExplicitVRLittleEndian)


@pytest.mark.parametrize(
    "raw",
    [
        struct.pack("<HHL", 0x0008, 0x0001, 0) * 300_000,
        struct.pack("<HHL", 0x0008, 0x1140, 0xFFFFFFFF) * 1000,
    ],
    ids=["many", "deep"],
)
def test_elements_without_end_are_given_up(raw: bytes) -> None:
    with pytest.raises(HeadError) as caught:
        heads.read(raw, ImplicitVRLittleEndian)
    assert not isinstance(caught.value, ShortHeadError)
