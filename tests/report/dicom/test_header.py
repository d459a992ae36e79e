"""Who the patient is survives any character set; what is no value goes no further."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from tests.report.dicom.checked import read_back
from tests.report.dicom.made_result import headers, made_of, picture, result

from insula.report.dicom import header
from insula.report.dicom.make import make
from insula.report.dicom.result import SourceSeries

SETS = (  # as scanners write them
    ("ISO_IR 100", "Gödel^Kurt"),
    ("ISO_IR 148", "Öztürk^Işıl"),
    ("ISO_IR 144", "Люксембург^Ира"),
    ("ISO_IR 127", "قباني^لنزار"),
    ("GB18030", "Wang^XiaoDong=王^小东"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
)


@pytest.mark.parametrize(("charset", "name"), SETS, ids=[str(one[0]) for one in SETS])
def test_a_name_is_the_same_in_every_object(tmp_path: Path, charset: str | list[str], name: str) -> None:
    plain = {"PatientID": "42", "StudyDescription": "head", "InstitutionName": "clinic"}
    given = headers(tmp_path, SpecificCharacterSet=charset, PatientName=name, ReferringPhysicianName=name, **plain)
    read = tuple(_written(one) for one in given)
    assert str(read[0].PatientName) == name

    for made in make(result(tmp_path, series=(SourceSeries("ct", read, picture, (2,)),)), ("report", "capture", "map")):
        found = read_back(made.dataset)
        assert (str(found.PatientName), str(found.ReferringPhysicianName)) == (name, name), made.kind


def test_texts_inside_sequences_are_the_same_too(tmp_path: Path) -> None:
    other = Dataset()
    other.PatientID, other.TypeOfPatientID, other.IssuerOfPatientID = "Işıl-7", "TEXT", "Şişli"
    plain = {"PatientName": "A^B", "PatientID": "42", "StudyDescription": "head", "ReferringPhysicianName": "C^D"}
    given = headers(tmp_path, SpecificCharacterSet="ISO_IR 148", OtherPatientIDsSequence=[other], **plain)
    series = SourceSeries("ct", tuple(_written(one) for one in given), picture, (2,))

    for made in made_of(result(tmp_path, series=(series,)), "report", "map"):
        (found,) = read_back(made.dataset).OtherPatientIDsSequence
        assert (found.PatientID, found.IssuerOfPatientID) == ("Işıl-7", "Şişli"), made.kind


def test_a_name_without_parts_stays_as_it_is_and_warns_of_nothing(tmp_path: Path) -> None:
    series = SourceSeries("ct", headers(tmp_path, PatientName="PHANTOM"), picture, (2,))

    for made in made_of(result(tmp_path, series=(series,)), "report", "capture", "map", "region", "pdf"):
        assert str(made.dataset.PatientName) == "PHANTOM"


def test_values_that_are_none_are_left_out(tmp_path: Path) -> None:
    (first, *_) = headers(tmp_path, PatientSex=None, StudyDate=None)
    for keyword, value in (("PatientSex", "female"), ("StudyDate", "2026.11.25"), ("PatientAge", "75 years")):
        element = pydicom.DataElement(
            pydicom.datadict.tag_for_keyword(keyword) or 0,
            pydicom.datadict.dictionary_VR(keyword),
            value,
            validation_mode=pydicom.config.IGNORE,
        )
        first.add(element)

    found = header.source(SourceSeries("ct", (first,)))

    assert not {"PatientSex", "StudyDate", "PatientAge"} & {element.keyword for element in found.who}
    assert {"PatientSex", "StudyDate"} <= {element.keyword for element in found.first}
    assert not found.first.PatientSex
    assert not found.first.StudyDate


@pytest.mark.parametrize(
    ("part", "side", "said"),
    [
        ("HEAD", None, {"BodyPartExamined": "HEAD"}),
        ("HEAD", "L", {"BodyPartExamined": "HEAD"}),
        ("KNEE", "L", {"BodyPartExamined": "KNEE", "Laterality": "L"}),
        ("KNEE", None, {"BodyPartExamined": "KNEE", "Laterality": ""}),
        (None, None, {"Laterality": ""}),
    ],
)
def test_a_part_that_may_have_a_side_says_which(part: str | None, side: str | None, said: dict[str, str]) -> None:
    found = Dataset()
    if part:
        found.BodyPartExamined = part
    if side:
        found.Laterality = side

    assert header.sided(found) == said


def test_private_and_needless_attributes_go_no_further(tmp_path: Path) -> None:
    (first, *_) = headers(tmp_path, PatientComments="lives next door", OperatorsName="Op^One")
    first.private_block(0x0011, "SCANNER", create=True).add_new(0x01, "LO", "secret")

    found = header.source(SourceSeries("ct", (first,)))

    assert not {"PatientComments", "OperatorsName"} & {element.keyword for element in (*found.first, *found.who)}
    assert not any(element.tag.is_private for element in found.first)


def test_a_header_that_does_not_say_where_it_lies_has_no_place(tmp_path: Path) -> None:
    for keyword in ("FrameOfReferenceUID", "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient"):
        source = header.source(SourceSeries("ct", headers(tmp_path, **{keyword: None})))
        assert not header.place(source.first), keyword


def _written(one: Dataset) -> Dataset:
    stream = io.BytesIO()
    one.save_as(stream, enforce_file_format=True)
    stream.seek(0)
    return pydicom.dcmread(stream, stop_before_pixels=True)
