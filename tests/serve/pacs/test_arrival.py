from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from tests.serve.pacs.listening import bytes_of, slice_of

from insula.serve.pacs import arrival as arrival_module
from insula.serve.pacs import file_meta
from insula.serve.pacs.arrival import arriving
from insula.serve.pacs.entered import CANNOT_UNDERSTAND, NO_RESOURCES, NOT_ITS_CLASS, RefusedInstanceError
from insula.serve.pacs.heads import Head
from insula.serve.store.files import Files, open_files

CT, SYNTAX, NAME = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", "1.2.3.4.1.1"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return open_files(str(tmp_path / "files"))


def data_of(long_before: bool = False) -> bytes:
    file = slice_of(1)
    if long_before:  # what stands before the UIDs of the study fills more than the first bytes
        item = Dataset()
        item.ReferencedSOPInstanceUID = "9.9.9"
        file.ReferencedImageSequence = Sequence([item] * 5000)
    whole = bytes_of(file)
    return whole[file_meta.split(whole)[1] :]


@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize("long_before", [False, True])
def test_an_object_that_came_in_pieces_is_a_file(files: Files, in_memory: bool, long_before: bool) -> None:
    data = data_of(long_before)
    with arriving(files, CT, NAME, SYNTAX, 1 << 20, in_memory) as arrival:
        for start in range(0, len(data), 999):
            arrival.write(memoryview(data)[start : start + 999])
        head = arrival.head()
        whole = file_meta.written(CT, NAME, SYNTAX) + data
        assert (head.instance_uid, head.series_uid, head.series_description) == (
            NAME,
            "1.2.3.4.1",
            "Axial",
        )
        if in_memory:
            assert arrival.data() == whole
            with pytest.raises(ValueError, match="memory"):
                arrival.settle()
            assert list(files.all()) == []
            return
        stored = arrival.settle()
    assert (stored.sha256, stored.size) == (hashlib.sha256(whole).hexdigest(), len(whole))
    assert files.get(stored.sha256) == whole


def test_an_object_that_is_not_finished_leaves_nothing(files: Files, tmp_path: Path) -> None:
    with arriving(files, CT, NAME, SYNTAX, 1 << 20) as arrival:
        arrival.write(data_of())
    assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("names", "data", "status"),
    [
        ((CT, NAME, SYNTAX), b"no data set", CANNOT_UNDERSTAND),
        ((CT, "1.2.9", SYNTAX), data_of(), NOT_ITS_CLASS),
        (("1.2.9", NAME, SYNTAX), data_of(), NOT_ITS_CLASS),
        ((CT, "../x", SYNTAX), b"", CANNOT_UNDERSTAND),
        ((CT, NAME, SYNTAX), bytes(2000), NO_RESOURCES),
    ],
)
def test_what_is_refused_says_with_which_status(
    files: Files, names: tuple[str, str, str], data: bytes, status: int
) -> None:
    most = 1000 if status == NO_RESOURCES else 1 << 20
    with pytest.raises(RefusedInstanceError) as caught:
        head_of(files, names, data, most)
    assert caught.value.status == status


def head_of(files: Files, names: tuple[str, str, str], data: bytes, most: int) -> Head:
    with arriving(files, *names, most) as arrival:
        arrival.write(data)
        return arrival.head()


def test_objects_in_memory_are_bounded_together(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival_module, "_MOST_IN_MEMORY", 3000)
    for _ in range(2):  # what one left is free for the next
        with (
            arriving(files, CT, NAME, SYNTAX, 2500, True) as first,
            arriving(files, CT, NAME, SYNTAX, 2500, True) as second,
        ):
            first.write(bytes(2000))
            with pytest.raises(RefusedInstanceError, match="Too many objects") as refused:
                second.write(bytes(2000))
            assert refused.value.status == NO_RESOURCES
    with arriving(files, CT, NAME, SYNTAX, 4000, True) as alone:
        alone.write(bytes(3500))
