"""The report on paper: read back by a reader that this project did not write (pypdf)."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from pypdf import PdfReader
from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject
from tests.report.case.made_case import CHINESE, LONG, TURKISH, case, referred, rejected

from insula.report.case.paper import case_pdf
from insula.report.case.record import CaseReport, Patient

pytest.importorskip("weasyprint")
MADE: dict[str, Callable[[], CaseReport]] = {"accepted": case, "referred": referred, "rejected": rejected}


@cache
def paper(name: str) -> bytes:
    return case_pdf(MADE[name]())


def read(data: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(data))


def text(data: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in read(data).pages).split())


def elements(node: Any) -> Iterator[DictionaryObject]:
    """Every structure element below a node of the structure tree."""
    node = node.get_object() if isinstance(node, IndirectObject) else node
    if isinstance(node, ArrayObject):
        for one in node:
            yield from elements(one)
    elif isinstance(node, DictionaryObject):
        if "/S" in node:
            yield node
        if "/K" in node:
            yield from elements(node["/K"])


def test_text_extraction_finds_numbers_as_typed_and_names_in_their_script() -> None:
    found = text(paper("accepted"))
    for said in ("0.87", "0.412345", TURKISH, "TR-0042", "Beyin BT, kontrastsız", "slice 12 of 28",
                 "Research use only; not a medical device."):  # fmt: skip
        assert said in found, said
    found = text(paper("referred"))
    for said in (CHINESE, "病历-0001", "0.623", "Dr. Ayşe Yılmaz", "İzlem önerilir", "Yalnızca araştırma içindir"):
        assert said in found, said


def test_no_name_is_drawn_as_boxes() -> None:
    """A letter that no installed font has comes back from extraction as something else."""
    shown = referred(patient=Patient("s", f"{TURKISH} {CHINESE} 張偉 Мария Παύλος", "Ł-1"))
    found = text(case_pdf(shown))
    for word in (*TURKISH.split(), CHINESE, "張偉", "Мария", "Παύλος", "Ł-1"):
        assert word in found, word


def test_every_font_is_inside_the_file() -> None:
    for name in MADE:
        pages: list[Any] = list(read(paper(name)).pages)
        found = [font.get_object() for page in pages for font in page["/Resources"]["/Font"].values()]
        assert len(found) >= 2
        for font in found:
            assert "/FontFile2" in font["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()
            assert "Emoji" not in font["/BaseFont"]


@pytest.mark.parametrize("name", MADE)
def test_the_paper_is_tagged_and_says_what_it_is(name: str) -> None:
    made = read(paper(name))
    root: Any = made.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] == True  # noqa: E712 (pypdf's own boolean)
    assert root["/Lang"] == MADE[name]().language
    assert root["/ViewerPreferences"]["/DisplayDocTitle"] == True  # noqa: E712
    assert made.metadata is not None
    title = made.metadata.title
    assert title is not None
    assert title.endswith(MADE[name]().id)
    assert b"pdfuaid:part" in root["/Metadata"].get_object().get_data()
    tags = list(elements(root["/StructTreeRoot"]))
    kinds = {str(one["/S"]) for one in tags}
    assert {"/H1", "/H2", "/P", "/Table", "/TR", "/TH", "/TD", "/Figure"} <= kinds
    figures = [one for one in tags if str(one["/S"]) == "/Figure"]
    assert all(str(one["/Alt"]).strip() for one in figures)


def test_the_title_names_nobody() -> None:
    made = read(paper("accepted")).metadata
    assert made is not None
    assert TURKISH not in str(dict(made))


def test_a_rejected_case_shows_nothing_on_paper_either() -> None:
    found = text(paper("rejected"))
    assert "Rejected: there is no answer for this scan." in found
    for hidden in ("0.87", "0.412345", "0.6123", "intraparenchymal", "Prevalence"):
        assert hidden not in found, hidden


def test_nothing_runs_and_nothing_is_attached() -> None:
    for name in MADE:
        data = paper(name)
        assert not [word for word in (b"/JavaScript", b"/Launch", b"/URI", b"/EmbeddedFile") if word in data]


def test_a_usual_case_fits_on_two_pages_and_a_rejected_one_on_one() -> None:
    assert len(read(paper("accepted")).pages) == 2
    assert len(read(paper("referred")).pages) == 2
    assert len(read(paper("rejected")).pages) == 1


def test_a_long_name_keeps_every_word() -> None:
    found = "".join(text(case_pdf(case(patient=Patient("s", LONG, "9" * 60)))).split())
    assert "".join(LONG.split()) in found
    assert "9" * 60 in found
