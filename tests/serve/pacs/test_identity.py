"""What is sealed opens with its key and in its place alone."""

from __future__ import annotations

import base64

import pytest
from pydantic import SecretStr

from insula.serve.pacs.identity import IdentityError, made, needed, seal_of
from insula.serve.pacs.settings import PacsSettings

SECRET = "i" * 40
TOLD = {"uid": "1.2.840.4711", "said": {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Änne"}]}}}


def test_what_is_sealed_comes_back() -> None:
    seal = made(SECRET)
    assert seal.open(seal.close(TOLD, "study\0" + "2.25.1"), "study\0" + "2.25.1") == TOLD


def test_nothing_of_it_can_be_read_and_no_two_seals_are_alike() -> None:
    seal = made(SECRET)
    one, two = seal.close(TOLD, "a"), seal.close(TOLD, "a")
    assert one != two
    plain = base64.b64decode(one.rsplit(".", 1)[1])
    assert one.isascii()
    assert not any(word in plain + one.encode() for word in (b"4711", b"ller", b"00100010", b"Alphabetic"))


def test_another_key_says_so() -> None:
    sealed = made(SECRET).close(TOLD, "a")
    with pytest.raises(IdentityError, match="another key than INSULA_PACS_IDENTITY_KEY"):
        made("j" * 40).open(sealed, "a")


def test_a_seal_of_another_row_does_not_open() -> None:
    seal = made(SECRET)
    with pytest.raises(IdentityError, match="has been changed"):
        seal.open(seal.close(TOLD, "study\0" + "2.25.1"), "study\0" + "2.25.2")


@pytest.mark.parametrize(
    "change", [lambda s: s[:-8], lambda s: s[:-6] + "AAAA==", lambda s: s + "é", lambda s: "1.x", str.upper]
)
def test_a_changed_seal_does_not_open(change: object) -> None:
    seal = made(SECRET)
    assert callable(change)
    with pytest.raises(IdentityError):
        seal.open(change(seal.close(TOLD, "a")), "a")


def test_pseudonyms_and_seals_have_keys_of_their_own_that_are_shown_nowhere() -> None:
    seal = made(SECRET)
    assert seal.secret != seal.pseudonyms.secret
    assert seal.secret.hex() not in repr(seal)
    assert repr(seal.pseudonyms.secret) not in repr(seal)
    assert repr(seal.secret) not in repr(seal)


def test_without_a_key_there_is_no_seal() -> None:
    assert seal_of(PacsSettings(identity_key=None)) is None
    with pytest.raises(IdentityError, match="INSULA_PACS_IDENTITY_KEY is not set"):
        needed(None)


def test_the_same_secret_makes_the_same_pseudonyms() -> None:
    seal = seal_of(PacsSettings(identity_key=SecretStr(SECRET)))
    assert needed(seal).pseudonyms.name("4711") == made(SECRET).pseudonyms.name(" 4711 ")
    assert needed(seal).pseudonyms.name("4711") != made("j" * 40).pseudonyms.name("4711")
