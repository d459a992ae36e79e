"""Who a pseudonymised patient is: sealed under a key that the PACS node alone holds.

The records keep what was sealed; without the key nobody can read it, and with the key of the trail alone nobody can
make a pseudonym out of a patient's number either.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from insula.cohort.deidentify.keys import Key
from insula.core.errors import UsageError
from insula.serve.pacs.settings import PacsSettings

_FORM: Final = "1"
_NONCE: Final = 12  # bytes, of AES-GCM (NIST SP 800-38D, 8.2.2)
_VARIABLE: Final = "INSULA_PACS_IDENTITY_KEY"


class IdentityError(UsageError):
    """The key of the identities is missing or another one, or what was sealed has been changed."""

    code = "identity"


@dataclass(frozen=True)
class Seal:
    """The two keys made of INSULA_PACS_IDENTITY_KEY. pseudonyms: makes stand-ins; secret: seals, 32 bytes (AES-256)."""

    pseudonyms: Key = field(repr=False)
    secret: bytes = field(repr=False)

    def close(self, told: Mapping[str, Any], place: str) -> str:
        """JSON sealed with AES-GCM as ASCII text. place: what the text belongs to; it opens nowhere else."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE)
        plain = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        sealed = AESGCM(self.secret).encrypt(nonce, plain, place.encode())
        return f"{_FORM}.{self.pseudonyms.check()}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, place: str) -> dict[str, Any]:
        """What was sealed for a place. Raises IdentityError for another key and for a text that has been changed."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        form, _, rest = sealed.partition(".")
        check, _, text = rest.partition(".")
        if form == _FORM and check != self.pseudonyms.check():
            raise IdentityError(
                f"An identity was sealed under another key than {_VARIABLE} now holds; set the key that was used when "
                "the study came in."
            )
        try:
            data = base64.b64decode(text, validate=True)
            plain = AESGCM(self.secret).decrypt(data[:_NONCE], data[_NONCE:], place.encode())
            found: dict[str, Any] = json.loads(plain.decode("utf-8", "surrogatepass"))
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise IdentityError(
                "A sealed identity in the records has been changed; restore them from a copy."
            ) from error
        return found


def seal_of(settings: PacsSettings) -> Seal | None:
    """The seal of the settings' identity key, None where there is none."""
    return made(settings.identity_key.get_secret_value()) if settings.identity_key else None


def needed(seal: Seal | None) -> Seal:
    """The seal; IdentityError where a pseudonymised study meets a process that has none."""
    if seal is None:
        raise IdentityError(
            f"The patient of this study is pseudonymised, and {_VARIABLE} is not set in this process; set it to the "
            "key that was used when the study came in."
        )
    return seal


def made(secret: str) -> Seal:
    """A seal out of a secret, each key by HKDF (RFC 5869) so that neither tells of the other."""
    text = secret.encode()
    return Seal(Key(_derived(text, b"insula-pacs-pseudonyms-1"), lasting=True), _derived(text, b"insula-pacs-sealed-1"))


def _derived(secret: bytes, purpose: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, salt=None, info=purpose).derive(secret)
