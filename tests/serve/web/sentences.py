"""The sentences that the pages and their scripts show, out of their sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

from jinja2 import nodes
from jinja2.ext import extract_from_ast

from insula.serve.web.frame import environment

ROOT = Path(__file__).parents[3]
SCRIPTS = ROOT / "web" / "src"
PAGES = ROOT / "src" / "insula" / "serve" / "web"
_TEXT = re.compile(r"""\btext\(\s*("(?:[^"\\]|\\.)*")""")
_IMPORT = re.compile(r"""(?:from|import)\s*\(?\s*["'](\.[^"']+)["']""")
_ASSET = re.compile(r"""asset\(['"]([\w-]+)\.js['"]\)""")
_READ_ALOUD = ("aria-label", "title", "placeholder", "alt", "data-confirm", "data-done", "data-label", "label")
_JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
_LOOK = re.compile(r"\{% block look %\}.*?\{% endblock %\}")  # names of classes
_TRANS = re.compile(r"\{%-?\s*trans\b.*?endtrans\s*-?%\}", re.DOTALL)


def templates() -> tuple[str, ...]:
    return tuple(sorted(environment("en").list_templates()))


def source(template: str) -> str:
    return (PAGES / "templates" / template).read_text(encoding="utf-8")


@cache
def tree(template: str) -> nodes.Template:
    return environment("en").parse(source(template))


def said(template: str) -> set[str]:
    """What a template translates: singular and plural each count for themselves."""
    found: set[str] = set()
    for _, _, message in extract_from_ast(tree(template)):
        found.update(one for one in (message if isinstance(message, tuple) else (message,)) if one)
    return found


def handed_on(template: str) -> set[str]:
    """What a template translates for scripts, by `texts_of`."""
    calls = [one for one in tree(template).find_all(nodes.Call) if getattr(one.node, "name", "") == "texts_of"]
    return {arg.value for call in calls for arg in call.args if isinstance(arg, nodes.Const)}


def computed(template: str) -> set[str]:
    """The sentences of a template that stand elsewhere, as the template's own source names them."""
    calls = [one for one in tree(template).find_all(nodes.Call) if getattr(one.node, "name", "") in ("_", "gettext")]
    lines = source(template).splitlines()
    found: set[str] = set()
    for call in calls:
        if not all(isinstance(arg, nodes.Const) for arg in call.args):
            found.update(re.findall(r"""\b_\(([^"'][^()]*(?:\([^()]*\))?[^()]*)\)""", lines[call.lineno - 1]))
    return found


def with_parents(template: str) -> set[str]:
    """A template with those that it extends, includes and imports."""
    found, left = set(), [template]
    while left:
        name = left.pop()
        found.add(name)
        for kind in (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport):
            for one in tree(name).find_all(kind):
                wanted = one.template  # type: ignore[attr-defined]
                if isinstance(wanted, nodes.Const) and wanted.value not in found:
                    left.append(wanted.value)
    return found


def scripts_of(template: str) -> set[str]:
    return set(_ASSET.findall(source(template)))


def script_files() -> tuple[Path, ...]:
    return tuple(sorted(SCRIPTS.rglob("*.ts")))


def asked_by(script: Path) -> set[str]:
    """The sentences that a script asks for by `text("…")`."""
    return {str(ast.literal_eval(one)) for one in _TEXT.findall(script.read_text(encoding="utf-8"))}


def imported(script: Path) -> set[Path]:
    """A script with all that it imports of ours."""
    found, left = set(), [script]
    while left:
        one = left.pop()
        found.add(one)
        for name in _IMPORT.findall(one.read_text(encoding="utf-8")):
            place = (one.parent / name).with_suffix(".ts") if not name.endswith(".ts") else one.parent / name
            if place.resolve() not in found and place.is_file():
                left.append(place.resolve())
    return found


@cache
def constants() -> frozenset[str]:
    """All strings of the Python whose words pages show: their own, the service's, and those of the report of a case."""
    package = PAGES.parents[1]
    files = [path for part in ("serve", "report", "infer") for path in (package / part).rglob("*.py")]
    parsed = [one for path in files for one in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    return frozenset(one.value for one in parsed if isinstance(one, ast.Constant) and isinstance(one.value, str))


class _Words(HTMLParser):
    """Letters that a reader sees or hears, outside of code."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._within: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style", "code", "pre", "kbd"):
            self._within.append(tag)
        self.found += [value for name, value in attrs if name in _READ_ALOUD and value]

    def handle_endtag(self, tag: str) -> None:
        if self._within and self._within[-1] == tag:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        if not self._within:
            self.found.append(data)


def untranslated(text: str) -> Iterator[str]:
    """Words of a template that stand in its text, or in an attribute that is read aloud, and in no sentence."""
    reader = _Words()
    reader.feed(_JINJA.sub("|", _TRANS.sub("|", _LOOK.sub("|", text))))
    reader.close()
    for one in reader.found:
        yield from re.findall(r"[^\W\d_][\w.-]*", one)
