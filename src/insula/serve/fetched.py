"""Files of a study out of the file store, put into a folder to be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from insula.serve.store.files import Files
from insula.serve.store.studies import StudyFile


@dataclass(frozen=True)
class Fetched:
    """Where the files lie: by role, in their order; and which one each is."""

    by_role: dict[str, list[Path]]
    rows: dict[Path, StudyFile]


def fetched(files: Files, named: Sequence[StudyFile], home: Path) -> Fetched:
    """Put the files into a folder, those of each role into one of their own, under names whose order is theirs.

    Raises as `Files.fetch`.
    """
    found = Fetched({one.role: [] for one in named}, {})
    folders = {role: home / f"role-{number}" for number, role in enumerate(found.by_role)}
    for folder in folders.values():
        folder.mkdir()
    for number, one in enumerate(named):
        path = folders[one.role] / f"{number:05d}"
        files.fetch(one.sha256, path)
        found.by_role[one.role].append(path)
        found.rows[path] = one
    return found
