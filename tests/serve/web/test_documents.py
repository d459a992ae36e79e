from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.serve.api.made import Made

from insula.serve.web import library
from insula.serve.web.documents import text_of
from insula.serve.web.library import PICTURES, SHELVES, is_picture, results, shelf, shelf_of

pytestmark = pytest.mark.serve
ROOT = Path(__file__).parents[3]
PAGE = {"accept": "text/html"}


def test_every_document_stands_on_one_shelf() -> None:
    named = [name for names in SHELVES.values() for name in names]
    assert len(named) == len(set(named))
    there = {name for name in shelf() if not is_picture(name) and not name.startswith(library.RESULTS)}
    assert set(named) == there, "name a new document in serve/web/library.py"
    assert len(results()) > 10


def laid_out(root: Path, docs: Path) -> None:
    (docs / "results").mkdir(parents=True)
    for name in ("people.md", "results/drift.md", "results/scale.svg", "results/cost.json"):
        (docs / name).write_text("# x", encoding="utf-8")
    for name in ("README.md", "CHANGELOG.md", "pyproject.toml"):
        (root / name).write_text("# x", encoding="utf-8")


def test_documents_are_found_in_a_checkout_and_in_an_installed_package(tmp_path: Path) -> None:
    wanted = {"people", "results/drift", "results/scale.svg", "readme", "changelog"}
    checkout = tmp_path / "checkout"
    (checkout / "src" / "insula").mkdir(parents=True)
    laid_out(checkout, checkout / "docs")
    assert set(shelf_of(checkout / "src" / "insula")) == wanted
    installed = tmp_path / "site-packages" / "insula"
    (installed / "documents").mkdir(parents=True)
    laid_out(installed / "documents", installed / "documents" / "docs")
    assert set(shelf_of(installed)) == wanted
    bare = tmp_path / "bare" / "site-packages" / "insula"
    bare.mkdir(parents=True)
    assert shelf_of(bare) == {}


def test_the_wheel_takes_the_documents_along() -> None:
    wanted = '"docs" = "insula/documents/docs"'
    assert wanted in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_no_link_between_documents_leads_nowhere() -> None:
    pages = {name: text_of(name).html for name in shelf() if not is_picture(name)}
    anchors = {name: set(re.findall(r' id="([^"]+)"', html)) for name, html in pages.items()}
    for name, html in pages.items():
        for link in re.findall(r'href="([^"]+)"', html):
            if link.startswith(("http", "/documents#")) or link == "/documents":
                continue
            place, _, anchor = link.partition("#")
            target = place.removeprefix("/documents/") or name
            assert target in shelf(), (name, link)
            assert not anchor or anchor in anchors[target], (name, link)


def test_anybody_reads_the_documents(made: Made) -> None:
    client = made.fresh()
    listed = client.get("/documents", headers=PAGE)
    assert listed.status_code == 200
    assert client.get("/documents", headers={"accept-language": "de"}).text.count("<h2>") == listed.text.count("<h2>")
    for link in set(re.findall(r'href="(/documents/[^"]+)"', listed.text)):
        page = client.get(link, headers=PAGE)
        assert page.status_code == 200, link
        assert page.text.count("<h1") == 1, link
        assert "style=" not in page.text, link
        for picture in re.findall(r'<img src="([^"]+)"', page.text):
            answer = client.get(picture)
            assert answer.headers["content-type"] in PICTURES.values(), picture


@pytest.mark.parametrize(
    "name", ["nothing", "../pyproject.toml", "..%2f..%2fetc%2fpasswd", "results/study-cost.json", ""]
)
def test_what_is_no_document_is_not_served(made: Made, name: str) -> None:
    answer = made.fresh().get(f"/documents/{name}", headers=PAGE)
    assert answer.status_code == 404
