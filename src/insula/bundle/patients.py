"""Stand-ins for patient ids, by which a later cohort can be held against the training patients."""

from __future__ import annotations

import hashlib
import hmac
import secrets


def new_salt() -> str:
    """A fresh random salt for one bundle: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def hash_patient(salt: str, patient: str) -> str:
    """HMAC-SHA-256 of a patient id under the bundle's salt, in hexadecimal.

    Who holds the bundle and a list of candidate ids can still test each of them: a stand-in, not anonymity.
    """
    return hmac.new(salt.encode(), patient.encode(), hashlib.sha256).hexdigest()
