"""The other machines that the node talks to, each by a name: DICOM application entities, DICOMweb, HL7 and FHIR."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from insula.core.errors import UsageError
from insula.core.loopback import is_loopback, is_web_address

Kind = Literal["dicom", "web", "hl7", "fhir"]
_SCHEMES: Final[dict[str, tuple[Kind, bool, int]]] = {  # scheme → kind, whether encrypted, usual port
    "dicom": ("dicom", False, 104),
    "dicoms": ("dicom", True, 2762),  # the ports that PS3.8 and PS3.15 B name
    "http": ("web", False, 80),
    "https": ("web", True, 443),
    "mllp": ("hl7", False, 2575),
    "mllps": ("hl7", True, 2575),
    "fhir+http": ("fhir", False, 80),
    "fhir+https": ("fhir", True, 443),
}
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_AE: Final = re.compile(r"[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?")  # PS3.5, VR AE


@dataclass(frozen=True)
class Peer:
    """One machine. ae_title: of a DICOM application entity. path: of a web address, without a slash at its end."""

    name: str
    kind: Kind
    encrypted: bool
    host: str
    port: int
    ae_title: str = ""
    path: str = ""

    @property
    def url(self) -> str:
        """The address of a web or FHIR server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.encrypted else 'http'}://{host}:{self.port}{self.path}"


def parse(text: str) -> dict[str, Peer]:
    """Peers by name out of `NAME=ADDRESS` parted by commas or blanks.

    Addresses: `dicom://AE@HOST:PORT`, `dicoms://…` over TLS, `https://HOST/dicom-web`, `mllp://HOST:PORT`,
    `fhir+https://HOST/fhir`. Raises UsageError for one that is none, for a name twice, for a password in an address,
    and for a web, HL7 or FHIR address beyond this machine without encryption.
    """
    found: dict[str, Peer] = {}
    for number, part in enumerate(text.replace(",", " ").split(), start=1):
        name, mark, address = part.partition("=")
        if not mark or not _NAME.fullmatch(name):
            raise UsageError(
                f"Entry {number} of INSULA_PACS_PEERS is no peer; write NAME=ADDRESS with a name of small letters, "
                "digits, '-' and '_', as archive=dicom://ARCHIVE@pacs.example:104."
            )
        if name in found:
            raise UsageError(f"INSULA_PACS_PEERS names '{name}' twice; give each peer a name of its own.")
        found[name] = _peer(name, address)
    return found


def is_ae_title(text: str) -> bool:
    """Whether a text can name an application entity: 1 to 16 printable characters, no backslash (PS3.5, VR AE)."""
    return bool(_AE.fullmatch(text))


def _peer(name: str, address: str) -> Peer:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host = parts.hostname or ""
    # what stands before a DICOM peer's host is an AE title, which may hold other characters
    plain = f"dicom://{parts.netloc.rpartition('@')[2]}" if parts.scheme in ("dicom", "dicoms") else address
    if parts.scheme not in _SCHEMES or not is_web_address(plain):
        raise UsageError(
            f"INSULA_PACS_PEERS gives '{name}' no address of a kind that is known; write dicom://AE@HOST:PORT, "
            "dicoms://…, https://HOST/PATH, mllp://HOST:PORT, mllps://… or fhir+https://HOST/PATH."
        )
    kind, encrypted, usual = _SCHEMES[parts.scheme]
    title = (parts.username or "") if kind == "dicom" else ""
    if parts.password or (parts.username and kind != "dicom") or parts.query or parts.fragment:
        raise UsageError(
            f"INSULA_PACS_PEERS gives '{name}' an address with a name, a password or a question in it; what is secret "
            f"goes into INSULA_PACS_LOGIN_{name.upper().replace('-', '_')}."
        )
    if kind == "dicom" and not is_ae_title(title):
        raise UsageError(f"INSULA_PACS_PEERS gives '{name}' no AE title; write dicom://AE@{host}:{port or usual}.")
    if kind != "dicom" and not encrypted and not is_loopback(host):
        raise UsageError(
            f"INSULA_PACS_PEERS sends to '{name}' at '{host}' without encryption; write "
            f"{parts.scheme}s, or a program on 127.0.0.1 that passes it on."
        )
    path = "" if kind in ("dicom", "hl7") else parts.path.rstrip("/")
    return Peer(name, kind, encrypted, host, port or usual, title, path)
