"""Which passwords are taken, and how one is kept and checked."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pwdlib.hashers.argon2 import Argon2Hasher
from tests.serve.people.made import PASSWORD

from insula.serve.faults import RequestError
from insula.serve.people import passwords
from insula.serve.people.common_passwords import common_passwords, folded, is_common
from insula.serve.people.passwords import check_password, hash_password, normalised, verify

pytestmark = pytest.mark.serve


@pytest.mark.parametrize(
    "password",
    [
        "short pass!",  # 11
        "x7 " * 43,  # 129
        "password1234",
        "P4ssw0rd2024!",
        "PasswordPassword",
        "Summer2025!!",
        "hospital1234567",
        "qwertyuiop12"[:10] + "as",
        "123456789012",
        "lkjhgfdsapoiuytr"[:12],
        "zyxwvutsrqponm",
        "1qaz2wsx3edc",
        "aaaaaaaaaaaaaa",
        "abcabcabcabc",
        "ﬁfty\u0000-two kettles",
        "half \ud800 a character",
        "ａｄｍｉｎｉｓｔｒａｔｏｒ１",  # full width: the same word by NFKC
        "john.smith123",
        "John Smith Jr",
        "smith john smith",  # parts of the names
        "ADMIN Insula reviewer 77",
        "smith admin smith 2024",
    ],
)
def test_a_weak_password_is_refused_with_the_reason(password: str) -> None:
    with pytest.raises(RequestError, match="password") as got:
        check_password(password, "john.smith", "John Smith")
    assert (got.value.status, got.value.fault_code) == (422, "weak_password")
    assert password not in str(got.value)


@pytest.mark.parametrize(
    "password",
    [PASSWORD, "correct horse battery", "kırmızı şemsiye 7", "密码是一只在河里唱歌的猫", "x" * 6 + "john.smith" + "9q"],
)
def test_long_and_uncommon_passwords_are_taken_whatever_they_are_made_of(password: str) -> None:
    assert check_password(password, "john.smith", "John Smith") == normalised(password)


def test_the_list_is_small_and_holds_only_what_is_long_enough() -> None:
    words = common_passwords()
    assert 10_000 < len(words) < 200_000
    assert min(map(len, words)) == 12
    assert all(word == folded(word) for word in words)
    assert {"password1234", "welcome2024!", "adminadminadmin", "ytrewqytrewq"[:6] * 2} - words == {"ytrewqytrewq"}


@given(st.sampled_from(sorted(common_passwords())), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_case_does_not_make_a_common_password_uncommon(word: str, chance: object) -> None:
    flipped = "".join(c.upper() if i % 2 else c for i, c in enumerate(word))
    assert is_common(flipped)


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_a_password_is_one_however_its_letters_are_put_together(text: str) -> None:
    forms = {unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")}
    assert len({normalised(form) for form in forms}) == 1
    assert normalised(normalised(text)) == normalised(text)


def test_a_password_is_found_again_in_its_other_form_and_no_other_is() -> None:
    kept = hash_password(check_password("kırmızı şemsiye çok güzel"))
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert verify(unicodedata.normalize("NFD", "kırmızı şemsiye çok güzel"), kept) == (True, None)
    for other in ("kirmizi semsiye cok guzel", "kırmızı şemsiye çok güzel ", "", "a" * 100_000, "\ud800"):
        assert verify(other, kept) == (False, None)


def test_more_than_the_longest_password_is_never_cut_down_to_it() -> None:
    longest = ("violet kettle " * 10)[:128]
    kept = hash_password(check_password(longest))
    assert verify(longest, kept)[0]
    assert not verify(longest + "x", kept)[0]


def test_two_people_with_one_password_have_nothing_in_common() -> None:
    assert hash_password(PASSWORD).rpartition("$")[2] != hash_password(PASSWORD).rpartition("$")[2]


def test_a_hash_of_older_parameters_is_made_anew_and_only_for_the_right_password() -> None:
    old = Argon2Hasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    matches, renewed = verify(PASSWORD, old)
    assert matches
    assert renewed is not None
    assert verify(PASSWORD, renewed) == (True, None)
    assert verify(PASSWORD + "x", old) == (False, None)


def test_an_unknown_user_costs_one_check_as_a_known_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = hash_password(PASSWORD)
    seen: list[str] = []
    check = passwords.HASHER.verify_and_update

    def counted(password: str, against: str) -> tuple[bool, str | None]:
        seen.append(against)
        return check(password, against)

    monkeypatch.setattr(passwords.HASHER, "verify_and_update", counted)
    assert verify(PASSWORD, None) == (False, None)
    assert verify("wrong " + PASSWORD, kept) == (False, None)
    parameters = [against.split("$")[1:4] for against in seen]
    assert len(parameters) == 2
    assert parameters[0] == parameters[1]
