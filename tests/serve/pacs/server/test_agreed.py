from __future__ import annotations

import pytest
from pynetdicom.presentation import AllStoragePresentationContexts

from insula.serve.pacs.server import agreed
from insula.serve.pacs.server.units import Answered, Proposed

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT, IMPLICIT, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.5"
JPIP = "1.2.840.10008.1.2.4.94"


def test_every_storage_class_that_pydicom_knows_is_taken() -> None:
    theirs = {str(one.abstract_syntax) for one in AllStoragePresentationContexts}
    newer = {one for one in theirs if one.startswith(("1.2.840.10008.5.1.4.1.1.66.", "1.2.840.10008.5.1.4.1.1.9.100."))}
    assert theirs - newer <= agreed.classes()
    assert agreed.COMMITMENT not in agreed.classes()
    assert "1.2.840.10008.1.3.10" not in agreed.classes()  # a directory of a medium


@pytest.mark.parametrize(
    ("abstract", "syntaxes", "expected"),
    [
        (CT, (EXPLICIT,), (0, EXPLICIT)),
        (CT, (RLE, IMPLICIT, EXPLICIT), (0, EXPLICIT)),
        (CT, (RLE, IMPLICIT), (0, IMPLICIT)),
        (CT, (RLE,), (0, RLE)),
        (CT, (JPIP,), (4, IMPLICIT)),
        (CT, (), (4, IMPLICIT)),
        (agreed.VERIFICATION, (IMPLICIT,), (0, IMPLICIT)),
        (agreed.VERIFICATION, (RLE,), (4, IMPLICIT)),
        (agreed.COMMITMENT, (EXPLICIT, IMPLICIT), (0, EXPLICIT)),
        ("1.2.840.10008.5.1.4.1.2.1.1", (IMPLICIT,), (3, IMPLICIT)),
    ],
)
def test_contexts_are_answered(abstract: str, syntaxes: tuple[str, ...], expected: tuple[int, str]) -> None:
    assert agreed.answers([Proposed(7, abstract, syntaxes)]) == {7: (Answered(7, *expected), abstract)}


def test_a_class_that_is_barred_is_answered_as_one_that_is_not_known() -> None:
    asked = [Proposed(1, CT, (EXPLICIT,)), Proposed(3, "1.2.840.10008.5.1.4.1.1.7", (EXPLICIT,))]
    told = agreed.answers(asked, lambda name: name != CT)
    assert {number: answer.result for number, (answer, _) in told.items()} == {1: agreed.ACCEPTED, 3: agreed.NO_CLASS}
