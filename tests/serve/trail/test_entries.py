"""What may stand in an entry, and the bytes under its mac."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import astuple, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serve.trail.filled import FIRST, KEY, chain, fields, with_field

from insula.core.errors import TrailError
from insula.serve.trail.entries import START, Entry, Mark, encoded, following, holds, instant, mark_of
from insula.serve.trail.keys import entry_key

pytestmark = pytest.mark.serve

ANY = st.text(st.characters())  # surrogates included
SPLIT = st.lists(ANY, max_size=4)


def made(**words: object) -> Entry:
    return following(START, entry_key(KEY), **{**fields(0), **words})  # type: ignore[arg-type]


@settings(max_examples=1000, deadline=None)
@given(SPLIT, SPLIT)
def test_two_lists_of_fields_never_share_their_bytes(a: list[str], b: list[str]) -> None:
    assert (encoded("p", a) == encoded("p", b)) == (a == b)


def test_moving_a_letter_from_one_field_to_the_next_changes_the_bytes() -> None:
    assert (
        len({encoded(*split) for split in (("p", ("ab", "c")), ("p", ("a", "bc")), ("p", ("abc",)), ("pa", ("bc",)))})
        == 4
    )


def test_the_mac_and_the_link_are_those_of_the_standard_functions() -> None:
    first, second = chain(2)
    parts = ("insula-trail-entry-1", *(str(value) for value in astuple(first)[:-1]))
    message = b"".join(len(part.encode()).to_bytes(8, "big") + part.encode() for part in parts)
    prk = hmac.new(b"\0" * 32, KEY, hashlib.sha256).digest()  # HKDF, written out (RFC 5869)
    key = hmac.new(prk, b"insula-trail-entries-1\x01", hashlib.sha256).digest()
    assert first.mac == hmac.new(key, message, hashlib.sha256).hexdigest()
    parts = ("insula-trail-link-1", *parts[1:], first.mac)
    message = b"".join(len(part.encode()).to_bytes(8, "big") + part.encode() for part in parts)
    assert second.previous == hashlib.sha256(message).hexdigest()


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(["at", "actor", "action", "subject", "outcome", "detail", "previous", "mac"]), ANY, st.integers()
)
def test_whatever_else_stands_in_a_field_it_does_not_hold(name: str, value: str, seq: int) -> None:
    entry, key = chain(3)[2], entry_key(KEY)
    assert holds(entry, key)
    assert holds(with_field(entry, name, value), key) == (value == getattr(entry, name))
    assert holds(replace(entry, seq=seq), key) == (seq == 3)
    assert (mark_of(with_field(entry, name, value)) == mark_of(entry)) == (value == getattr(entry, name))


def test_a_mac_in_capitals_is_another_mac() -> None:
    entry = chain(1)[0]
    assert not holds(replace(entry, mac=entry.mac.upper()), entry_key(KEY))


def test_detail_is_kept_in_one_way_of_writing() -> None:
    one, other = made(detail={"b": [1, None], "a": "é"}), made(detail={"a": "é", "b": (1, None)})
    assert one.detail == other.detail == '{"a":"\\u00e9","b":[1,null]}'
    assert one.mac == other.mac


def test_instants_are_utc_and_sort_as_text() -> None:
    at = datetime(2026, 3, 29, 1, 30, tzinfo=timezone(timedelta(hours=3)))
    assert instant(at) == "2026-03-28T22:30:00.000000Z"
    times = [FIRST + timedelta(microseconds=7 * n**9) for n in range(40)]
    assert sorted(map(instant, times)) == [instant(time) for time in times]
    assert datetime.fromisoformat(instant(times[9])) == times[9].astimezone(UTC)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("actor", ""),
        ("actor", "a" * 121),
        ("actor", "two\nlines"),
        ("actor", "null\0"),
        ("action", ""),
        ("action", "a" * 61),
        ("action", "study read"),
        ("outcome", ""),
        ("outcome", "o" * 21),
        ("outcome", "=1+1"),
        ("subject", "s" * 121),
        ("subject", "Doe, John"),
        ("subject", "Yılmaz"),
        ("subject", "study:1\n"),
        ("detail", {"a": "x" * 2000}),
        ("detail", {"a": float("nan")}),
        ("detail", {"a": object()}),
        ("detail", {1: "a", "b": "c"}),
        ("at", datetime(2026, 1, 1)),
    ],
)
def test_a_field_out_of_bounds_is_refused_and_not_repeated(name: str, value: object) -> None:
    with pytest.raises(TrailError) as error:
        made(**{name: value})
    assert "Doe" not in str(error.value)
    assert "Yılmaz" not in str(error.value)


def test_the_largest_of_each_field_is_taken() -> None:
    detail = {"a": "x" * (2000 - len('{"a":""}'))}
    entry = made(actor="ş" * 120, action="a" * 60, subject="s" * 120, outcome="o" * 20, detail=detail)
    assert len(entry.detail) == 2000
    assert json.loads(entry.detail) == detail
    assert entry.seq == 1
    assert mark_of(entry) == Mark(1, mark_of(entry).digest)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(TrailError, match="31 bytes"):
        entry_key(b"k" * 31)
