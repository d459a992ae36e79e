from __future__ import annotations

import re

import pytest

from insula.serve.web.markdown import Text, rendered

pytestmark = pytest.mark.serve


def address(path: str) -> str | None:
    known = {"docs/people.md": "/documents/people", "README.md": "/documents/readme", "docs/a.svg": "/documents/a.svg"}
    return known.get(path)


def made(source: str, path: str = "docs/here.md") -> Text:
    return rendered(source, path, address)


def links(source: str, path: str = "docs/here.md") -> list[str]:
    return re.findall(r'href="([^"]*)"', made(source, path).html)


def test_html_of_a_document_is_shown_and_not_run() -> None:
    html = made("A <script>alert(1)</script> and <b onclick=x>b</b>\n\n<iframe src='x'></iframe>").html
    assert "<script" not in html
    assert "<iframe" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("people.md", ["/documents/people"]),
        ("people.md#roles-and-projects", ["/documents/people#roles-and-projects"]),
        ("../README.md", ["/documents/readme"]),
        ("#a-part", ["#a-part"]),
        ("https://example.org/x", ["https://example.org/x"]),
        ("nothing.md", []),
        ("../../../etc/passwd", []),
        ("../src/insula/x.py", []),
        ("javascript:alert(1)", []),
        ("data:text/html,x", []),
        ("//evil.example/x", []),
        ("mailto:a@b.example", []),
    ],
)
def test_a_link_leads_to_a_document_of_ours_or_elsewhere_or_is_plain_text(link: str, leads: list[str]) -> None:
    assert links(f"See [the words]({link}) here.") == leads
    assert "the words" in made(f"See [the words]({link}) here.").html


def test_a_document_at_the_root_links_into_the_folder() -> None:
    assert links("[x](docs/people.md)", "README.md") == ["/documents/people"]


def test_pages_elsewhere_are_not_told_where_one_came_from() -> None:
    assert 'rel="noreferrer"' in made("[x](https://example.org)").html
    assert "noreferrer" not in made("[x](people.md)").html


def test_pictures_come_from_here_alone() -> None:
    assert 'src="/documents/a.svg"' in made("![A chart](a.svg)").html
    elsewhere = made("![A chart](https://example.org/a.png)").html
    assert "<img" not in elsewhere
    assert "A chart" in elsewhere


def test_headings_have_anchors_and_are_listed() -> None:
    text = made("# The `title`\n\n## Who, what?\n\n## Who what\n\n### Deeper\n\n## Who, what?\n")
    assert text.title == "The title"
    assert [part.anchor for part in text.parts] == ["who-what", "who-what-1", "who-what-2"]
    assert '<h3 id="deeper">' in text.html


def test_tables_align_by_class_and_can_be_scrolled_by_keyboard() -> None:
    html = made("| a | b |\n|---|--:|\n| 1 | 2 |\n").html
    assert "style=" not in html
    assert '<th class="n" scope="col">b</th>' in html
    assert '<td class="n">2</td>' in html
    assert re.search(r'<div tabindex="0"[^>]*><table>.*</table>\s*</div>', html, re.DOTALL)
    assert made("| | b |\n|---|---|\n| 1 | 2 |\n").html.count("<th") == 2  # <thead> and one header
    code = made("```sh\nrm <x>\n```\n\n    indented\n").html
    assert code.count('<pre tabindex="0"') == 2
    assert "rm &lt;x&gt;" in code
