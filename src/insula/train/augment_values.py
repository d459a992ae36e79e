"""Changes of a picture's values: brightness, contrast, gamma, local contrast, noise, holes."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from insula.train.augment_draw import chosen, per_case, strength, uniform

_CELLS = 14  # local means are taken over about a fourteenth of the side
_GAIN = 3.0
_HOLES = 4


def brightness_contrast(
    x: torch.Tensor, real: torch.Tensor, brightness: float, contrast: float, generator: torch.Generator
) -> torch.Tensor:
    """Scale the distance of x (N, S, C, H, W) from the case's mean by 1 ± contrast, and lift it by ± brightness."""
    n = len(x)
    gain = 1.0 + contrast * uniform(n, generator)
    lift = brightness * uniform(n, generator)
    middle = case_mean(x, real).mean(2, keepdim=True)
    return (x - middle) * per_case(gain, x) + middle + per_case(lift, x)


def gamma(x: torch.Tensor, most: float, chance: float, generator: torch.Generator) -> torch.Tensor:
    """Raise values in [0, 1] to a power between 1/(1 + most) and 1 + most; values outside keep their distance."""
    n = len(x)
    level = strength(n, most, chance, generator)
    sign = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    inside = x.clamp(0.0, 1.0)
    return inside ** per_case((1.0 + level) ** sign, x) + (x - inside)


def local_contrast(x: torch.Tensor, most: float, chance: float, generator: torch.Generator) -> torch.Tensor:
    """Local contrast normalisation, mixed in by up to `most` (at most 1): no histogram equalisation.

    Each value's distance from its neighbourhood's mean is scaled so that neighbourhoods come to have the picture's own
    mean local deviation, at most 3 times and at least a third (cf. Jarrett et al., ICCV 2009). Neighbourhoods are cells
    of a fourteenth of the side (of 4 pixels at least), blended bilinearly.
    """
    level = strength(len(x), most, chance, generator)
    which = chosen(level).to(x.device)
    if len(which) == 0:
        return x
    part = x[which]
    flat = part.flatten(0, 1)
    rows, columns = (max(1, min(_CELLS, side // 4)) for side in flat.shape[2:])
    mean, square = (F.adaptive_avg_pool2d(values, (rows, columns)) for values in (flat, flat**2))
    deviation = (square - mean**2).clamp(min=0.0).sqrt()
    usual = deviation.mean((2, 3), keepdim=True)
    gain = (usual / deviation.clamp(min=1e-6)).clamp(1.0 / _GAIN, _GAIN)
    mean, gain = (F.interpolate(m, flat.shape[2:], mode="bilinear", align_corners=False) for m in (mean, gain))
    change = ((flat - mean) * (gain - 1.0)).view_as(part)
    out = x.clone()
    out[which] = part + per_case(level[which.cpu()], x) * change
    return out


def noise(x: torch.Tensor, most: float, generator: torch.Generator) -> torch.Tensor:
    """Add white Gaussian noise, its deviation for each case between 0 and most, in the picture's values."""
    level = most * torch.rand(len(x), generator=generator)
    return x + per_case(level, x) * torch.randn(x.shape, generator=generator).to(x)


def holes(x: torch.Tensor, real: torch.Tensor, most: float, chance: float, generator: torch.Generator) -> torch.Tensor:
    """Set up to four rectangles to the case's mean, together at most `most` of the area (DeVries & Taylor 2017).

    They lie at the same place in all slices of a case.
    """
    n, _, _, h, w = x.shape
    level = strength(n, most, chance, generator)
    draws = torch.rand(n, _HOLES, 3, generator=generator)
    filling = case_mean(x, real)
    out = x.clone()
    for i in chosen(level).tolist():
        for row, column, shape in draws[i].tolist():
            area = float(level[i]) / _HOLES * h * w
            aspect = 2.0 ** (2.0 * shape - 1.0)  # from half to twice as high as wide
            height, width = min(h, int((area * aspect) ** 0.5)), min(w, int((area / aspect) ** 0.5))
            top, left = round(row * (h - height)), round(column * (w - width))
            out[i, :, :, top : top + height, left : left + width] = filling[i]
    return out


def case_mean(x: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """The mean of each case and channel over its real slices: (N, 1, C, 1, 1)."""
    means = x.mean((3, 4), keepdim=True)
    return (means * real).sum(1, keepdim=True) / real.sum(1, keepdim=True).clamp(min=1.0)
