"""Random changes of training pictures, on the whole batch at once; every slice of a case is changed alike.

The changes stand in the order in which a scan gets them: the patient's pose and shape, the scanner's artefacts, the
brightness of the picture, noise, and holes. Geometric changes share one resampling, blur and the artefacts of k-space
one Fourier transform. Which keys there are and what they mean: `core.recipe.Augment`.
"""

from __future__ import annotations

import torch

from insula.core.recipe import Augment
from insula.train.augment_geometry import move
from insula.train.augment_kspace import filtered
from insula.train.augment_scanner import bias, rings, streaks
from insula.train.augment_values import brightness_contrast, gamma, holes, local_contrast, noise

GEOMETRIC = ("flip", "rotate", "shift", "scale", "elastic", "grid", "optical")
K_SPACE = ("blur", "gibbs", "ghost", "motion")


def augment(
    x: torch.Tensor, section: Augment, generator: torch.Generator, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """A changed copy of x (N, S, C, H, W); the random numbers come from `generator` alone (on the CPU).

    mask: (N, S), 1 for a real slice; padding (0) stays out of every mean and comes back as zeros.
    """
    real = (x.new_ones(x.shape[:2]) if mask is None else mask.to(x)).view(*x.shape[:2], 1, 1, 1)
    if section.flip or (section.moved and any(getattr(section, key) for key in GEOMETRIC)):
        x = move(x, section, generator)
    if section.chance:
        if any(getattr(section, key) for key in K_SPACE):
            x = filtered(x, section, generator)
        for value, change in ((section.bias, bias), (section.ring, rings), (section.streak, streaks)):
            if value:
                x = change(x, value, section.chance, generator)
        for value, alter in ((section.gamma, gamma), (section.local_contrast, local_contrast)):
            if value:
                x = alter(x, value, section.chance, generator)
    if section.brightness or section.contrast:
        x = brightness_contrast(x, real, section.brightness, section.contrast, generator)
    if section.noise:
        x = noise(x, section.noise, generator)
    if section.chance and section.holes:
        x = holes(x, real, section.holes, section.chance, generator)
    return x if mask is None else x * real
