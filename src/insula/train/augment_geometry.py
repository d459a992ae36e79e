"""Changes of shape and pose, put together into one grid and one resampling for all slices of a case."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from insula.core.recipe import Augment
from insula.train.augment_draw import uniform

_ELASTIC_POINTS = 6
_GRID_CELLS = 5


def move(x: torch.Tensor, section: Augment, generator: torch.Generator) -> torch.Tensor:
    """Flip, rotate, shift, scale, elastic, grid and optical distortion of x (N, S, C, H, W).

    Resampling is bicubic within each slice's own range, and a share of the cases is not resampled but mirrored at most:
    interpolation takes noise and edges away, and what is predicted later is as sharp as the scan. Coordinates run from
    −1 to 1 along each side; what comes in from outside repeats the picture's border.
    """
    n, s, c, h, w = x.shape
    at = _coordinates(h, w).expand(n, h, w, 2)
    if section.grid:
        at = torch.stack([_stretched(n, w, section.grid, generator)[:, None, :].expand(n, h, w),
                          _stretched(n, h, section.grid, generator)[:, :, None].expand(n, h, w)], -1)  # fmt: skip
    if section.elastic:
        at = at + _elastic(n, h, w, section.elastic, generator)
    if section.optical:
        bend = section.optical * uniform(n, generator).view(n, 1, 1, 1)
        at = at * (1.0 + bend * (at**2).sum(-1, keepdim=True))
    mirror = torch.rand(n, generator=generator) < section.flip
    matrix, shift = _affine(n, section, generator, h / w, mirror)
    at = torch.einsum("nhwj,nij->nhwi", at, matrix) + shift.view(n, 1, 1, 2)
    moved = torch.rand(n, generator=generator) < section.moved
    out = torch.where(mirror.to(x.device).view(n, 1, 1, 1, 1), x.flip(-1), x)
    if bool(moved.any()):
        flat = x[moved].flatten(1, 2)  # slices and channels of a case share its grid
        grown = F.grid_sample(flat, at[moved].to(x), mode="bicubic", padding_mode="border", align_corners=False)
        low, high = flat.amin((2, 3), keepdim=True), flat.amax((2, 3), keepdim=True)
        out[moved] = torch.clamp(grown, low, high).view(-1, s, c, h, w)
    return out


def _coordinates(h: int, w: int) -> torch.Tensor:
    """Centres of the pixels (H, W, 2) as x, y from −1 to 1 between the picture's edges."""
    y = (torch.arange(h) + 0.5) * (2.0 / h) - 1.0
    x = (torch.arange(w) + 0.5) * (2.0 / w) - 1.0
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def _affine(
    n: int, section: Augment, generator: torch.Generator, aspect: float, mirror: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    angle = section.rotate * math.pi / 180.0 * uniform(n, generator)
    zoom = 1.0 + section.scale * uniform(n, generator)
    side = torch.where(mirror, -1.0, 1.0)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    top = torch.stack([cos * side, -sin * aspect], 1)
    bottom = torch.stack([sin * side / aspect, cos], 1)
    shift = 2.0 * section.shift * torch.stack([uniform(n, generator), uniform(n, generator)], 1)
    return torch.stack([top, bottom], 1), shift


def _stretched(n: int, length: int, most: float, generator: torch.Generator) -> torch.Tensor:
    """Places (n, length) from −1 to 1 after the cells of an even grid were made wider and narrower; the ends stay."""
    cells = 1.0 + most * uniform(n * _GRID_CELLS, generator).view(n, _GRID_CELLS)
    nodes = torch.cat([torch.zeros(n, 1), torch.cumsum(cells, 1) / cells.sum(1, keepdim=True)], 1)
    place = (torch.arange(length) + 0.5) * (_GRID_CELLS / length)
    cell = place.long().clamp(max=_GRID_CELLS - 1)
    left, right = nodes[:, cell], nodes[:, cell + 1]
    return (left + (right - left) * (place - cell)) * 2.0 - 1.0


def _elastic(n: int, h: int, w: int, most: float, generator: torch.Generator) -> torch.Tensor:
    """A smooth random displacement (n, H, W, 2) of at most about `most` of a side (cf. Simard et al., ICDAR 2003)."""
    points = torch.rand(n, 2, _ELASTIC_POINTS, _ELASTIC_POINTS, generator=generator) * 2.0 - 1.0
    smooth = F.interpolate(points, (h, w), mode="bicubic", align_corners=True)
    return 2.0 * most * smooth.permute(0, 2, 3, 1)
