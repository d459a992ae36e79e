"""What a scanner adds to a picture: a coil's bias field, a detector's rings, streaks from metal."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from insula.train.augment_draw import chosen, per_case, strength, uniform


def bias(x: torch.Tensor, most: float, chance: float, generator: torch.Generator) -> torch.Tensor:
    """Multiply x (N, S, C, H, W) by a smooth field that varies by up to ±most (0.3 is ±30%), as from an MR coil."""
    n, _, _, h, w = x.shape
    level = strength(n, most, chance, generator)
    points = torch.rand(n, 1, 4, 4, generator=generator) * 2.0 - 1.0
    smooth = F.interpolate(points, (h, w), mode="bicubic", align_corners=True).clamp(-1.0, 1.0)
    field = 1.0 + level.view(n, 1, 1, 1) * smooth
    return x * field.to(x).unsqueeze(1)


def rings(x: torch.Tensor, most: float, chance: float, generator: torch.Generator) -> torch.Tensor:
    """Add rings about the middle, as from faulty detector elements of a CT; most: in the picture's values.

    About one radius in ten has a ring, each with its own sign and strength.
    """
    n, _, _, h, w = x.shape
    level = strength(n, most, chance, generator)
    y, across = torch.arange(h) - (h - 1) / 2, torch.arange(w) - (w - 1) / 2
    radius = torch.sqrt(y[:, None] ** 2 + across[None, :] ** 2)
    count = int(radius.max()) + 2
    profile = _uneven(n, count, 0.1, generator)
    return _added(x, level, profile, radius)


def streaks(x: torch.Tensor, most: float, chance: float, generator: torch.Generator) -> torch.Tensor:
    """Add bright and dark streaks that fan out from a point, as from metal in a CT; most: in the picture's values.

    They fade with the distance: half as strong at an eighth of the picture's side.
    """
    n, _, _, h, w = x.shape
    level = strength(n, most, chance, generator)
    middle = torch.stack([uniform(n, generator, 0.2, 0.8) * h, uniform(n, generator, 0.2, 0.8) * w], 1)
    profile = _uneven(n, 181, 0.25, generator)
    which = chosen(level)
    out = x
    if len(which):
        out = x.clone()
        y, across = torch.arange(h)[:, None], torch.arange(w)[None, :]
        for i in which.tolist():
            dy, dx = y - middle[i, 0], across - middle[i, 1]
            angle = torch.atan2(dy, dx).remainder(math.pi) * (180.0 / math.pi)
            fade = 1.0 / (1.0 + torch.sqrt(dy**2 + dx**2) * (8.0 / max(h, w)))
            out[i] += (level[i] * fade * _looked_up(profile[i], angle)).to(x)
    return out


def _added(x: torch.Tensor, level: torch.Tensor, profile: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    if not level.any():
        return x
    drawn = torch.stack([_looked_up(row, place) for row in profile])
    return x + per_case(level, x) * drawn.to(x)[:, None, None]


def _looked_up(profile: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """A profile (L,) at fractional places, linear between its entries."""
    low = place.long().clamp(max=len(profile) - 2)
    part = place - low
    return profile[low] * (1.0 - part) + profile[low + 1] * part


def _uneven(n: int, length: int, share: float, generator: torch.Generator) -> torch.Tensor:
    """Profiles (n, length), zero but for about this share of the entries, which lie between −1 and 1."""
    there = torch.rand(n, length, generator=generator) < share
    return torch.where(there, torch.rand(n, length, generator=generator) * 2.0 - 1.0, 0.0)
