"""Objects in files that are to be sent, and what a peer answered to each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pydicom
from pydicom.uid import MediaStorageDirectoryStorage

from insula.core.errors import ScanError
from insula.serve.pacs.silent import silent

NOT_SUPPORTED: Final = 0x0122  # PS3.7 Annex C: SOP class not supported
_NAMES: Final = ["StudyInstanceUID", "SOPClassUID", "SOPInstanceUID"]


@dataclass(frozen=True)
class Ready:
    """A DICOM file (PS3.10) that can be sent."""

    path: Path
    study_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True)
class Outcome:
    """What a peer answered. status: of a C-STORE response, or the failure reason of a STOW response; 0 for taken."""

    ready: Ready
    status: int
    message: str = ""

    @property
    def taken(self) -> bool:
        """Whether the peer has the object: success, or a warning that it changed or did not check something."""
        return self.status == 0 or self.status & 0xF000 == 0xB000


Sent = Callable[[Outcome], None]


def ready(path: Path) -> Ready:
    """What is to be known of a file before it is sent. Raises ScanError for one that is no DICOM object."""
    try:
        with silent():
            found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_NAMES)
            names = (found.StudyInstanceUID, found.SOPClassUID, found.SOPInstanceUID, found.file_meta.TransferSyntaxUID)
        return Ready(path, *(str(one) for one in names))
    except OSError:
        raise
    except Exception as error:  # a parser of damaged bytes raises many kinds
        raise ScanError(f"'{path.name}' is no DICOM object with its UIDs; leave it out.") from error


def files_of(paths: Iterable[Path], passed: Callable[[Path], object] = lambda path: None) -> Iterator[Path]:
    """The DICOM files among files and folders, in order; in folders, what is no DICOM object is passed over.

    passed: is told of each such file. Raises ScanError for a file named by itself that is none.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders.sort()
            for one in (Path(folder, name) for name in sorted(names)):
                if _is_object(one):
                    yield one
                else:
                    passed(one)


def split_by(objects: Sequence[Ready], most_files: int, most_bytes: int) -> Iterator[list[Ready]]:
    """Objects in groups of so many files and bytes at most; one that is longer is a group of its own."""
    group: list[Ready] = []
    size = 0
    for one in objects:
        length = one.path.stat().st_size
        if group and (len(group) >= most_files or size + length > most_bytes):
            yield group
            group, size = [], 0
        group.append(one)
        size += length
    if group:
        yield group


def _is_object(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            if stream.read(132)[128:] != b"DICM":
                return False
        return ready(path).sop_class_uid != MediaStorageDirectoryStorage
    except (OSError, ScanError):
        return False
