"""Which of a study's files are which input of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from insula.core.recipe import Input, Recipe
from insula.scans import catalogue
from insula.scans.read import sniff
from insula.serve.faults import RequestError
from insula.serve.models.loaded import LIMITS
from insula.serve.store.studies import SORTED


def scans_of(
    files: Mapping[str, Sequence[Path]], recipe: Recipe, series: Mapping[str, int | str]
) -> dict[str, list[Path]]:
    """The files of each of a model's inputs, out of those of a study by their roles.

    Files under one of the model's roles (`ct`, `ct.2`) are that scan; others are passed over. Those under `scan`, and
    under `scan.2` …, are told apart by the modality in their headers; without headers each role's are one scan of the
    model's one input. series: by role, the number or UID of the DICOM series to take where there are several. Raises
    RequestError 422 where that is left open, or the model's inputs are not there.
    """
    found: dict[str, list[Path]] = {}
    for role, paths in files.items():
        if (kind := role.partition(".")[0]) in recipe.inputs:
            found[role] = _one(list(paths), role, recipe.inputs[kind], series)
    sorted_here = [list(paths) for role, paths in files.items() if role.partition(".")[0] == SORTED]
    mixed = [path for paths in sorted_here for path in paths]
    if not found and len(recipe.inputs) == 1 and not any(sniff(path) == "dicom" for path in mixed):
        (role,) = recipe.inputs  # scans without headers: what came apart is a scan of its own, and all are that input
        return {role if n == 1 else f"{role}.{n}": paths for n, paths in enumerate(sorted_here, 1)} or _none(recipe)
    for role, section in recipe.inputs.items():
        if role not in found and mixed:
            paths = _of_modality(mixed, section, alone=len(recipe.inputs) == 1)
            if paths:
                found[role] = _one(paths, role, section, series)
    return found or _none(recipe)


def by_scan(chosen: Mapping[str, list[Path]]) -> dict[str, list[Path]]:
    """The files of `scans_of` under the names that a prediction's heat has: `ct`, `ct.2` …, without gaps, in order."""
    found: dict[str, list[Path]] = {}
    counts: dict[str, int] = {}
    for role in sorted(chosen, key=lambda name: (name.partition(".")[0], int(name.partition(".")[2] or 1))):
        kind = role.partition(".")[0]
        counts[kind] = counts.get(kind, 0) + 1
        found[kind if counts[kind] == 1 else f"{kind}.{counts[kind]}"] = chosen[role]
    return found


def _none(recipe: Recipe) -> NoReturn:
    taken = ", ".join(f"{role} ({section.modality})" for role, section in recipe.inputs.items())
    raise RequestError(422, "no_scan", f"The study has no scan for this model, which takes {taken}; add one.")


def _one(paths: list[Path], role: str, section: Input, series: Mapping[str, int | str]) -> list[Path]:
    """The files of one scan out of those of a role."""
    if len(paths) == 1 or {sniff(path) for path in paths} != {"dicom"}:
        return paths
    entries = catalogue.entries(paths, role, LIMITS)
    if role in series or SORTED in series:
        wanted = series.get(role, series.get(SORTED))
        return list(catalogue.choose(entries, str(wanted), role).files)
    usable = [one for one in entries if not one.aside and one.modality in ("", section.modality)]
    if len(usable) == 1:
        return list(usable[0].files)
    if not usable:
        return paths  # reading says what is the matter with them
    raise RequestError(
        422,
        "several_series",
        f"The study has {len(usable)} series for '{role}' ({catalogue.listed(usable)}); name one in the request's "
        f"'series', as {{\"{role}\": {usable[0].number}}}.",
        more={"role": role, "series": {str(one.number): one.said() for one in usable}},
    )


def _of_modality(paths: Sequence[Path], section: Input, alone: bool) -> list[Path]:
    """Of files that are not told apart those that may be one input's: by their headers; all, where it is alone."""
    dicom = [path for path in paths if sniff(path) == "dicom"]
    if alone and not dicom:
        return list(paths)
    if not dicom:
        return []
    entries = catalogue.entries(dicom, SORTED, LIMITS)
    fitting = [one for one in entries if one.modality == section.modality]
    chosen = fitting or ([one for one in entries if not one.aside] or list(entries) if alone else [])
    return [path for one in chosen for path in one.files]
