"""Where a result came from: versions, machine, command, hashes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from insula import __version__

_PACKAGES = ("numpy", "onnxruntime", "pydicom", "nibabel", "torch", "timm", "lightning")


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of bytes in memory."""
    return hashlib.sha256(data).hexdigest()


def sha256_text(parts: Iterable[str]) -> str:
    """SHA-256 over a sequence of strings; the order counts, and no two sequences share a digest by concatenation."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode()
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


def record(**facts: Any) -> dict[str, Any]:
    """What made a result: Insula's and its parts' versions, the machine, the time (UTC), and the facts given."""
    return {
        "insula": __version__,
        "python": sys.version.split()[0],
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "packages": _versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def write_bytes(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file so that it is either whole or absent: a temporary file beside it, flushed, then renamed.

    mode: who may read it. What a killed process left of it is written over. Of several that write the same file one
    waits for the other.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part, stream = _alone(path.with_name(f".{path.name}.part"))
    with stream:
        try:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
            part.chmod(mode)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _alone(part: Path) -> tuple[Path, IO[bytes]]:
    """An empty file that no other process writes, for its owner alone; of another name where no file can be locked."""
    while True:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            os.close(handle)
            part.unlink(missing_ok=True)
            handle, name = tempfile.mkstemp(dir=part.parent, prefix=f"{part.name}.")
            return Path(name), os.fdopen(handle, "wb")
        with contextlib.suppress(FileNotFoundError):
            if part.lstat().st_ino == os.fstat(handle).st_ino:  # and not one that was renamed meanwhile
                os.ftruncate(handle, 0)
                return part, os.fdopen(handle, "wb")
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Mapping[str, Any] | list[Any]) -> None:
    """`write_bytes` for JSON; not-a-number is refused, since JSON has no such value."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
