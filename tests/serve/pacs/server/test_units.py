from __future__ import annotations

import struct

import pytest
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ, P_DATA_TF
from tests.serve.pacs.listening import context, part, request

from insula.serve.pacs.server import units
from insula.serve.pacs.server.units import Answered, Proposed, UnitError


def test_a_request_is_read_as_pynetdicom_reads_it() -> None:
    raw = request(contexts=context(1, b"1.2.3") + context(255, b"1.2.4\0", b"1.2.840.10008.1.2"), most=1 << 20)
    theirs = A_ASSOCIATE_RQ()
    theirs.decode(raw)
    found = units.request(raw[6:])
    assert (found.called, found.calling) == (theirs.called_ae_title, theirs.calling_ae_title) == ("INSULA", "SCANNER")
    assert (found.version, found.application, found.most) == (1, units.APPLICATION, 1 << 20)
    assert found.contexts == (
        Proposed(1, "1.2.3", ("1.2.840.10008.1.2.1",)),
        Proposed(255, "1.2.4", ("1.2.840.10008.1.2",)),
    )
    assert [one.presentation_context_id for one in theirs.presentation_context] == [1, 255]


def test_what_is_accepted_is_read_by_pynetdicom_as_it_was_meant() -> None:
    asked = units.request(request()[6:])
    raw = units.accepted(asked, [Answered(1, 0, "1.2.840.10008.1.2.1"), Answered(3, 4, "1.2.840.10008.1.2")], "1.2.3.4")
    theirs = A_ASSOCIATE_AC()
    theirs.decode(raw)
    assert (theirs.called_ae_title, theirs.calling_ae_title) == ("INSULA", "SCANNER")
    assert theirs.application_context_name == units.APPLICATION
    assert [(one.presentation_context_id, one.result) for one in theirs.presentation_context] == [(1, 0), (3, 4)]
    assert theirs.presentation_context[0].transfer_syntax == "1.2.840.10008.1.2.1"
    assert theirs.user_information is not None
    assert theirs.user_information.maximum_length == units.MOST_DATA
    assert theirs.user_information.implementation_class_uid == "1.2.3.4"


def test_what_is_rejected_is_read_by_pynetdicom_as_it_was_meant() -> None:
    theirs = A_ASSOCIATE_RJ()
    theirs.decode(units.rejected(2, 3, 1))
    assert (theirs.result, theirs.source, theirs.reason_diagnostic) == (2, 3, 1)
    assert theirs.reason_str == "Temporary congestion"


def test_data_is_cut_to_the_longest_unit() -> None:
    raw, bodies = units.data(5, bytes(range(256)), 100), []
    while raw:
        _, length = units.header(raw[:6])
        theirs = P_DATA_TF()
        theirs.decode(raw[: 6 + length])
        bodies.append(raw[6 : 6 + length])
        raw = raw[6 + length :]
    assert max(len(body) for body in bodies) == 100
    parts = [one for body in bodies for one in units.parts(memoryview(body))]
    assert [one.last for one in parts] == [False, False, True]
    assert {(one.context, one.command) for one in parts} == {(5, True)}
    assert b"".join(one.content for one in parts) == bytes(range(256))


@pytest.mark.parametrize("body", [b"\0", struct.pack(">LBB", 1, 1, 0), part(1, b"12", command=True)[:-1]])
def test_parts_that_do_not_fit_their_unit_are_refused(body: bytes) -> None:
    with pytest.raises(UnitError):
        list(units.parts(memoryview(body)))
