"""From the files of a request to files on disk under names of our own."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path, PureWindowsPath
from typing import Final

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from insula.core import scratch
from insula.core.errors import InsulaError, ScanError
from insula.scans import read as scans
from insula.serve.faults import RequestError
from insula.serve.models.ticket import gone

MOST_FILES = 2000
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it, for this user alone
_SMALL: Final = 32 << 20
_TAIL: Final = 1024  # bytes in which the last boundary stands, with what senders put behind it
_ROOM: Final = 8  # times that must be free, for requests at the same time
_TRUE, _FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off", ""})


@asynccontextmanager
async def form_of(request: Request, most_files: int) -> AsyncIterator[FormData]:
    """The multipart form of a request, its files closed at the end.

    Raises RequestError when the body is no such form or holds too many parts, and 499 where its sender goes away.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise RequestError(
            415, "not_multipart", f"The request's body is '{kind[:60]}', not multipart/form-data; send files as a form."
        )
    try:
        whole = _Whole(request.scope, request.receive)
        form = await whole.form(max_files=most_files, max_fields=16, max_part_size=1 << 16)
    except HTTPException as error:
        raise RequestError(
            400, "bad_form", f"The form cannot be read ({str(error.detail)[:120]}); send at most {most_files} files."
        ) from error
    except ClientDisconnect as error:
        raise gone() from error
    try:
        yield form
    finally:
        await form.close()


class _Whole(Request):
    """A request whose form has to end as it should: Starlette takes one that is cut short for one of fewer files."""

    async def stream(self) -> AsyncGenerator[bytes]:
        """The body, and MultiPartException where it ends before its last boundary (RFC 2046, section 5.1.1)."""
        boundary = parse_options_header(self.headers.get("content-type", ""))[1].get(b"boundary", b"")
        tail = b""
        async for block in super().stream():
            tail = (tail + block)[-_TAIL:]
            yield block
        if b"--" + boundary + b"--" not in tail:
            raise MultiPartException("it ends before its last boundary")


def files_of(form: FormData, name: str) -> list[UploadFile]:
    """The files under one field name. Raises RequestError when there are none or one is empty."""
    found = [part for part in form.getlist(name) if isinstance(part, UploadFile)]
    found = [f for f in found if f.filename or f.size]
    if not found:
        raise RequestError(400, "no_file", f"The form has no file in the field '{name}'; send the scan there.")
    return found


def flag(request: Request, form: FormData, name: str) -> bool:
    """A yes or no from the query or the form; RequestError for anything else."""
    raw = form.get(name, request.query_params.get(name, ""))
    text = raw.strip().lower() if isinstance(raw, str) else "?"
    if text not in _TRUE | _FALSE:
        raise RequestError(422, "bad_flag", f"'{name}' is '{text[:20]}'; write true or false.")
    return text in _TRUE


def roomy(files: Sequence[UploadFile]) -> Path | None:
    """Where the files of a request are put down: in memory where they are small and Linux has room there.

    On a disk a folder that is made and removed for each request costs some milliseconds of its journal's time; and what
    is never written to one cannot be found there. None for the system's own place.
    """
    size = sum(file.size or 0 for file in files)
    if size > _SMALL or not os.access(_MEMORY, os.W_OK | os.X_OK):
        return None
    return _MEMORY if shutil.disk_usage(_MEMORY).free > _ROOM * _SMALL else None


def tidy() -> None:
    """Remove what services that were killed left in memory; on the disk the decoding processes' start does."""
    scratch.tidy(_MEMORY)


def put_down(files: Sequence[UploadFile], folder: Path) -> list[Path]:
    """Write the files into a folder as `upload-1`, `upload-2`, … (of ten `upload-01`); the sender's names are not used.

    Raises RequestError for an empty file (400) and for what is no scan by its content (415).
    """
    paths = []
    digits = len(str(len(files)))  # so that names sort as the files came, by which series are counted
    for number, file in enumerate(files, start=1):
        if not file.size:
            raise RequestError(400, "empty_file", f"File {number} is empty (0 bytes); send it again from its source.")
        path = folder / f"upload-{number:0{digits}d}"
        with path.open("wb") as stream:
            shutil.copyfileobj(file.file, stream, 1 << 20)
        paths.append(path)
    for path in paths:
        try:
            scans.sniff(path)
        except ScanError as error:
            raise RequestError(415, "unknown_kind", str(error)) from error
    return paths


def shown_name(file: UploadFile) -> str:
    """The last part of the sender's file name, shortened, for the answer alone."""
    name = PureWindowsPath(file.filename or "").name
    return "".join(c for c in name if c.isprintable())[:120]


def mend(error: InsulaError, folder: Path) -> InsulaError:
    """The same error without our temporary folder in its message."""
    text = str(error).replace(f"{folder}/", "").replace(str(folder), "the upload")
    if text != str(error):
        error.args = (text,)
    return error
