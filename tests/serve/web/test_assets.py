from __future__ import annotations

import re

import pytest
from tests.serve.api.made import Made
from tests.serve.web.sentences import PAGES

from insula.serve.web.assets import SHEET, address, assets, is_built

pytestmark = pytest.mark.serve


def test_the_style_sheet_is_one_file_the_frame_first() -> None:
    sheet = assets()[SHEET].data.decode()
    parts = [path.read_text(encoding="utf-8") for path in (PAGES / "style").glob("*.css")]
    assert all(part in sheet for part in parts)
    assert sheet.startswith((PAGES / "style" / "frame.css").read_text(encoding="utf-8"))


def test_an_asset_may_be_kept_because_its_address_changes_with_its_content(made: Made) -> None:
    client = made.fresh()
    answer = client.get(address(SHEET))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/css")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert address(SHEET) == f"/assets/{SHEET}?v={assets()[SHEET].tag}"
    assert "set-cookie" not in answer.headers


def test_all_else_is_kept_by_no_browser_and_no_proxy(made: Made) -> None:
    client = made.client("reader")
    for path in (
        "/",
        "/login",
        "/about",
        "/worklist",
        "/nothing",
        "/api/v1/session",
        "/documents/people",
        "/openapi.json",
    ):
        answer = client.get(path, headers={"accept": "text/html"}, follow_redirects=False)
        assert answer.headers["cache-control"] == "no-store", path


@pytest.mark.parametrize(
    "name", ["nothing.js", "../frame.py", "..%2f..%2fframe.py", "../templates/frame.html", "frame.css", ""]
)
def test_nothing_but_the_assets_is_given_out(made: Made, name: str) -> None:
    answer = made.fresh().get(f"/assets/{name}")
    assert answer.status_code in (404, 403)
    assert "def " not in answer.text


def test_what_was_built_is_served_and_named_by_the_pages(made: Made) -> None:
    text = made.fresh().get("/about").text
    named = re.findall(r'(?:src|href)="(/assets/[^"]+)"', text)
    assert address(SHEET).replace("&", "&amp;") in named
    assert any("main.js" in one for one in named) == is_built()
    for one in named:
        assert made.fresh().get(one).status_code == 200, one
