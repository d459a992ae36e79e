from __future__ import annotations

import io

import pydicom
import pytest

from insula.serve.pacs import file_meta
from insula.serve.pacs.heads import HeadError

NAMES = ("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.5", "1.2.840.10008.1.2.1")


def test_what_is_written_is_read_by_pydicom() -> None:
    meta = pydicom.dcmread(io.BytesIO(file_meta.written(*NAMES))).file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID) == NAMES
    assert meta.FileMetaInformationVersion == b"\x00\x01"
    assert meta.FileMetaInformationGroupLength == len(file_meta.written(*NAMES)) - 144
    assert meta.ImplementationClassUID == file_meta.IMPLEMENTATION


def test_a_file_is_split_where_its_data_set_begins() -> None:
    whole = file_meta.written(*NAMES) + b"\x08\x00rest"
    assert file_meta.split(whole) == (NAMES[2], len(whole) - 6)


@pytest.mark.parametrize("cut", [0, 100, 132, 150])
def test_what_is_no_file_is_refused(cut: int) -> None:
    with pytest.raises(HeadError):
        file_meta.split(file_meta.written(*NAMES)[:cut])


def test_a_file_that_names_no_syntax_is_refused() -> None:
    with pytest.raises(HeadError):
        file_meta.split(file_meta.written(*NAMES).replace(b"1.2.840.10008.1.2.1", b"x.2.840.10008.1.2.1"))
