"""What a backup is on a disk: a copy of the tables, files under their hashes, and a signed list of both.

FOLDER/backup.json          written last: a folder without it is no backup
FOLDER/records.sqlite       or records.pgdump, by the kind of database
FOLDER/files/ab/ab12…       every file that the tables name
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from insula.core.provenance import write_bytes
from insula.core.synced import sync
from insula.serve.store.errors import RecordsError

LIST: Final = "backup.json"
FILES: Final = "files"
FORMAT: Final = 1
COPIES: Final = {"sqlite": "records.sqlite", "postgresql": "records.pgdump"}
_BLOCK: Final = 1 << 20
_MOST_LIST: Final = 1 << 30


@dataclass(frozen=True)
class Backup:
    """A backup's list. made_at: ISO 8601. database: its kind; records: SHA-256 of the copy of its tables.

    migration: of the tables. rows: by table. entries, digest: of the trail's end. files: hash → length in bytes.
    lacking: hashes of files that the tables name and the store did not have whole when the backup was made.
    """

    made_at: str
    program: str
    database: str
    migration: str
    records: str
    rows: Mapping[str, int]
    entries: int
    digest: str
    files: Mapping[str, int] = field(repr=False)
    lacking: tuple[str, ...] = ()
    format: int = FORMAT

    @property
    def size(self) -> int:
        """Bytes of the files."""
        return sum(self.files.values())

    @property
    def copy(self) -> str:
        """The name of the copy of the tables."""
        return COPIES[self.database]


def place_of(folder: Path, sha256: str) -> Path:
    """Where a file lies in a backup."""
    return folder / FILES / sha256[:2] / sha256


def write(folder: Path, backup: Backup, key: bytes) -> None:
    """Write the list; the backup is whole, and on the disk, when this returns."""
    content = asdict(backup) | {"mac": _mac(asdict(backup), key)}
    write_bytes(folder / LIST, json.dumps(content, indent=1).encode(), mode=0o600)
    sync(folder)
    sync(folder.absolute().parent)


def read(folder: Path, key: bytes) -> Backup:
    """The list of a backup. Raises RecordsError for a folder that is none, and for a list that was changed."""
    place = folder / LIST
    if not place.is_file():
        raise RecordsError(f"'{folder.name}' has no {LIST}: it is no backup, or one that was broken off; give another.")
    try:
        if place.stat().st_size > _MOST_LIST:
            raise ValueError
        content = json.loads(place.read_bytes())
        mac = content.pop("mac")
        found = Backup(**content | {"lacking": tuple(content["lacking"])})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RecordsError(f"{LIST} of '{folder.name}' cannot be read; give another backup.") from error
    if not isinstance(mac, str) or not hmac.compare_digest(mac.encode("utf-8", "replace"), _mac(content, key).encode()):
        raise RecordsError(
            f"{LIST} of '{folder.name}' does not hold under INSULA_TRAIL_KEY: it was changed, or made with another key."
        )
    if found.format != FORMAT or found.database not in COPIES:
        raise RecordsError(
            f"The backup '{folder.name}' is of format {found.format} and this program knows {FORMAT}; take a newer one."
        )
    return found


def hash_of(path: Path) -> tuple[str, int]:
    """SHA-256 of a file, and its length in bytes."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def _mac(content: Mapping[str, Any], key: bytes) -> str:
    own = HKDF(SHA256(), 32, salt=None, info=b"insula-backup-list-1").derive(key)
    plain = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return hmac.digest(own, plain, "sha256").hex()
