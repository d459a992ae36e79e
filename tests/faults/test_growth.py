"""Regular expressions on text and bytes from outside: none takes time that doubles with each further character.

Time that grows as the square of a long text is not noticed here: see the tests of what reads long ones.
"""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.faults.tally import Tally, sizes

sre: Any = importlib.import_module("re._constants")  # not in the library's stubs
parser: Any = importlib.import_module("re._parser")

SOURCE = Path(__file__).parents[2] / "src" / "insula"
_NAMES = ("compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer")
_CALLS = frozenset(f"re.{name}" for name in _NAMES)
SECONDS = 120  # of processor time for all patterns, which take a few


def patterns() -> list[tuple[str, str]]:
    """Every pattern that stands in the source as text, with its place."""
    found: dict[str, str] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "re." not in text and "pattern=" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call):
                for one in _texts(node):
                    found.setdefault(one, f"{path.relative_to(SOURCE)}:{node.lineno}")
    return sorted((place, text) for text, place in found.items())


def _texts(node: ast.Call) -> Iterator[str]:
    called = node.func
    if node.args and ast.unparse(called) in _CALLS:
        yield from _text(node.args[0])
    for one in node.keywords:
        if one.arg == "pattern":
            yield from _text(one.value)


def _text(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
        yield node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value


def attacks(pattern: str, length: int) -> Iterator[str]:
    """Texts that make a matcher try again and again: what a repeated part takes, many times, and then what ends it."""
    before = ""
    for kind, told in parser.parse(pattern):
        piece = _sample([(kind, told)])
        for pump in _pumps([(kind, told)]):
            many = pump * (length // max(len(pump), 1))
            yield from (before + many + "\0", many + "\0", before + many + piece + "\n!", "\0" + many)
        before += piece


def _pumps(parsed: Any) -> Iterator[str]:
    """A sample of the inside of each repetition."""
    for kind, told in parsed:
        if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            yield _sample(told[2]) or "a"
            yield from _pumps(told[2])
        elif kind is sre.SUBPATTERN:
            yield from _pumps(told[3])
        elif kind is sre.BRANCH:
            for branch in told[1]:
                yield from _pumps(branch)
        elif kind in (sre.ASSERT, sre.ASSERT_NOT):
            yield from _pumps(told[1])


def _sample(parsed: Any) -> str:
    """A text that a parsed pattern takes, as far as that can be said simply."""
    out = ""
    for kind, told in parsed:
        if kind is sre.LITERAL:
            out += chr(told)
        elif kind in (sre.ANY, sre.NOT_LITERAL):
            out += "a"
        elif kind is sre.IN:
            out += _one_of(told)
        elif kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            out += _sample(told[2]) * max(told[0], 1)
        elif kind is sre.SUBPATTERN:
            out += _sample(told[3])
        elif kind is sre.BRANCH:
            out += _sample(told[1][0])
    return out


def _one_of(told: Any) -> str:
    said = {sre.CATEGORY_DIGIT: "1", sre.CATEGORY_SPACE: " ", sre.CATEGORY_WORD: "a", sre.CATEGORY_NOT_SPACE: "a"}
    for kind, value in told:
        if kind is sre.LITERAL:
            return chr(value)
        if kind is sre.RANGE:
            return chr(value[0])
        if kind is sre.CATEGORY:
            return said.get(value, "a")
    return "a"


def tried(length: int, found: list[tuple[str, str]]) -> int:
    """Search each of these patterns in every text that attacks it; how many texts. The caller bounds the process."""
    count = 0
    for place, pattern in found:
        compiled = re.compile(pattern)
        for text in attacks(pattern, length):
            sys.stdout.write(f"{place}\n")
            sys.stdout.flush()
            compiled.search(text)
            compiled.fullmatch(text)
            count += 1
    return count


def run(code: str) -> tuple[int, str]:
    """How many texts were tried in a process of its own, and the pattern at which its time ended."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS})); "
    done = subprocess.run(
        [sys.executable, "-c", limit + code], cwd=SOURCE.parents[1], capture_output=True, text=True, check=False
    )
    last = done.stdout.strip().rpartition("\n")[2]
    return (int(last.split()[1]), "") if last.startswith("tried") else (0, last + done.stderr[-300:])


@sizes("length", 300, 4_000)
def test_no_pattern_takes_time_without_end(length: int, tally: Tally) -> None:
    found = patterns()
    assert len(found) > 50
    count, stuck = run(f"from tests.faults.test_growth import tried; print('tried', tried({length}, {found!r}))")
    assert not stuck, stuck
    tally.tried(
        "texts that attack the regular expressions of the source", count, figures={"patterns": float(len(found))}
    )


def test_a_pattern_that_grows_without_end_is_noticed() -> None:
    for pattern in (r"(a+)+$", r"(\w+|\d)*!", r"(a|aa)+$"):
        texts = list(attacks(pattern, 40))
        # a limit of the system is a second at least, a timer is not
        soon = "import re, signal; signal.setitimer(signal.ITIMER_PROF, 0.3)\n"
        code = f"{soon}for t in {texts!r}: re.compile({pattern!r}).search(t)\nprint('tried', 1)"
        assert run(code)[0] == 0
