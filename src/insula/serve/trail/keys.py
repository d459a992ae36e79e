"""Keys made of the one secret of the trail: for the entries, and for the heads."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from insula.core.errors import TrailError, UsageError
from insula.serve.settings import Settings

SHORTEST: Final = 32


def trail_key(settings: Settings) -> bytes:
    """The secret of INSULA_TRAIL_KEY; UsageError where there is none or it is short."""
    text = settings.trail_key.get_secret_value() if settings.trail_key else ""
    if len(text) < SHORTEST:
        raise UsageError(
            f"INSULA_TRAIL_KEY has {len(text)} characters, and the trail's key has {SHORTEST} or more; "
            "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'."
        )
    return text.encode()


def entry_key(key: bytes) -> bytes:
    """The key of the entries' macs, 32 bytes."""
    return _derived(key, b"insula-trail-entries-1")


def signing_key(key: bytes) -> Ed25519PrivateKey:
    """The private key that signs heads (Ed25519, RFC 8032)."""
    return Ed25519PrivateKey.from_private_bytes(_derived(key, b"insula-trail-heads-1"))


def public_key(key: bytes) -> str:
    """The public key by which anybody checks heads, 64 hexadecimal digits."""
    return signing_key(key).public_key().public_bytes_raw().hex()


def signed(public: str, signature: str, message: bytes) -> bool:
    """Whether a signature, in hexadecimal, is that of the message. Raises UsageError for a public key that is none."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    except ValueError as error:
        raise UsageError("The public key is no 64 hexadecimal digits; `insula audit-trail head` shows it.") from error
    try:
        found = bytes.fromhex(signature)
        key.verify(found, message)
    except (InvalidSignature, ValueError):
        return False
    return found.hex() == signature  # one way of writing alone


def _derived(key: bytes, purpose: bytes) -> bytes:
    """HKDF with SHA-256 (RFC 5869), so that neither key tells of the other."""
    if len(key) < SHORTEST:
        raise TrailError(
            f"The trail's key has {len(key)} bytes, and {SHORTEST} or more are needed; set INSULA_TRAIL_KEY."
        )
    return HKDF(SHA256(), 32, salt=None, info=purpose).derive(key)
