"""What the viewer of the case page is told: scans, windows, and where the heat of a prediction lies in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from urllib.parse import quote

import numpy as np
from sqlalchemy import Connection

from insula.infer import heatmap
from insula.infer.colours import paint
from insula.serve import laid, shown, volumes
from insula.serve.laid import Told
from insula.serve.people.caller import Caller
from insula.serve.people.visible import studies_of
from insula.serve.store import studies
from insula.serve.store.files import Files
from insula.serve.store.predictions import StoredPrediction
from insula.serve.store.studies import Study, StudyFile
from insula.serve.volumes import Scan
from insula.serve.web.viewer_heat import Heat, heat_of

_STOPS: Final = 17
_COLOURS: Final = "inferno"  # as in the pictures and the report
# Windows of the head as Radiopaedia gives them ("Windowing (CT)", radiopaedia.org/articles/windowing-ct): brain W80
# L40, subdural W130-300 L50-100, stroke W40 L40, bone W2800 L600, soft tissues W350-400 L20-60; of a span its middle.
_HEAD_CT: Final = (
    ("Brain", 40.0, 80.0),
    ("Subdural", 75.0, 215.0),
    ("Stroke", 40.0, 40.0),
    ("Bone", 600.0, 2800.0),
    ("Soft tissue", 40.0, 375.0),
)


@dataclass(frozen=True)
class Window:
    """A window by a digit's key, 0 for the file's own. name: a sentence of the catalogues."""

    key: int
    name: str
    centre: float
    width: float


@dataclass(frozen=True)
class ScanShown:
    """One scan with its addresses; picture has {number}, and takes what the route of slices takes.

    start: the slice that is shown first, counted from 1: where something was found, that with most heat,
    else with most weight; otherwise the middle.
    sized: whether voxels are known to be so many mm; lengths on others are in pixels. edges: what lies beyond the left,
    right, upper and lower edge of a slice, empty where sides are not known. axial: whether its slices are seen from
    below; others are shown as they are, one by one.
    """

    name: str
    title: str
    modality: str
    units: str
    slices: int
    start: int
    spacing: tuple[float, float, float]
    colour: bool
    sided: bool
    sized: bool
    edges: tuple[str, ...]
    axial: bool
    warnings: tuple[str, ...]
    fault: str
    volume: str
    picture: str
    windows: tuple[Window, ...]
    heat: Heat | None = None


@dataclass(frozen=True)
class ViewerData:
    """All that the viewer starts from. colours: of the heat from least to most, as #rrggbb. first: index of a scan."""

    study: str
    prediction: str
    scans: tuple[ScanShown, ...]
    first: int
    colours: tuple[str, ...]
    unit: str = heatmap.CLASS_MAP
    note: str = field(default=heatmap.NO_PROOF)

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


@dataclass(frozen=True)
class ViewerRows:
    """What the records say of all that the viewer shows. told: of the heat, where there is a prediction."""

    study: Study
    named: tuple[StudyFile, ...]
    prediction: StoredPrediction | None
    told: Told | None


def viewer_rows(
    connection: Connection, caller: Caller, study_id: str, prediction: StoredPrediction | None
) -> ViewerRows:
    """What the records say of a study that the caller may see; no file is read, so that this takes no time.

    prediction: one of this study, whose heat is shown. Raises RequestError 404 for a study that is not the caller's.
    """
    study = studies.get(connection, study_id, studies_of(caller))
    named = tuple(studies.files_of(connection, study_id))
    return ViewerRows(study, named, prediction, None if prediction is None else laid.told(connection, prediction))


def viewer_data(files: Files, rows: ViewerRows) -> ViewerData | None:
    """What the viewer shows of a study; None where it has no files. Raises RequestError 503 as `study_scans`."""
    study_id, prediction = rows.study.id, rows.prediction
    scans = volumes.study_scans(files, rows.study, rows.named)
    if not scans:
        return None
    heat = {} if prediction is None or rows.told is None else heat_of(files, prediction, rows.told, scans)
    found = prediction is not None and bool(prediction.answer.get("positive"))
    made = tuple(_scan(study_id, one, heat.get(one.name), scans, found) for one in scans)
    first = next(
        (i for i, one in enumerate(made) if one.heat), next((i for i, one in enumerate(made) if not one.fault), 0)
    )
    levels = np.linspace(0.0, 1.0, _STOPS, dtype=np.float32)
    colours = tuple("#" + bytes(round(float(v)) for v in one).hex() for one in paint(levels, _COLOURS))
    return ViewerData(study_id, prediction.id if prediction else "", made, first, colours)


def windows(scan: Scan) -> tuple[Window, ...]:
    """The windows of a scan, the one that it is first shown in first: its own where it has one, then its modality's."""
    known = scan.shown
    if known is None or _is_colour(scan):
        return ()
    low, high = known["range"]
    least, most = known["extent"]
    if scan.units == "HU":
        named = list(_HEAD_CT)
    else:
        named = [("1st to 99th percentile", *_between(low, high)), ("All values", *_between(least, most))]
    own = scan.window
    if own is not None and own[1] > 0:
        named.insert(0, ("The file's own", *own))
    elif known["full_scale"] == 255.0 and scan.units != "HU":
        named.insert(0, ("As the picture is", 127.5, 255.0))
    else:
        return tuple(Window(key, *one) for key, one in enumerate(named, start=1))
    return tuple(Window(key, *one) for key, one in enumerate(named))


def _between(low: float, high: float) -> tuple[float, float]:
    return ((low + high) / 2, high - low) if high > low else (low, 1.0)


def _is_colour(scan: Scan) -> bool:
    return scan.units == "RGB" and scan.channels >= 3


def _start(scan: Scan, heat: Heat | None, found: bool) -> int:
    if heat is not None and heat.placed and found:  # where nothing was found, most heat may lie in the air
        if heat.classes and heat.classes[0].slices:
            return heat.classes[0].slices[0]
        if len(set(heat.weights.values())) > 1:
            return max(heat.weights, key=lambda number: heat.weights[number])
    return max(1, (scan.slices + 1) // 2)


def _scan(study_id: str, scan: Scan, heat: Heat | None, scans: Sequence[Scan], found: bool) -> ScanShown:
    base = f"/api/v1/studies/{study_id}/scans/{quote(scan.name)}"
    affine = scan.affine
    axial = int(np.abs(np.cross(affine[:3, 0], affine[:3, 1])).argmax()) == 2
    alike = sum(one.modality == scan.modality for one in scans) > 1
    kind = scan.modality or scan.role
    return ScanShown(
        name=scan.name,
        title=f"{kind} ({scan.name})" if alike or not scan.modality else kind,
        modality=scan.modality,
        units=scan.units,
        slices=scan.slices,
        start=_start(scan, heat, found),
        spacing=scan.spacing_mm,
        colour=_is_colour(scan),
        sided=scan.sided,
        sized=not np.array_equal(affine, np.eye(4)) and not any("assumed" in one for one in scan.warnings),
        edges=shown.edges(affine) if scan.sided else (),
        axial=axial,
        warnings=scan.warnings,
        fault=scan.fault,
        volume=f"{base}/volume.nii.gz",
        picture=f"{base}/slices/{{number}}",
        windows=windows(scan),
        heat=heat,
    )
