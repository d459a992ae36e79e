"""Blur, ringing, ghosts and motion: all of them factors in the Fourier plane, so that one transform serves all."""

from __future__ import annotations

import math

import torch

from insula.core.recipe import Augment
from insula.train.augment_draw import chosen, strength, uniform


def filtered(x: torch.Tensor, section: Augment, generator: torch.Generator) -> torch.Tensor:
    """A copy of x (N, S, C, H, W) in which each case has, by chance, a blur, ringing, ghosts or motion.

    blur: Gaussian, its standard deviation in pixels. gibbs: the outer share of k-space that was not measured (ringing
    at edges). ghost: every k-th line measured that much weaker (copies along one axis, as from a pulse). motion: from
    some line on the head lies elsewhere, by that share of a side (cf. Shaw et al., MIDL 2019). Rows or columns are the
    lines, by chance. The magnitude is shown where the case held no negative values, as a scanner does.
    """
    n, _, _, h, w = x.shape
    blur = strength(n, section.blur, section.chance, generator)
    gibbs = strength(n, section.gibbs, section.chance, generator)
    ghost = strength(n, section.ghost, section.chance, generator)
    motion = strength(n, section.motion, section.chance, generator)
    rows = torch.rand(n, generator=generator) < 0.5
    period = torch.randint(2, 6, (n,), generator=generator)
    moment = uniform(n, generator, 0.1, 0.9)
    heading = uniform(n, generator, 0.0, 2.0 * math.pi)
    which = chosen(blur + gibbs + ghost + motion)
    if len(which) == 0:
        return x
    ky, kx = torch.fft.fftfreq(h)[:, None], torch.fft.fftfreq(w)[None, :]
    factors = [
        _blur(blur[i], ky, kx)
        * _gibbs(gibbs[i], ky, kx)
        * _ghost(ghost[i], int(period[i]), bool(rows[i]), h, w)
        * _motion(motion[i], moment[i], heading[i], bool(rows[i]), ky, kx)
        for i in which.tolist()
    ]
    factor = torch.stack(factors).to(x.device).view(len(which), 1, 1, h, w)
    where = which.to(x.device)
    before = x[where]
    after = torch.fft.ifft2(torch.fft.fft2(before) * factor)
    positive = (before.amin((1, 2, 3, 4), keepdim=True) >= 0.0) & (motion[which] > 0).to(x.device).view(-1, 1, 1, 1, 1)
    out = x.clone()
    out[where] = torch.where(positive, after.abs(), after.real)
    return out


def _blur(sigma: torch.Tensor, ky: torch.Tensor, kx: torch.Tensor) -> torch.Tensor:
    return torch.exp(-2.0 * (math.pi * sigma) ** 2 * (ky**2 + kx**2))


def _gibbs(share: torch.Tensor, ky: torch.Tensor, kx: torch.Tensor) -> torch.Tensor:
    limit = 0.5 * (1.0 - share)
    return ((ky.abs() <= limit) & (kx.abs() <= limit)).to(ky.dtype)


def _ghost(weaker: torch.Tensor, period: int, rows: bool, h: int, w: int) -> torch.Tensor:
    """Lines 0, k, 2k … (the middle one among them) keep their weight; the picture's mean stays."""
    lines = torch.arange(h if rows else w)
    weight = torch.where(lines % period == 0, 1.0, 1.0 - weaker)
    return weight[:, None] if rows else weight[None, :]


def _motion(
    share: torch.Tensor, moment: torch.Tensor, heading: torch.Tensor, rows: bool, ky: torch.Tensor, kx: torch.Tensor
) -> torch.Tensor:
    """A shift of the head by `share` of each side is a phase ramp on the lines that were measured after it."""
    h, w = ky.numel(), kx.numel()
    ramp = torch.exp(-2j * math.pi * share * (ky * h * torch.sin(heading) + kx * w * torch.cos(heading)))
    after = (ky if rows else kx) > moment - 0.5
    return torch.where(after, ramp, torch.ones_like(ramp))
