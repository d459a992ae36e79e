"""Values are pydicom's, however they are written and however often they are asked for."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from insula.scans import attributes


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    attributes.forget()
    yield
    attributes.forget()


def raw(tag: int, kind: bytes, value: bytes, charset: bytes = b"") -> Dataset:
    """A dataset of one element that nobody has converted yet, behind its character set."""
    parts = [(0x00080005, b"CS", charset)] if charset else []
    stream = b""
    for number, vr, data in [*parts, (tag, kind, value)]:
        stream += number.to_bytes(4, "big")[1::-1] + number.to_bytes(4, "big")[:1:-1] + vr
        stream += len(data).to_bytes(2, "little") + data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.filereader.read_dataset(io.BytesIO(stream), False, True)


NUMBERS = [
    "1.5",
    "-0.25 ",
    "1\\2\\3",
    "1e3",
    "+4",
    " 7 ",
    "",
    "abc",
    "1\\x",
    "nan",
    "inf\\2",
    "00012.5",
    "1.",
    ".5",
    "1\\\\2",
]


@pytest.mark.parametrize("written", NUMBERS)
@pytest.mark.parametrize("kind", [b"DS", b"LO"])
def test_numbers_are_pydicoms(written: str, kind: bytes) -> None:
    def expected(count: int) -> tuple[float, ...] | None:
        given = raw(0x00280030, kind, written.encode()).get("PixelSpacing")
        parts = [given] if isinstance(given, int | float | str) else list(given or [])
        try:
            found = tuple(float(part) for part in parts[:count])
        except (TypeError, ValueError):
            return None
        return found if len(found) == count and all(abs(v) < 1e300 for v in found) else None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for count in (1, 2, 1):
            try:
                wanted = expected(count)
            except Exception as error:  # noqa: BLE001 - whatever pydicom raises
                with pytest.raises(type(error)):
                    attributes.numbers(raw(0x00280030, kind, written.encode()), "PixelSpacing", count)
            else:
                assert attributes.numbers(raw(0x00280030, kind, written.encode()), "PixelSpacing", count) == wanted


@given(st.lists(st.decimals(-99999, 99999, places=4), min_size=1, max_size=6), st.sampled_from(["", " "]))
def test_plain_numbers_are_taken_as_they_stand(values: list[object], blank: str) -> None:
    written = ("\\".join(str(value) for value in values) + blank).encode()
    found = attributes.numbers(raw(0x00200032, b"DS", written), "ImagePositionPatient", len(values))
    assert found == tuple(float(str(value)) for value in values)


@pytest.mark.parametrize(("written", "wanted"), [(b"12", 12), (b"-3 ", -3), (b"007", 7), (b" 5", 5), (b"", 9)])
def test_whole_numbers(written: bytes, wanted: int) -> None:
    for _ in range(2):
        assert attributes.integer(raw(0x00200013, b"IS", written), "InstanceNumber", 9) == wanted
    assert attributes.integer(Dataset(), "InstanceNumber", 4) == 4
    assert attributes.integer(raw(0x00280010, b"US", b"\x00\x02"), "Rows", 0) == 512


@pytest.mark.parametrize("written", [b"1.2.3\0", b"1.2.3", b"1.2.3 ", b"1.2\\3.4", b"1.x", b"", b"9" * 70])
def test_uids_are_pydicoms(written: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = raw(0x00080018, b"UI", written).get("SOPInstanceUID")
        wanted = "" if given is None else given if isinstance(given, str) else "\\".join(given)
        for _ in range(2):
            assert attributes.text(raw(0x00080018, b"UI", written), "SOPInstanceUID") == str(wanted)


def test_text_keeps_to_its_own_character_set() -> None:
    latin = raw(0x00081030, b"LO", b"B\xfchne", b"ISO_IR 100")
    greek = raw(0x00081030, b"LO", b"B\xfchne", b"ISO_IR 126")
    assert attributes.text(latin, "StudyDescription") == "Bühne"
    assert attributes.text(greek, "StudyDescription") == "Bόhne"
    assert attributes.text(latin, "StudyDescription") == "Bühne"
    assert attributes.text(raw(0x00081030, b"LO", b"a\x07b"), "StudyDescription") == "ab"


def test_what_was_set_or_is_absent() -> None:
    made = raw(0x00081030, b"LO", b"before")
    assert attributes.text(made, "StudyDescription") == "before"
    made.StudyDescription = "after"
    assert attributes.text(made, "StudyDescription") == "after"
    assert attributes.present(made, "StudyDescription")
    assert not attributes.present(made, "Modality")
    assert (attributes.text(made, "Modality"), attributes.value(made, "Modality")) == ("", None)
    assert attributes.numbers(made, "PixelSpacing", 2) is None


def test_implicit_elements_have_the_type_of_the_dictionary() -> None:
    made, stream = Dataset(), DicomBytesIO()
    made.Rows, made.PixelSpacing, made.SOPInstanceUID = 7, [1.5, 2], "1.2.3"
    stream.is_little_endian, stream.is_implicit_VR = True, True
    write_dataset(stream, made)
    found = pydicom.filereader.read_dataset(io.BytesIO(stream.getvalue()), True, True)
    assert attributes.integer(found, "Rows", 0) == 7
    assert attributes.numbers(found, "PixelSpacing", 2) == (1.5, 2.0)
    assert attributes.text(found, "SOPInstanceUID") == "1.2.3"
