"""What the rules would do with scans that lie in files: nothing is stored and nothing is sent."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from insula.core.errors import ScanError
from insula.scans import read as scans
from insula.serve.model import LIMITS
from insula.serve.pacs import file_meta, heads
from insula.serve.pacs.heads import Head, HeadError
from insula.serve.pacs.rules import Rules

_META: Final = 1 << 16  # bytes that stand before the data set, at most


@dataclass(frozen=True)
class Foreseen:
    """One series, and what would become of it. rule: the name of the first that fits, None for none."""

    modality: str
    study_description: str
    description: str
    objects: int
    rule: str | None
    project: str = ""
    model: str = ""
    send: tuple[str, ...] = ()
    pseudonymise: bool = False


def foresee(rules: Rules, paths: Sequence[Path], source: str) -> list[Foreseen]:
    """What would become of the series in files and folders, in the order in which they are met.

    The first object of a series decides, as it does when they come over the network. Raises ScanError for a file that
    is no DICOM object, and for paths that hold none; in folders other files are passed over.
    """
    found: dict[str, Foreseen] = {}
    for path in paths:
        for one in scans.files_below(path, LIMITS) if path.is_dir() else [path]:
            with contextlib.ExitStack() as stack:
                if path.is_dir():
                    stack.enter_context(contextlib.suppress(ScanError))
                head = _head(one)
                first = found.get(head.series_uid) or _foreseen(rules, head, source)
                found[head.series_uid] = replace(first, objects=first.objects + 1)
    if paths and not found:
        raise ScanError(f"'{paths[0]}' holds no DICOM object; give scans as they come from the scanner.")
    return list(found.values())


def _head(path: Path) -> Head:
    with path.open("rb") as stream:
        start = stream.read(heads.MOST + _META)
    try:
        syntax, place = file_meta.split(start)
        return heads.read(start[place : place + heads.MOST], syntax)
    except HeadError as error:
        raise ScanError(f"'{path.name}' is no DICOM object with its four UIDs ({error}).") from error


def _foreseen(rules: Rules, head: Head, source: str) -> Foreseen:
    facts = head.facts(source)
    said = (facts.modality, facts.study_description, facts.series_description, 0)
    rule = rules.first(facts)
    if rule is None:
        return Foreseen(*said, None, pseudonymise=rules.pseudonymise)
    return Foreseen(*said, rule.name, rule.project, rule.model, rule.send, rule.pseudonymise)
