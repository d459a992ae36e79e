"""Objects of a peer as files in a folder, each under its SOP Instance UID."""

from __future__ import annotations

from pathlib import Path

from insula.core import scratch
from insula.core.errors import ScanError
from insula.core.provenance import write_bytes
from insula.serve.pacs.outcome import ready
from insula.serve.pacs.query import is_uid
from insula.serve.pacs.received import CANNOT_UNDERSTAND, RefusedInstanceError


def save(folder: Path, data: bytes) -> Path:
    """Write a DICOM file into a folder, which is made where it is missing; one of the same UID is replaced.

    Only its owner can read it. It is looked at among the temporary files first, so that a killed process leaves at most
    a part of it beside its place, which is written over when it is sent again. Raises RefusedInstanceError for what is
    no DICOM object.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with scratch.folder() as aside:
        seen = aside / "object"
        seen.write_bytes(data)
        try:
            uid = ready(seen).sop_instance_uid
        except RefusedInstanceError:
            raise
        except ScanError as error:
            raise RefusedInstanceError(CANNOT_UNDERSTAND, "The peer sent what is no DICOM object.") from error
    if not is_uid(uid):  # it becomes the name of a file
        raise RefusedInstanceError(CANNOT_UNDERSTAND, "The peer sent an object whose UID is none.")
    path = folder / f"{uid}.dcm"
    write_bytes(path, data, mode=0o600)
    return path
