"""Objects of a peer as files in a folder, each under its SOP Instance UID."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from insula.core.errors import ScanError
from insula.serve.pacs.outcome import ready
from insula.serve.pacs.query import is_uid
from insula.serve.pacs.received import CANNOT_UNDERSTAND, RefusedInstanceError


def save(folder: Path, data: bytes) -> Path:
    """Write a DICOM file into a folder, which is made where it is missing; one of the same UID is replaced.

    Only its owner can read it. Raises RefusedInstanceError for what is no DICOM object.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
    written = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        uid = ready(written).sop_instance_uid
        if not is_uid(uid):  # it becomes the name of a file
            raise RefusedInstanceError(CANNOT_UNDERSTAND, "The peer sent an object whose UID is none.")
        return written.replace(folder / f"{uid}.dcm")
    except RefusedInstanceError:
        raise
    except ScanError as error:
        raise RefusedInstanceError(CANNOT_UNDERSTAND, "The peer sent what is no DICOM object.") from error
    finally:
        written.unlink(missing_ok=True)
