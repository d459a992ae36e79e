"""A search as one HTML page that needs nothing beside itself."""

from __future__ import annotations

import json
from typing import Any

from insula import __version__
from insula.core import templates
from insula.workflows.search_plots import drawings
from insula.workflows.search_results import Search, State

_STATES: dict[State, str] = {
    "complete": "complete",
    "pruned": "pruned: ended early, since others did better at that step",
    "failed": "failed: kept with its reason",
    "stopped": "stopped: its process died, and its values were tried again",
    "running": "running when this page was written",
}


def render(search: Search) -> str:
    """The page as text: the best trial, what its score is worth, charts, importances and all trials."""
    pages = templates.environment("insula.workflows")
    return pages.get_template("search.html").render(
        search=search,
        version=__version__,
        drawings=drawings(search),
        counts=[(text, len(search.of(state))) for state, text in _STATES.items() if search.of(state)],
        ended=len([t for t in search.trials if t.state in ("complete", "pruned", "failed")]),
        importances=sorted(search.importances.items(), key=lambda pair: -pair[1]),
        facts=_facts(search),
        said=_said,
        number=_number,
    )


def _facts(search: Search) -> list[tuple[str, str]]:
    about = search.about
    sizes = about["cases"]
    folds = about["folds"]
    scored = f"{folds} patient folds of the train and val splits, mean" if folds else "the val split"
    return [
        ("Recipe", search.recipe.name),
        ("Question", search.recipe.question),
        ("Score", f"{search.metric.title}, {'more' if search.metric.maximise else 'less'} is better; on {scored}"),
        ("Training cases", f"{sizes['train_cases']} of {sizes['train_patients']} patients"),
        ("Validation cases", f"{sizes['val_cases']} of {sizes['val_patients']} patients"),
        ("Test split", "not opened"),
        ("Sampler, pruner, seed", f"{about['sampler']}, {about['pruner']}, {about['seed']}"),
        ("Study", f"{search.study} in {about['store']}"),
    ]


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"
