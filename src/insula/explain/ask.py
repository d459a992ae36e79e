"""What an explainer is asked about one case: which column of the network, and which slices a slow method looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from insula.core.errors import UsageError
from insula.core.recipe import Recipe
from insula.core.types import Heatmap, Prediction
from insula.explain.methods import CLASSLESS
from insula.infer.explained_files import Drawing, chosen
from insula.infer.explainer import Asked, Measure

PART = 8  # a patch is an eighth of the picture where nobody says otherwise


def column(
    recipe: Recipe,
    prediction: Prediction,
    decided: str,
    target: str | None,
    class_name: str | None,
    method: str,
    measure: Measure,
) -> tuple[str, str, int]:
    """The question, what its score is called, and the network's column of it.

    decided: the class of the decision, which is taken where none is named. Raises UsageError for a question or a class
    that the bundle does not have.
    """
    name = target or recipe.target_name
    if name not in recipe.targets:
        raise UsageError(f"The bundle has no target '{name}'; it has: {', '.join(recipe.targets)}.")
    section, first = recipe.targets[name], recipe.columns(name).start
    if section.graded:
        if class_name is not None:
            raise UsageError(f"'{name}' is a {section.kind} and has no classes; leave --class out.")
        return name, name, first
    if class_name is not None and class_name not in section.classes:
        raise UsageError(f"There is no class '{class_name}' in this bundle; it has: {', '.join(section.classes)}.")
    one_score = section.kind == "binary" and method not in CLASSLESS and measure == "score"
    if one_score and class_name not in (None, section.positive):
        raise UsageError(
            f"A binary target has one score, that of '{section.positive}'; ask for it, or see what raises "
            f"'{class_name}' by --method occlusion --measure probability."
        )
    if class_name is None:
        values = prediction.also[name].values if name in prediction.also else prediction.probabilities
        likely = decided if name == recipe.target_name else section.classes[int(values.argmax())]
        class_name = section.positive if one_score or likely not in section.classes else likely
    return name, class_name, first + section.classes.index(class_name)


def looked_at(asked: Asked, heatmaps: Mapping[str, Heatmap], drawing: Drawing) -> Asked:
    """Occlusion is slow: it looks at the slices that are to be drawn, by the class map's heat or else by weight."""
    found = {}
    for scan, heat in heatmaps.items():
        own = replace(heat, array=heat.array[asked.column : asked.column + 1])
        positions = chosen(own, scan, drawing) or chosen(own, scan, replace(drawing, by="weight"))
        found[scan] = tuple(heat.slices[p] for p in positions)
    return replace(asked, slices=found)
