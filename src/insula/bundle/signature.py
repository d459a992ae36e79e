"""Whose bundle it is: a signature over its manifest, which holds the SHA-256 of every other file.

The hashes tell that nothing was changed since the manifest was written; whoever changes files and manifest together
makes another bundle, which they cannot tell. A signature can: Ed25519 (RFC 8032), kept in a file beside the manifest,
made with a key that stays with the bundle's maker and checked with the public part, which everybody may have.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from insula.core import parts
from insula.core.errors import BundleError, UsageError
from insula.core.provenance import write_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE: Final = "signature.json"
LIMIT: Final = 1 << 14  # bytes of that file
TRUSTED: Final = "INSULA_TRUSTED_KEYS"
SIGNING: Final = "INSULA_SIGNING_KEY"
ENDING: Final = ".pub.pem"
_PURPOSE: Final = b"insula-bundle-signature-1\0"
_MOST_KEY: Final = 1 << 14  # bytes of a key's file
_SIGN = "insula bundle sign BUNDLE --key FILE"


class SignatureFile(BaseModel):
    """signature.json. key: the id of the key; manifest: SHA-256 of manifest.json; signature: of both, hexadecimal."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    manifest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


@dataclass(frozen=True)
class Signed:
    """A signature that is there. key: the id of the key that it names; holds: with a trusted key; why: if not."""

    key: str
    holds: bool
    why: str = ""


def check(name: str, manifest: bytes, raw: bytes | None) -> None:
    """Refuse a bundle that is not signed as INSULA_TRUSTED_KEYS asks; where that is not set, every bundle passes.

    name: of its folder. manifest, raw: the bytes of manifest.json and of signature.json, None without one. Raises
    BundleError, and UsageError where the setting names no key.
    """
    keys = trusted()
    if keys is None:
        return
    if raw is None:
        raise BundleError(
            f"The bundle '{name}' is not signed, and {TRUSTED} asks for a signature; let its maker sign it: {_SIGN}."
        )
    found = read(manifest, raw, keys)
    if not found.holds:
        raise BundleError(f"The bundle '{name}' is refused: {found.why}.")


def read(manifest: bytes, raw: bytes, keys: Mapping[str, Ed25519PublicKey]) -> Signed:
    """What a signature is worth. keys: that are trusted, by their ids. Raises BundleError for a file that is none."""
    try:
        file = SignatureFile.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:80]
        raise BundleError(
            f"The bundle's file '{SIGNATURE}'{f', key {place!r}' if place else ''}: {first['msg']}; sign the bundle "
            f"again: {_SIGN}."
        ) from error
    if file.manifest != hashlib.sha256(manifest).hexdigest():
        return Signed(file.key, False, "its signature is of another bundle, or its manifest was changed")
    if file.key not in keys:
        known = ", ".join(sorted(keys)) or "none"
        return Signed(file.key, False, f"it is signed with the key {file.key}, and trusted are: {known}")
    from cryptography.exceptions import InvalidSignature

    try:
        keys[file.key].verify(bytes.fromhex(file.signature), _message(file.key, manifest))
    except InvalidSignature:
        return Signed(file.key, False, f"its signature does not hold under the key {file.key}")
    return Signed(file.key, True)


def sign(folder: Path, key: Ed25519PrivateKey) -> str:
    """Write signature.json into a bundle's folder, which was verified; the id of the key. An older one is replaced."""
    manifest = (folder / "manifest.json").read_bytes()
    name = id_of(key.public_key())
    file = SignatureFile(
        key=name,
        manifest=hashlib.sha256(manifest).hexdigest(),
        signature=key.sign(_message(name, manifest)).hex(),
    )
    write_bytes(folder / SIGNATURE, f"{file.model_dump_json(indent=2)}\n".encode())
    return name


def trusted() -> dict[str, Ed25519PublicKey] | None:
    """The keys of INSULA_TRUSTED_KEYS by their ids, None where it is not set. Raises UsageError where it names none."""
    named = os.environ.get(TRUSTED, "")
    if not named:
        return None
    places = [path for part in named.split(os.pathsep) if part for path in _files(Path(part))]
    found = [public_key(path) for path in places]
    if not found:
        raise UsageError(
            f"{TRUSTED} names no public key: '{named[:200]}' has no file *{ENDING}; put there what "
            "`insula bundle key` wrote, or unset it."
        )
    return {id_of(key): key for key in found}


def id_of(key: Ed25519PublicKey) -> str:
    """The name of a key: the first 16 hexadecimal digits of the SHA-256 of its public part."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def public_key(path: Path) -> Ed25519PublicKey:
    """The public key of a PEM file. Raises UsageError where it is none of Ed25519."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    found = _loaded(load_pem_public_key, _bytes(path), path.name, "public")
    if not isinstance(found, Ed25519PublicKey):
        raise UsageError(f"'{path.name}' holds no public key of Ed25519; `insula bundle key` makes one.")
    return found


def secret_key(path: Path | None) -> Ed25519PrivateKey:
    """The secret key of a PEM file, or of INSULA_SIGNING_KEY where no file is given.

    Raises UsageError where there is none, and for a file that others than its owner may read.
    """
    parts.need("sign", "Signing a bundle")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if path is None:
        text, name = os.environ.get(SIGNING, ""), SIGNING
        if not text:
            raise UsageError(f"No key to sign with; give --key FILE, or set {SIGNING} to the PEM text of one.")
        data = text.encode("utf-8", "surrogateescape")
    else:
        data, name = _bytes(path), path.name
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise UsageError(f"'{name}' is a secret key that others may read; run: chmod 600 {path}.")
    found = _loaded(lambda raw: load_pem_private_key(raw, None), data, name, "secret")
    if not isinstance(found, Ed25519PrivateKey):
        raise UsageError(f"'{name}' holds no secret key of Ed25519; `insula bundle key` makes one.")
    return found


def new_key(path: Path) -> tuple[Path, str]:
    """Write a new secret key, for its owner alone, and its public part beside it; where that is, and the key's id.

    Raises UsageError where either is there already.
    """
    parts.need("sign", "A key for bundles")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    public = path.with_name(f"{path.name.removesuffix('.pem')}{ENDING}")
    for place in (path, public):
        if place.exists() or place.is_symlink():
            raise UsageError(f"'{place}' exists already, and a key is not written over; give another name.")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_bytes(path, secret, mode=0o600)
    write_bytes(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return public, id_of(key.public_key())


def _message(key: str, manifest: bytes) -> bytes:
    """What is signed: a word for the purpose, the key's id, and the SHA-256 of manifest.json."""
    return _PURPOSE + key.encode() + hashlib.sha256(manifest).digest()


def _files(place: Path) -> list[Path]:
    return sorted(place.glob(f"*{ENDING}")) if place.is_dir() else [place]


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_MOST_KEY)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"The key '{path}' cannot be read ({reason}); give the path of a key's file.") from error


def _loaded(load: Any, data: bytes, name: str, kind: str) -> Any:
    parts.need("sign", "A signed bundle")
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return load(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"'{name}' is no {kind} key in PEM without a password; `insula bundle key` makes one."
        ) from error
