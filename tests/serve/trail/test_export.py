"""Exported entries: exact as JSON lines, harmless as CSV, and judged by an outsider."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.serve.trail.filled import KEY, OTHER, chain, with_field

from insula.core.errors import UsageError
from insula.serve.store.connect import reading
from insula.serve.trail.entries import Entry, mark_of
from insula.serve.trail.export import csv_lines, json_lines, read_lines
from insula.serve.trail.keep import keep_head
from insula.serve.trail.keys import public_key
from insula.serve.trail.search import matching
from insula.serve.trail.verify import verify_export

pytestmark = pytest.mark.serve

ANY = st.text(st.characters())


@settings(max_examples=300, deadline=None)
@given(st.integers(), ANY, ANY)
def test_json_lines_bring_back_any_entry(seq: int, actor: str, detail: str) -> None:
    entry = replace(chain(1)[0], seq=seq, actor=actor, detail=detail)
    lines = list(json_lines([entry]))
    assert list(read_lines(lines)) == [entry]
    assert lines[0].isascii()
    assert lines[0].count("\n") == 1


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["", "=", "+", "-", "@", "\t", "\r", "\n", "＝", " =", "'"]), ANY)
def test_no_cell_of_a_csv_is_a_formula(start: str, rest: str) -> None:
    entry = replace(chain(1)[0], actor=start + rest, subject=start, detail=start + rest)
    text = "".join(csv_lines([entry]))
    text.encode()
    names, cells = list(csv.reader(io.StringIO(text, newline="")))
    assert names[0] == "seq"
    assert len(cells) == 9
    assert not [cell for cell in cells if cell.lstrip(" ")[:1] in tuple("=+-@\t\r\n＝＋－＠")]
    assert cells[8] == entry.mac


def test_a_csv_holds_what_the_entries_hold(records: Engine, twenty: list[Entry]) -> None:
    with reading(records) as connection:
        text = "".join(csv_lines(matching(connection)))
    names, *rows = csv.reader(io.StringIO(text, newline=""))
    assert names == [field.name for field in fields(Entry)]
    assert [Entry(int(seq), *texts) for seq, *texts in rows] == twenty


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "[1]",
        "null",
        '{"seq": 1',
        json.dumps({"seq": "1", **dict.fromkeys(("at", "actor", "action", "subject", "outcome", "detail"), "")}),
        next(json_lines(chain(1))).replace('"seq": 1', '"seq": "1"'),
        next(json_lines(chain(1))).replace('"seq": 1', '"seq": true'),
        next(json_lines(chain(1))).replace('"login"', "7"),
        next(json_lines(chain(1))).replace('"seq"', '"number"'),
        "[" * 90_000,
        " " * 200_000,
    ],
    ids=lambda line: str(len(line)),
)
def test_a_line_that_is_no_entry_is_named(line: str) -> None:
    good = next(json_lines(chain(1)))
    with pytest.raises(UsageError, match="Line 2 "):
        list(read_lines([good, line]))


def test_an_outsider_judges_with_heads_and_the_public_key(records: Engine, twenty: list[Entry], tmp_path: Path) -> None:
    place, public = str(tmp_path / "heads"), public_key(KEY)
    keep_head(records, KEY, place)
    found = verify_export(twenty, public, place)
    assert (found.holds, found.entries, found.covered, found.keyed) == (True, 20, 20, False)
    for entry in twenty:
        for name in ("at", "actor", "action", "subject", "outcome", "detail", "previous", "mac"):
            changed = [with_field(e, name, "x") if e is entry else e for e in twenty]
            fault = verify_export(changed, public, place).fault
            assert fault is not None
            assert fault.seq in (entry.seq, entry.seq + 1)  # which of two that do not fit, the digests cannot say
            assert fault.kind == "changed"
    fault = verify_export(twenty[:19], public, place).fault
    assert fault is not None
    assert (fault.seq, fault.kind) == (20, "cut")
    fault = verify_export(chain(20, OTHER), public, place).fault
    assert fault is not None
    assert (fault.seq, fault.kind) == (20, "changed")
    assert verify_export(twenty, public_key(OTHER), place).spoilt == 1
    longer = chain(23, OTHER, twenty)  # what an outsider cannot see, and does not vouch for
    found = verify_export(longer, public, place)
    assert found.holds
    assert "vouches for entries 1 to 20; without the key, entries 21 to 23 cannot be judged" in found.said()
    assert mark_of(longer[-1]).seq == 23
