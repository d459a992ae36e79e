"""The explanation of one case, by the steps of `insula explain`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from insula.api.explanation import Explanation
from insula.api.result import Result
from insula.explain.ask import PART, column, looked_at
from insula.explain.methods import method as find
from insula.infer import explained_files
from insula.infer.explained_files import Drawing, Shown
from insula.infer.explainer import Asked, Patch
from insula.infer.predict import Predictor
from insula.infer.read_case import ReadCase

CAUTION = "The policy rejects this scan: of a score that nobody should use."


def explained(
    predictor: Predictor,
    read: ReadCase,
    result: Result,
    attributes: Mapping[str, str],
    method: str,
    score: tuple[str | None, str | None],
    drawing: Drawing,
    folder: Path | None,
) -> Explanation:
    """The heat of one score of a case that was read and predicted, drawn where a folder is given.

    score: class and target, None for the decided class and for the first target.
    """
    recipe = predictor.bundle.recipe
    explainer = find(method)
    class_name, target = score
    of, label, at = column(recipe, result.prediction, result.label, target, class_name, method, "score")
    size = max(1, predictor.engine.input_shapes[recipe.role][1] // PART)
    asked = Asked(predictor, read.views, at, attributes, patch=Patch(size, max(1, size // 2)))
    if method == "occlusion":
        asked = looked_at(asked, result.prediction.heatmaps, drawing)
    found = explainer(asked)
    files: list[Path] = []
    shown: list[Shown] = []
    if folder is not None:
        caution = CAUTION if result.action == "reject" else ""
        files, shown = explained_files.write(found, read.views, read.volumes, recipe, folder, label, drawing, caution)
    return Explanation(result, method, of, label, found.heatmaps, found.unit, found.notes, tuple(shown), tuple(files))
