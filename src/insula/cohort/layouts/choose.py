"""Which layout a folder has: asked in order, the first that fits is taken, and why is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from insula.cohort import labels
from insula.cohort.layouts import bids, folders, headers, labelled, rsna
from insula.cohort.layouts.request import Laid, Request
from insula.core.errors import CohortError

AUTO = "auto"

# In the order in which they are asked: what a table says comes before what folders or headers say.
LAYOUTS: dict[str, tuple[Callable[[Request], str], Callable[[Request], Laid]]] = {
    "rsna": (rsna.fits, rsna.lay),
    "bids": (bids.fits, bids.lay),
    "table": (labelled.fits, labelled.lay),
    "folders": (folders.fits, folders.lay),
    "dicom": (headers.fits, headers.lay),
}


def lay(request: Request, layout: str = AUTO) -> tuple[Laid, str, str]:
    """The files in their places, the name of the layout, and why it was taken.

    layout: a name to force, or `auto`. Raises CohortError for an unknown name, for a folder that fits no layout (what
    was looked for is named), and as the layout itself.
    """
    if layout == AUTO:
        layout, why = _recognised(request)
    elif layout in LAYOUTS:
        why = "it was asked for"
    else:
        raise CohortError(f"There is no layout '{layout}'; there are: {', '.join((AUTO, *LAYOUTS))}.")
    return LAYOUTS[layout][1](request), layout, why


def table_of(root: Path, given: Path | None) -> Path | None:
    """The labels table: the one given, else `labels.csv` at the root, else None. CohortError for a missing file."""
    if given is None:
        return root / labels.NAME if (root / labels.NAME).is_file() else None
    if not given.is_file():
        raise CohortError(f"There is no table of labels '{given.name}'; check the path after --labels.")
    return given


def _recognised(request: Request) -> tuple[str, str]:
    for name, (fits, _) in LAYOUTS.items():
        if why := fits(request):
            return name, why
    recipe = request.recipe
    tops: Sequence[str] = folders.tops(request)
    about = f"has the class folders {folders.listed(tops)}" if tops else "has no folders"
    raise CohortError(
        f"'{request.root.name}' fits no layout: it {about}, which recipe '{recipe.name}' does not know (its classes: "
        f"{', '.join(recipe.target.classes)}), and there is no {labels.NAME} or --labels table, no RSNA table with the "
        "columns ID and Label, no BIDS folder (participants.tsv and sub-*), and no DICOM file with a PatientID. Rename "
        f"the folders, set the classes (--set targets.{recipe.target_name}.classes=[...]), or give --labels."
    )
