"""Whether a header names a contrast agent, in the words that stand there."""

from __future__ import annotations

import pytest

from insula.scans.header import names_no_agent


@pytest.mark.parametrize(
    "text",
    ["NONE", "no contrast", "N", "NON-CONTRAST", "Non Contrast", "NONCONTRAST CT", "non-enhanced", "Unenhanced", "W/O",
     "WO CONTRAST", "not given", "NIL", "Nativ", "0 ml"],
)  # fmt: skip
def test_non_contrast_is_no_contrast_agent(text: str) -> None:
    assert names_no_agent(text)


@pytest.mark.parametrize(
    "text", ["OMNIPAQUE 300", "NON-IONIC", "Nonionic, 80 ml", "NOVALGIN", "WOLFRAM", "CONTRAST", "IV"]
)
def test_a_name_that_only_begins_as_a_no_is_an_agent(text: str) -> None:
    assert not names_no_agent(text)
