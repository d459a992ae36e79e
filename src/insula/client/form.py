"""A multipart form (RFC 7578) that is read from disk while it is sent, one file open at a time."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from insula.core.errors import ScanError

_BLOCK: Final = 1 << 18
Told = Callable[[int, int], None]  # bytes sent, bytes in all


@dataclass(frozen=True)
class _Part:
    head: bytes
    path: Path
    size: int


class Form:
    """Fields and files of one request; it can be sent several times, each time the same bytes."""

    def __init__(self, fields: Mapping[str, str], files: Sequence[tuple[str, Path]], told: Told | None = None) -> None:
        mark = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={mark}"
        self._told = told
        self._fields = b"".join(_head(mark, name) + text.encode() + b"\r\n" for name, text in fields.items())
        self._files = [_Part(_head(mark, role, path.name), path, path.stat().st_size) for role, path in files]
        self._end = f"--{mark}--\r\n".encode()
        self.length = len(self._fields) + sum(len(p.head) + p.size + 2 for p in self._files) + len(self._end)

    def blocks(self) -> Iterator[bytes]:
        """The body. Raises ScanError where a file is not as long any more as it was at first."""
        sent = 0
        for block in self._blocks():
            yield block
            sent += len(block)
            if self._told is not None:
                self._told(sent, self.length)

    def _blocks(self) -> Iterator[bytes]:
        yield self._fields
        for part in self._files:
            yield part.head
            left = part.size
            with part.path.open("rb") as stream:
                while block := stream.read(min(_BLOCK, left)):
                    left -= len(block)
                    yield block
                if left or stream.read(1):
                    raise ScanError(f"'{part.path}' changed while it was sent; send it again once it is whole.")
            yield b"\r\n"
        yield self._end


def files_of(paths: Path | str | Sequence[Path | str]) -> list[Path]:
    """Files, and those below folders in the order of their names; hidden ones stay behind.

    Raises ScanError for a path that is not there and for no file at all.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    found: list[Path] = []
    for one in map(Path, given):
        if one.is_dir():
            for folder, folders, names in os.walk(one):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                found += [Path(folder) / name for name in sorted(names) if not name.startswith(".")]
        elif one.is_file():
            found.append(one)
        else:
            raise ScanError(f"There is no file or folder '{one}'; check the path.")
    if not found:
        raise ScanError(f"There is no file below {', '.join(repr(str(p)) for p in given) or 'nothing'}; name a scan.")
    return found


def _head(mark: str, name: str, filename: str | None = None) -> bytes:
    shown = f'--{mark}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
    if filename is None:
        return f"{shown}\r\n\r\n".encode()
    media = "Content-Type: application/octet-stream"
    return f'{shown}; filename="{_quoted(filename)}"\r\n{media}\r\n\r\n'.encode("utf-8", "replace")


def _quoted(text: str) -> str:
    """As the HTML standard writes names in forms."""
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
