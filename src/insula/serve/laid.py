"""Where the heat of a prediction lies in the scans that its study has now: by role, modality and place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from insula.core.recipe import Recipe
from insula.core.types import FloatArray
from insula.infer import heatmap
from insula.serve import volumes
from insula.serve.faults import RequestError
from insula.serve.jobs.predict_study import VIEW
from insula.serve.models import choose
from insula.serve.on_plane import heat_on_plane
from insula.serve.shown import Shown
from insula.serve.store import predictions, schema, studies
from insula.serve.store.files import Files
from insula.serve.store.predictions import Artefact, StoredPrediction
from insula.serve.view import View
from insula.serve.volumes import Scan


@dataclass(frozen=True, eq=False)
class Laid:
    """What was kept of one of the model's inputs (`ct`, `ct.2`), which one of the study's scans was."""

    role: str
    view: View


@dataclass(frozen=True)
class Told:
    """What the records say of a prediction's heat. recipe: of its model, None where that is registered no more.

    series: which were asked for, by role. made_of: SHA-256 of the files of each scan, empty in an answer of an earlier
    version.
    """

    kept: tuple[Artefact, ...]
    recipe: Recipe | None
    series: Mapping[str, int]
    made_of: Mapping[str, frozenset[str]]


def told(connection: Connection, prediction: StoredPrediction) -> Told:
    """What `matched` has to know out of the records; no file is read."""
    kept = tuple(one for one in predictions.artefacts_of(connection, prediction.id) if one.kind == VIEW)
    series, made_of = _series(connection, prediction.id), _made_of(connection, prediction)
    return Told(kept, _recipe_of(connection, prediction), series, made_of)


def matched(files: Files, told: Told, scans: Sequence[Scan]) -> Mapping[str, Laid]:
    """Name of a study's scan → what was kept of it with a prediction; scans without heat are left out."""
    numbers = _numbers(scans)
    found: dict[str, Laid] = {}
    for one in told.kept:
        seen = volumes.view_of(files, one.sha256)
        free = [scan for scan in scans if scan.name not in found and not scan.fault]
        scan = _scan_of(one.role, seen, free, numbers, told)
        if scan is not None:
            found[scan.name] = Laid(one.role, seen)
    return found


def heat_on_slice(seen: View, class_index: int, shown: Shown, number: int) -> FloatArray:
    """A class's heat on the pixels (Y, X) of a slice, counted from 0; 0 beyond the prepared picture.

    It is that of the prepared slice nearest to this one; where none lies within half a slice of it, there is no heat.
    """
    height, width = shown.stored.shape[1:3]
    return heat_on_plane(seen, class_index, shown.affine, (height, width), number)


def _recipe_of(connection: Connection, prediction: StoredPrediction) -> Recipe | None:
    try:
        return choose.recipe_of(choose.get(connection, prediction.bundle_id))
    except RequestError:
        return None


def _series(connection: Connection, prediction_id: str) -> Mapping[str, int]:
    jobs, made = schema.jobs.c, schema.predictions.c
    wanted = select(jobs.payload).join(schema.predictions, made.job_id == jobs.id).where(made.id == prediction_id)
    payload = connection.execute(wanted).scalar()
    return dict((payload or {}).get("series", {}))


def _made_of(connection: Connection, prediction: StoredPrediction) -> Mapping[str, frozenset[str]]:
    sources = predictions.sources_of(connection, prediction.id)
    if not sources:
        return {}
    hashes = {one.id: one.sha256 for one in studies.files_of(connection, prediction.study_id)}
    return {scan: frozenset(hashes[name] for name in names if name in hashes) for scan, names in sources.items()}


def _numbers(scans: Sequence[Scan]) -> Mapping[str, int]:
    """Number of each scan by name, as a request for a prediction counts them: through all roles of joined studies'
    files that are told apart by their headers, else within the role.
    """
    found: dict[str, int] = {}
    before = most = 0
    for role in dict.fromkeys(one.role for one in scans):
        start = before if _is_sorted(role) else 0
        for one in (scan for scan in scans if scan.role == role):
            found[one.name] = most = start + (one.series or 1)
        before = most if _is_sorted(role) else before
    return found


def _is_sorted(role: str) -> bool:
    return role.partition(".")[0] == studies.SORTED


def _scan_of(role: str, seen: View, scans: Sequence[Scan], numbers: Mapping[str, int], told: Told) -> Scan | None:
    """Which of a study's scans a role of the model was: the one of its files; where these are not known the one of that
    name, else one of its modality; and in any case one that lies where the heat does.
    """
    modality, recipe = "", told.recipe
    if recipe is not None and heatmap.role_of(role) in recipe.inputs:
        modality = recipe.inputs[heatmap.role_of(role)].modality
    made_of = told.made_of.get(role)
    fitting = [
        one
        for one in scans
        if (not modality or one.modality in ("", modality)) and (made_of is None or one.is_of(made_of))
        if _fits(seen, one)
    ]
    wanted = told.series.get(role, told.series.get(studies.SORTED))
    ranked = sorted(fitting, key=lambda one: (one.role != role, not _is_sorted(one.role), numbers[one.name] != wanted))
    if not ranked or (made_of is None and ranked[0].role != role and not _is_sorted(ranked[0].role)):
        return None
    return ranked[0]


def heights(seen: View, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the prepared slices lie, in slices of a scan of this affine counted from 0."""
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    normal /= np.linalg.norm(normal)
    middle = np.array([(seen.slices.shape[2] - 1) / 2, (seen.slices.shape[1] - 1) / 2])
    numbers = np.arange(len(seen.slices))
    inside = np.column_stack([np.tile(middle, (len(numbers), 1)), numbers, np.ones(len(numbers))])
    points = (seen.affine @ inside.T)[:3].T
    return np.asarray((points - affine[:3, 3]) @ normal / (affine[:3, 2] @ normal), np.float64)


def _fits(seen: View, scan: Scan) -> bool:
    """Whether the prepared slices lie within a scan; tiles of a slide have no place."""
    if scan.modality == "SM":
        return True
    ahead = np.cross(seen.affine[:3, 0], seen.affine[:3, 1])
    normal = np.cross(scan.affine[:3, 0], scan.affine[:3, 1])
    cosine = abs(float(ahead @ normal) / float(np.linalg.norm(ahead) * np.linalg.norm(normal)))
    where = heights(seen, scan.affine)
    return cosine > 0.99 and float(where.min()) > -1.0 and float(where.max()) < scan.slices
