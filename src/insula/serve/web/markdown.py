"""A document of Markdown as HTML: without HTML of its own, with links that stay within the service."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

from insula.core.headings import slug

_SCROLLS: Final = 'tabindex="0" role="group" class="scroll"'  # so that who has no mouse can scroll what is wide


@dataclass(frozen=True)
class Part:
    """A heading that a list of contents names."""

    title: str
    anchor: str


@dataclass(frozen=True)
class Text:
    """A document. title: its first heading; parts: the second ones; html: all of it."""

    title: str
    parts: tuple[Part, ...]
    html: Markup


def rendered(source: str, path: str, address: Callable[[str], str | None]) -> Text:
    """A document as HTML. path: where it lies within the project; address: path → where a page finds it, if it does.

    A link to what is no document of ours becomes plain text, so that none leads nowhere. What looks like HTML in the
    source is shown as it stands (`html: False`), and addresses of scripts are no links.
    """
    reader = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")
    tokens = reader.parse(source)
    headings = _anchored(tokens)
    for place, token in enumerate(tokens):
        if token.type in ("th_open", "td_open"):
            _plain_cell(tokens[place : place + 3])
        if token.children:
            token.children = _linked(token.children, path, address)
    titles = [part for level, part in headings if level == "h1"]
    html = reader.renderer.render(tokens, reader.options, {})
    parts = tuple(part for level, part in headings if level == "h2")
    return Text(titles[0].title if titles else path, parts, Markup(html))  # noqa: S704 - escaped by the renderer


class _Renderer(RendererHTML):
    def table_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f"<div {_SCROLLS}>" + self.renderToken(tokens, idx, options, env)

    def table_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return self.renderToken(tokens, idx, options, env) + "</div>\n"

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return super().fence(tokens, idx, options, env).replace("<pre>", f"<pre {_SCROLLS}>", 1)

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return super().code_block(tokens, idx, options, env).replace("<pre", f"<pre {_SCROLLS}", 1)


def _anchored(tokens: Sequence[Token]) -> list[tuple[str, Part]]:
    """Give each heading its anchor; the headings with their level."""
    found: list[tuple[str, Part]] = []
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            title = "".join(child.content for child in inline.children or ())
            part = Part(title, slug(title, {known.anchor for _, known in found}))
            token.attrSet("id", part.anchor)
            found.append((token.tag, part))
    return found


def _plain_cell(cell: Sequence[Token]) -> None:
    """A cell as the pages need it: start, content and end.

    It is aligned by class, since the pages' policy allows no style attribute; a header says what it heads, and one
    without a word is none.
    """
    start, content, end = cell
    if "right" in str(start.attrs.pop("style", "")):
        start.attrSet("class", "n")
    if not content.content:
        start.tag = end.tag = "td"
    elif start.tag == "th":
        start.attrSet("scope", "col")


def _linked(children: Sequence[Token], path: str, address: Callable[[str], str | None]) -> list[Token]:
    """The tokens of a line with links as the pages need them."""
    made: list[Token] = []
    dropped: list[bool] = []
    for token in children:
        if token.type == "link_open":
            where = _target(str(token.attrs.get("href", "")), path, address)
            dropped.append(where is None)
            if where is None:
                continue
            token.attrSet("href", where)
            if urlsplit(where).scheme:
                token.attrSet("rel", "noreferrer")
        elif token.type == "link_close" and dropped.pop():
            continue
        elif token.type == "image":
            where = _target(str(token.attrs.get("src", "")), path, address)
            if where is None or urlsplit(where).scheme:  # a picture from elsewhere is not fetched
                made += token.children or []
                continue
            token.attrSet("src", where)
            token.attrSet("loading", "lazy")
        made.append(token)
    return made


def _target(link: str, path: str, address: Callable[[str], str | None]) -> str | None:
    """Where a link of a document leads here: an anchor, a page elsewhere, or another document; None for nowhere."""
    parts = urlsplit(link)
    if parts.scheme in ("http", "https"):
        return link
    if parts.scheme or parts.netloc:
        return None
    if not parts.path:
        return link or None
    place = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(parts.path)))
    found = address(place)
    return None if found is None else found + (f"#{parts.fragment}" if parts.fragment else "")
