"""Random changes of training pictures, on the whole batch at once; every slice of a case moves alike."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from insula.core.recipe import Augment


def augment(x: torch.Tensor, section: Augment, generator: torch.Generator) -> torch.Tensor:
    """A changed copy of x (N, S, C, H, W): flip, rotate, shift, scale; then brightness, contrast, noise.

    Units: rotate in degrees, shift and scale as shares of the picture's side, brightness, contrast and noise on the
    [0, 1] scale of prepared pictures. The random numbers come from `generator` alone (on the CPU).
    """
    n, s, c, h, w = x.shape
    if section.flip or section.rotate or section.shift or section.scale:
        theta = _affine(n, section, generator, h / w).to(x.device).repeat_interleave(s, 0)
        grid = F.affine_grid(theta, [n * s, c, h, w], align_corners=False)
        x = F.grid_sample(x.flatten(0, 1), grid, padding_mode="border", align_corners=False).view(n, s, c, h, w)
    if section.contrast or section.brightness:
        gain = 1.0 + section.contrast * _uniform(n, generator)
        lift = section.brightness * _uniform(n, generator)
        shape = (n, 1, 1, 1, 1)
        middle = x.mean((1, 2, 3, 4), keepdim=True)
        x = (x - middle) * gain.view(shape).to(x.device) + middle + lift.view(shape).to(x.device)
    if section.noise:
        strength = section.noise * torch.rand(n, 1, 1, 1, 1, generator=generator)
        x = x + strength.to(x.device) * torch.randn(x.shape, generator=generator).to(x.device)
    return x


def _affine(n: int, section: Augment, generator: torch.Generator, aspect: float) -> torch.Tensor:
    angle = section.rotate * math.pi / 180.0 * _uniform(n, generator)
    zoom = 1.0 + section.scale * _uniform(n, generator)
    mirror = torch.where(torch.rand(n, generator=generator) < section.flip, -1.0, 1.0)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    moved = 2.0 * section.shift * torch.stack([_uniform(n, generator), _uniform(n, generator)], 1)
    top = torch.stack([cos * mirror, -sin * aspect, moved[:, 0]], 1)
    bottom = torch.stack([sin * mirror / aspect, cos, moved[:, 1]], 1)
    return torch.stack([top, bottom], 1)


def _uniform(n: int, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(n, generator=generator) * 2.0 - 1.0
