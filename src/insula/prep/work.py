"""What one decoding process does for the prepared cache: hash a case's files, read them, prepare them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from insula.core.errors import InsulaError, LimitError, ScanError
from insula.core.provenance import sha256_text
from insula.core.recipe import Input
from insula.prep.run import prepare
from insula.scans import limits, nifti
from insula.scans.read import read_files
from insula.scans.worker import Arrays

_BLOCK = 1 << 20
Stamp = tuple[str, int, int, str]  # name, bytes, time of change in ns, SHA-256


def task(request: dict[str, Any]) -> tuple[dict[str, Any], Arrays]:
    """Task of `scans.sandbox`: a case's slices, or the reason why there are none, with the hashes of its files.

    request: `root`, `names` (relative to it), `section` (an `Input` as JSON), `known` (contents that need no decoding).
    Gives `id` (see `content`), `stamps` of the files, and `failure` with `lasting`, whether another try is of no use.
    """
    root, section = Path(request["root"]), Input.model_validate_json(request["section"])
    names = [str(name) for name in request["names"]]
    stamps = [_stamp(root, name) for name in inputs(root, names)]
    facts: dict[str, Any] = {"id": content(stamps), "stamps": stamps, "failure": "", "lasting": False}
    if facts["id"] in request["known"]:
        return facts, ()
    try:
        slices = prepare(read_files([root / name for name in names], tiles=section.tiles), section)
    except InsulaError as error:
        return facts | {"failure": str(error), "lasting": not isinstance(error, LimitError)}, ()
    if [_state(root / name) for name, *_ in stamps] != [(size, time) for _, size, time, _ in stamps]:
        raise ScanError(f"'{Path(names[0]).name}' changed while it was read; wait until it is whole, then try again.")
    return facts, (slices,)


def inputs(root: Path, names: list[str]) -> list[str]:
    """All files that the reader looks at for a scan: its own, and the JSON beside a NIfTI file."""
    extra = [nifti.beside(Path(name)).as_posix() for name in names if name.endswith((".nii", ".nii.gz"))]
    return [*names, *(name for name in extra if (root / name).is_file())]


def content(stamps: list[Stamp]) -> str:
    """One hash over what a scan's files hold and how they are called, since a stack is ordered by name."""
    return sha256_text(part for name, _, _, digest in stamps for part in (name, digest))


def _stamp(root: Path, name: str) -> Stamp:
    path, digest = root / name, hashlib.sha256()
    limits.slide_size(path)
    state = _state(path)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return name, *state, digest.hexdigest()


def _state(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns
