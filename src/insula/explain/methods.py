"""The table of explainers; it needs no PyTorch itself, and the methods of the light wing run without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from insula.core.errors import MissingPartError
from insula.core.registry import Registry
from insula.infer.explainer import Asked, Explained

METHODS: Final = Registry(
    "explainer",
    {
        "class_map": "insula.infer.explainer:class_map",
        "occlusion": "insula.infer.occlusion:occlusion",
        "grad_cam_pp": "insula.explain.grad_cam_pp:explain",
        "integrated_gradients": "insula.explain.integrated:explain",
        "guided_backprop": "insula.explain.guided:explain",
        "attention_rollout": "insula.explain.rollout:explain",
    },
)
CLASSLESS: Final = frozenset({"attention_rollout"})  # the same for every class
SIGNED: Final = frozenset({"occlusion", "integrated_gradients"})  # below 0 where the score is lowered
_EXTRA: Final = {"captum": "train,explain"}


def method(name: str) -> Callable[[Asked], Explained]:
    """The explainer of a name; UsageError for an unknown one, MissingPartError where what it needs is not installed."""
    try:
        found: Callable[[Asked], Explained] = METHODS.get(name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == "insula":
            raise
        raise MissingPartError(
            f"The method '{name}' needs {missing or 'a part'}, which is not installed; run: "
            f"pip install 'insula[{_EXTRA.get(missing, 'train')}]', or use --method class_map or occlusion."
        ) from error
    return found
