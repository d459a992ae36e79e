from __future__ import annotations

import re
from pathlib import Path

import pytest

from insula.cohort.deidentify import dates, keys, words
from insula.cohort.deidentify.keys import Key
from insula.core.errors import UsageError

ONE, OTHER = Key(b"one key of sixteen", True), Key(b"another of sixteen", True)


def test_a_uid_is_valid_and_the_same_for_the_same_key_alone() -> None:
    uid = ONE.uid("1.2.3")
    assert re.fullmatch(r"2\.25\.(0|[1-9]\d*)", uid)
    assert len(uid) <= 64
    assert uid == Key(b"one key of sixteen", False).uid("1.2.3")
    assert len({uid, OTHER.uid("1.2.3"), ONE.uid("1.2.4")}) == 3


def test_pseudonyms_are_short_names_that_do_not_collide() -> None:
    names = {ONE.name(f"patient {k}") for k in range(5000)}
    assert len(names) == 5000
    assert all(re.fullmatch(r"p[a-z2-7]{12}", name) for name in names)
    assert ONE.name(" P1 ") == ONE.name("P1")


def test_shifts_are_spread_over_ten_years_backwards() -> None:
    days = [ONE.days(f"patient {k}") for k in range(3000)]
    assert max(days) <= -1
    assert min(days) >= -3650
    assert len(set(days)) > 1500
    assert ONE.days("a") != OTHER.days("a")


def test_the_secret_is_not_shown() -> None:
    assert "sixteen" not in repr(ONE)


def test_the_key_comes_from_a_file_that_only_its_owner_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(keys.VARIABLE, raising=False)
    file = tmp_path / "key"
    file.write_text("a key of more than sixteen\n")
    file.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        keys.find(file)
    file.chmod(0o600)
    assert keys.find(file) == Key(b"a key of more than sixteen", True)
    file.write_text("short")
    with pytest.raises(UsageError, match="holds 5 characters"):
        keys.find(file)
    with pytest.raises(UsageError, match="does not exist"):
        keys.find(tmp_path / "none")


def test_without_a_key_each_run_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(keys.VARIABLE, raising=False)
    first, second = keys.find(None), keys.find(None)
    assert not first.lasting
    assert first.uid("1.2") != second.uid("1.2")
    monkeypatch.setenv(keys.VARIABLE, "from the environment")
    assert keys.find(None) == Key(b"from the environment", True)


@pytest.mark.parametrize(
    ("vr", "value", "moved"),
    [
        ("DA", "20200301", "20200229"),
        ("DA", "2020.03.01", "20200229"),
        ("DA", "20200230", None),
        ("DA", "MARCH 2020", None),
        ("DT", "20210101123456.789+0100", "20201231123456.789+0100"),
        ("DT", "202101", "202012"),
        ("DT", "2021", "2020"),
        ("TM", "123456.5", "123456.5"),
        ("TM", "DOE", None),
        ("SH", "+0100", "+0100"),
        ("SH", "HOME", None),
    ],
)
def test_a_date_moves_by_days_and_a_time_stays(vr: str, value: str, moved: str | None) -> None:
    assert dates.shift(vr, value, -1) == moved


@pytest.mark.parametrize(
    ("age", "kept"), [("089Y", "089Y"), ("090Y", "090Y"), ("104Y", "090Y"), ("120D", "120D"), ("OLD", None)]
)
def test_ages_above_89_become_90(age: str, kept: str | None) -> None:
    assert dates.capped(age) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("CT HEAD W/O CONTRAST DOE JANE 123456", "CT HEAD W/O CONTRAST"),
        ("t2 Flair axial 5.0mm", "t2 Flair axial 5.0mm"),
        ("Dr Miller 19610403", ""),
        ("AX T1 POST 3D room5x", "AX T1 POST 3D"),
    ],
)
def test_a_text_keeps_words_of_scanning_alone(text: str, kept: str) -> None:
    assert words.cleaned(text) == kept
