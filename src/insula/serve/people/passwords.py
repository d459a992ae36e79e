"""Passwords: which are taken, how they are kept (argon2id), how one is checked."""

from __future__ import annotations

import re
import secrets
import unicodedata
from functools import lru_cache
from typing import Final

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from insula.serve.faults import RequestError
from insula.serve.people.common_passwords import SHORTEST, folded, is_common
from insula.serve.people.roles import ROLES

LONGEST: Final = 128
_LEFT: Final = 6  # characters that have to be left of a password without the user's names
_HOUSE: Final = frozenset({*ROLES, "administrator", "insula", "password", "passwort", "login", "user", "service"})
_CATEGORIES: Final = frozenset({"Cc", "Cs", "Cn"})  # controls, half characters, what Unicode has not assigned

# argon2id (RFC 9106) with 19 MiB, 2 passes, 1 lane: a line of OWASP's Password Storage Cheat Sheet. The lighter of its
# kind, since each attempt at a log-in costs that memory. A change here re-hashes each password at its next log-in.
HASHER: Final = PasswordHash(
    (Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32, salt_len=16),)
)


def normalised(password: str) -> str:
    """NFKC, so that one password typed on two keyboards is one (NIST SP 800-63B, section on passwords; UAX 15)."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, *names: str) -> str:
    """The normalised password, where it may be one; names: the user's names, which it may not be.

    12 to 128 code points, no characters of control, not on the list of common ones, at least 6 characters beside the
    user's names and, without blanks, beside these and the service's own words (its name, the roles). No kinds of
    characters are asked for (NIST SP 800-63B). Raises RequestError 422.
    """
    word = normalised(password)
    if not SHORTEST <= len(word) <= LONGEST:
        raise _refused(f"The password has {len(word)} characters; a password has {SHORTEST} to {LONGEST}.")
    if any(unicodedata.category(c) in _CATEGORIES for c in word):
        raise _refused("The password holds a control character or no character at all; type it with a keyboard.")
    if is_common(word):
        raise _refused("The password is one of those that are tried first; several unrelated words make a good one.")
    if _own(names) and len(_beside(folded(word), _own(names))) < _LEFT:
        raise _refused("The password is little more than the user's name; take something else.")
    if len(_beside(folded(word), _own(names) | _HOUSE).replace(" ", "")) < _LEFT:
        raise _refused("The password is made of the user's names and words of the service; take unrelated words.")
    return word


def _own(names: tuple[str, ...]) -> frozenset[str]:
    """The names and their parts, folded; those of one or two letters stand in too many words."""
    whole = [folded(name) for name in names]
    parts = [part for name in whole for part in re.split(r"[\W_]+", name)]
    return frozenset(one for one in (*whole, *parts) if len(one) > 2)


def _beside(word: str, known: frozenset[str]) -> str:
    """What is left of a folded password without these words, wherever they stand."""
    longest_first = sorted(known, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), "", word)


def _refused(message: str) -> RequestError:
    return RequestError(422, "weak_password", message)


def hash_password(word: str) -> str:
    """The form in which a password is kept. It has been through `check_password`."""
    return HASHER.hash(word)


def verify(password: str, kept: str | None) -> tuple[bool, str | None]:
    """Whether a password is the kept one, and its new form where the kept one has older parameters.

    With nothing kept (an unknown user, one without a password) as much is computed and the answer is no, so that the
    time taken does not tell which names exist.
    """
    nobody = _nobody()  # made now, whoever asks, and not when the first unknown name comes
    word = normalised(password[: 4 * LONGEST])
    fits = len(password) <= 4 * LONGEST and len(word) <= LONGEST
    try:
        matches, renewed = HASHER.verify_and_update(word[:LONGEST], kept or nobody)
    except UnicodeEncodeError:  # half a character, which no password holds
        HASHER.verify("", nobody)
        return False, None
    return (True, renewed) if matches and fits and kept else (False, None)


@lru_cache(maxsize=1)
def _nobody() -> str:
    return HASHER.hash(secrets.token_urlsafe(32))
