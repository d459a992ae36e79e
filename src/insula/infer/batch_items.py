"""What a batch predicts: the cases of a folder as it is walked through, or those of a cohort.

A folder is walked in the order of its names, one directory at a time, so that an archive of any size needs memory for
its largest directory alone. In each directory the files of one DICOM series are a case; so is each volume, slide or zip
file, and each picture, or all pictures of the directory where the recipe takes series. A case is called by its folder
where it is the only one of several files there, and otherwise by its first file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import UID

from insula.core.errors import InsulaError, ScanError, UsageError
from insula.core.recipe import Input, Recipe
from insula.core.types import Case, Cohort, Scan
from insula.infer import content
from insula.scans import header
from insula.scans.limits import reason
from insula.scans.read import PICTURES, sniff


@dataclass(frozen=True)
class Item:
    """One case to predict, or what stands in its way.

    content: as `infer.content` gives it. headers: whether
    clinical columns are taken from the scans' headers. aside: why it is nothing to predict (a localiser, a report);
    failure: why it cannot be read, told before it is tried.
    """

    case: Case
    content: str
    files: int
    headers: bool = False
    aside: str = ""
    failure: InsulaError | None = None


def of_folder(root: Path, recipe: Recipe) -> Iterator[Item]:
    """The cases below a folder for the recipe's one input, by their paths from there.

    Raises UsageError for a recipe of several inputs, whose scans only a cohort puts together, and as `check_folder`.
    """
    check_one_input(recipe)
    check_folder(Path(root))
    return _below(Path(root), recipe)


def check_one_input(recipe: Recipe) -> None:
    """Raise UsageError for a recipe of several inputs, of which a folder does not say what belongs together."""
    if len(recipe.inputs) > 1:
        raise UsageError(
            f"The model takes {', '.join(recipe.inputs)} of each case; index and join the folder (insula index, insula "
            "join) and give the cohort."
        )


def check_folder(root: Path) -> None:
    """Raise ScanError for an archive that is not there, UsageError for a file."""
    if root.is_dir():
        return
    if root.exists():
        raise UsageError(
            f"'{root}' is a file and no folder of scans; to predict it as one scan leave out --out, or give its folder."
        )
    raise ScanError(f"There is no folder '{root}'; check the path, or give another folder of scans or a cohort.")


def of_cohort(cohort: Cohort, recipe: Recipe) -> Iterator[Item]:
    """The cases of a cohort, in its order."""
    root = Path(cohort.root)
    for case in cohort.cases:
        yield Item(case, content.of_case(case, root, recipe), sum(len(scan.paths) for scan in case.scans.values()))


def count_files(root: Path) -> int:
    """How many files `of_folder` will look at."""
    return sum(len([name for name in names if not name.startswith(".")]) for _, _, names in walk(root))


def walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each directory from a root down, its folders, and its visible files, in the order of their names."""
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(place), folders, sorted(name for name in names if not name.startswith("."))


def _below(root: Path, recipe: Recipe) -> Iterator[Item]:
    for place, _, names in walk(root):
        yield from of_directory(root, place, names, recipe)


def of_directory(root: Path, place: Path, names: Sequence[str], recipe: Recipe) -> Iterator[Item]:
    """The items of one directory at or below root, of these files, in the order of their first ones."""
    found: dict[str, _Group] = {}
    for name in names:
        path = place / name
        relative = path.relative_to(root).as_posix()
        try:
            kind = sniff(path)
            key, aside, kind = _of_file(path, kind, relative, recipe.input)
        except ScanError as error:
            found[relative] = _Group([relative], "", "", error)
            continue
        except OSError as error:
            why = ScanError(f"'{name}' cannot be opened ({reason(error)}); check its permissions.")
            found[relative] = _Group([relative], "", "", why)
            continue
        if key in found:
            found[key].files.append(relative)
        else:
            found[key] = _Group([relative], kind, aside, None)
    alone = sum(len(group.files) > 1 and not group.aside for group in found.values()) == 1
    folder = place.relative_to(root).as_posix()
    for group in found.values():
        named = folder if alone and len(group.files) > 1 and folder != "." else group.files[0]
        yield group.item(root, named, recipe)


@dataclass
class _Group:
    files: list[str]
    kind: str
    aside: str
    failure: InsulaError | None

    def item(self, root: Path, key: str, recipe: Recipe) -> Item:
        """The case of these files."""
        case = Case(key, "", {recipe.role: Scan(tuple(self.files), self.kind)}, {})
        return Item(case, content.of_case(case, root, recipe), len(self.files), True, self.aside, self.failure)


def _of_file(path: Path, kind: str, relative: str, section: Input) -> tuple[str, str, str]:
    """What a file is grouped by, why it is nothing to predict (or ""), and its kind."""
    if kind == "dicomdir":
        return relative, header.INDEX, kind
    if kind == "dicom":
        facts = header.read(path)
        aside = facts.aside
        if aside in ("", header.NO_PICTURE) and facts.modality and facts.modality != section.modality:
            aside = aside or f"modality {facts.modality}"
        elif aside == header.NO_PICTURE and _cut(facts):
            raise ScanError(
                f"'{path.name}' is a DICOM file that ends within its header, before its picture; copy it again."
            )
        uid = facts.attributes.get("study_uid", ""), facts.series_uid
        return "\0".join((*uid, aside)) if uid[1] else relative, aside, kind
    if kind in PICTURES and section.unit != "image":
        return "\0pictures", "", kind
    return relative, "", kind


def _cut(facts: header.Header) -> bool:
    """Whether a file without a picture was to hold one: it is of a class of images, or ends before it says its own UID.

    A file that ends between two elements is to pydicom a whole one.
    """
    kind = UID(facts.sop_class).keyword
    return "sop_uid" not in facts.attributes or ("ImageStorage" in kind and "SecondaryCapture" not in kind)
