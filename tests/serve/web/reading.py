"""A page as a test reads it: its table, its form's fields, its links, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

from fastapi.testclient import TestClient

_VOID = frozenset({"input", "meta", "link", "br", "img", "hr", "rect", "path"})


@dataclass
class Page:
    """rows: the text of each cell of the tables' bodies. fields: of forms, by name. options: value and text, by name.

    links: addresses; rels: those with a rel. alert: what stands in an alert. text: all that is read.
    """

    rows: list[list[str]] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    options: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    rels: dict[str, str] = field(default_factory=dict)
    alert: str = ""
    text: str = ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self.open: list[tuple[str, dict[str, str]]] = []
        self.select, self.value = "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in _VOID:
            self.open.append((tag, given))
        inside = [name for name, _ in self.open]
        if tag == "a" and "href" in given:
            self.page.links.append(given["href"])
            if "rel" in given:
                self.page.rels[given["rel"]] = given["href"]
        elif tag == "input" and "name" in given:
            self.page.fields[given["name"]] = given.get("value", "")
        elif tag == "select":
            self.select = given.get("name", "")
            self.page.fields[self.select] = ""
            self.page.options[self.select] = []
        elif tag == "option":
            self.value = given["value"]
            if "select" in inside:
                self.page.options[self.select].append((self.value, ""))
                if "selected" in given:
                    self.page.fields[self.select] = self.value
        elif tag == "tr" and "tbody" in inside:
            self.page.rows.append([])
        elif tag in ("th", "td") and "tbody" in inside:
            self.page.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while any(name == tag for name, _ in self.open) and self.open.pop()[0] != tag:
            continue

    def handle_data(self, data: str) -> None:
        inside = [name for name, _ in self.open]
        if "script" in inside:
            return
        text = " ".join(data.split())
        if not text:
            return
        self.page.text += f"{text} "
        if "option" in inside and "select" in inside:
            value, before = self.page.options[self.select][-1]
            self.page.options[self.select][-1] = (value, f"{before} {text}".strip())
        if "tbody" in inside and ("td" in inside or "th" in inside):
            self.page.rows[-1][-1] = f"{self.page.rows[-1][-1]} {text}".strip()
        if any(given.get("role") == "alert" for _, given in self.open):
            self.page.alert += text


def read(client: TestClient, path: str, status: int = 200, **asked: str) -> Page:
    """A page that a client is shown, with the status that it must have."""
    answer = client.get(path, params=asked or None, headers={"Accept": "text/html"}, follow_redirects=False)
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:2000]}"
    reader = _Reader()
    reader.feed(answer.text)
    return reader.page
