"""What a cohort ought to hold and does not: classes without a case, folders without a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from insula.cohort.found import MASKS, shown
from insula.core.recipe import Recipe
from insula.core.types import Cohort

_EVERY_CLASS = ("binary", "multiclass", "ordinal")  # answers of exclusive classes; a label may stay without a case


@dataclass(frozen=True)
class Asked:
    """The classes that a recipe asks for. kind: of the target, as in the recipe. recipe: its name, "" if not known."""

    target: str = ""
    kind: str = ""
    classes: tuple[str, ...] = ()
    recipe: str = ""

    @property
    def needs_all(self) -> bool:
        """Whether a class without a case leaves the question without an answer."""
        return self.kind in _EVERY_CLASS


NOTHING = Asked()


def asked(recipe: Recipe) -> Asked:
    """What a recipe's first target asks for."""
    return Asked(recipe.target_name, recipe.target.kind, tuple(recipe.target.classes), recipe.name)


def classes_without_a_case(cohort: Cohort, wanted: Asked) -> tuple[str, ...]:
    """The classes that no case is labelled with, in the recipe's order; none where no case has a label at all."""
    given = [case.labels[wanted.target] for case in cohort.cases if wanted.target in case.labels]
    there = {name for names in given for name in names}
    return tuple(name for name in wanted.classes if name not in there) if given else ()


def empty_folders(root: Path) -> tuple[str, ...]:
    """Folders below the root without a visible file in them or below, relative to it, sorted.

    Of an empty folder the empty ones below are not named. Hidden folders and `masks` are passed over.
    """
    places: list[Path] = []
    full = {root}
    for where, folders, names in os.walk(root):
        place = Path(where)
        linked = any((place / name).is_symlink() for name in folders)
        folders[:] = [name for name in folders if not name.startswith(".") and name.lower() != MASKS]
        places.append(place)
        if linked or any(not name.startswith(".") for name in names):
            while place not in full:
                full.add(place)
                place = place.parent
    found = [place for place in places if place not in full and place.parent in full]
    return tuple(sorted(shown(place.relative_to(root).as_posix()) for place in found))
