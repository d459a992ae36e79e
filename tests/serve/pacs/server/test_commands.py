from __future__ import annotations

import io
import struct

import pytest
from pydicom.filereader import read_dataset
from tests.serve.pacs.listening import command

from insula.serve.pacs.server import commands
from insula.serve.pacs.server.commands import Command, CommandError


def test_a_command_is_read() -> None:
    raw = command(0x0130, data=True, x0003=b"1.2.3", x1001=b"1.2.3.4", x1008=b"\x01\x00")
    assert commands.read(raw) == Command(0x0130, 7, "1.2.3", "1.2.3.4", 1, True)


def test_an_answer_is_read_by_pydicom_as_it_was_meant() -> None:
    raw = commands.answer(Command(commands.STORE, 7, "1.2.3", "1.2.3.4", 0, True), 0xA700, "x" * 100)
    found = read_dataset(io.BytesIO(raw), is_implicit_VR=True, is_little_endian=True)
    assert found.CommandGroupLength == len(raw) - 12
    assert (found.CommandField, found.MessageIDBeingRespondedTo, found.Status) == (0x8001, 7, 0xA700)
    assert (found.AffectedSOPClassUID, found.AffectedSOPInstanceUID) == ("1.2.3", "1.2.3.4")
    assert found.ErrorComment == "x" * 64
    assert found.CommandDataSetType == 0x0101


@pytest.mark.parametrize(
    "raw",
    [
        b"\0" * 7,
        struct.pack("<HHL", 8, 0x0100, 0),
        struct.pack("<HHL", 0, 0x0100, 99),
        struct.pack("<HHL2s", 0, 0x0100, 2, b"\x01\0"),
        command(1, data=True).replace(struct.pack("<HHLH", 0, 0x0100, 2, 1), struct.pack("<HHLL", 0, 0x0100, 4, 1)),
    ],
    ids=["header", "group", "length", "missing", "number"],
)
def test_what_is_no_command_is_refused(raw: bytes) -> None:
    with pytest.raises(CommandError):
        commands.read(raw)
