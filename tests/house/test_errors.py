"""Every code that the program or the service can answer with has its part in docs/errors.md, and no other has one."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
from tests.house.walk import ROOT

from insula.core.errors import PAGE, InsulaError, see_of
from insula.core.headings import headings, part

SOURCE = ROOT / "src" / "insula"
TEXT = (ROOT / "docs" / f"{PAGE}.md").read_text(encoding="utf-8")
# calls that make a refusal → where its status, its code stand among what they are given
MAKERS = {"RequestError": (0, 1), "NotSeenError": (0, 1), "response": (0, 1), "at": (1, 2)}


def trees(folder: Path, *words: str) -> Iterator[tuple[Path, ast.Module]]:
    """The files below a folder that hold any of these words, parsed."""
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if any(word in text for word in words):
            yield path, ast.parse(text)


@cache
def classes() -> dict[str, type[InsulaError]]:
    """Code → a class of errors that has it, of all that the package defines; asked of the classes themselves."""
    for path, tree in trees(SOURCE, "Error)"):
        kinds = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        if any(getattr(base, "id", "").endswith("Error") for kind in kinds for base in kind.bases):
            import_module(".".join(path.relative_to(ROOT / "src").with_suffix("").parts))
    found: dict[str, type[InsulaError]] = {}
    waiting: list[type[InsulaError]] = [InsulaError]
    while waiting:
        kind = waiting.pop(0)
        waiting += kind.__subclasses__()
        if kind.__module__.startswith("insula."):
            found.setdefault(kind.code, kind)
    return found


@cache
def refusals() -> dict[str, set[int]]:
    """Code → the statuses with which the service answers it, as they stand in its source; an empty set where they do
    not stand beside the code.
    """
    from insula.serve import trouble
    from insula.serve.models.ticket import Stage
    from insula.serve.people.fetch import BUSY

    found: dict[str, set[int]] = defaultdict(set)
    for _, tree in trees(SOURCE / "serve", *MAKERS, "_refused", "_nobody", '"message"'):
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args) if name in MAKERS:
                    status, at = MAKERS[name]
                    if len(args) > at and (said := text_of(args[at])):
                        found[said] |= number_of(args[status])
                case ast.Call(func=ast.Name(id="_refused" | "_nobody"), args=[_, code]) if text_of(code):
                    found[text_of(code)].add(401)
                case ast.Dict(keys=keys, values=values):
                    row = {text_of(k): v for k, v in zip(keys, values, strict=True) if k is not None}
                    if {"code", "message"} <= row.keys() and (said := text_of(row["code"])):
                        found[said] |= set()
    for known in trouble.CODES:
        found[known].add(trouble._said(known).status)
    found[BUSY].add(503)
    for stage in get_args(Stage):
        found[f"{stage}_timeout"].add(504)
    found["method"].add(405)  # said by the web framework, and passed on in `insula.serve.app`
    found["http"] |= set()
    found["decoder_killed"].add(503)
    return dict(found)


def number_of(node: ast.expr) -> set[int]:
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, int) else set()


def text_of(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


KNOWN = sorted({*classes(), *refusals()})


def test_the_source_was_understood() -> None:
    assert {"error", "cohort", "peer_refused", "records", "remote", "unfinished"} <= classes().keys()
    assert {"two_credentials", "session_ended", "lost", "no_space", "issuer_busy", "weak_password"} <= refusals().keys()
    assert refusals()["too_many"] == {413, 422}
    assert len(KNOWN) > 140


@pytest.mark.parametrize("code", KNOWN)
def test_a_code_has_its_part_with_what_to_do_next(code: str) -> None:
    said = part(TEXT, code)
    assert said.startswith(f"### {code}\n"), f"docs/errors.md says nothing of '{code}'"
    assert "**Next:** " in said
    for status in refusals().get(code, ()):
        assert str(status) in said.partition("**Next:**")[0], f"'{code}' is answered with {status}"
    if code in classes():
        assert f"Exit code {classes()[code].exit_code}" in said.replace("\n", " ")


def test_the_page_explains_no_code_that_nothing_answers_with() -> None:
    assert {one.anchor for one in headings(TEXT) if one.level == 3} == set(KNOWN)


def test_the_service_shows_a_place_for_each_code() -> None:
    from insula.serve.api.problem import address
    from insula.serve.web.documents import text_of as shown

    page = str(shown(PAGE).html)
    for code in KNOWN:
        assert address(code) == f"/documents/{see_of(code)}"
        assert f'id="{code}"' in page
