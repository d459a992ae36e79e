"""MixUp and CutMix: a case blended with another one of its batch, and its labels with the other's labels."""

from __future__ import annotations

import numpy as np
import torch

from insula.core.recipe import Train


def mix(
    x: torch.Tensor, mask: torch.Tensor, y: torch.Tensor, section: Train, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Blend x (N, S, C, H, W) and labels y (N, K) within the batch; the third result is each case's own share λ (N,).

    `mixup` (Zhang et al., ICLR 2018): x = λ·x + (1−λ)·x', with λ from Beta(mixup, mixup). `cutmix` (Yun et al., ICCV
    2019): a box of the other case is pasted in, at the same place in all slices; λ is the share of the picture that is
    left. Labels are blended by λ in both. With both keys set, each batch takes one of them, half the time each.

    Cases of different numbers of slices: slice i is blended with the slice at the same relative height of the other
    case, so that no padding is mixed in and the mask (N, S) stays as it is. λ is None when nothing was mixed (both keys
    0, or a batch of one).
    """
    n = len(x)
    kinds = [kind for kind, alpha in ((_mixup, section.mixup), (_cutmix, section.cutmix)) if alpha > 0]
    if not kinds or n < 2:
        return x, y, None
    draw = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
    kind = kinds[int(draw.integers(len(kinds)))]
    alpha = section.mixup if kind is _mixup else section.cutmix
    own = draw.beta(alpha, alpha, n)
    ring = draw.permutation(n)  # each case gets the next one of a random ring: never itself
    other = torch.from_numpy(np.roll(ring, -1)[np.argsort(ring)]).to(x.device)
    blended, own = kind(x, partner(x, mask, other), own, draw)
    share = torch.from_numpy(own).to(x)
    return blended * mask.to(x).view(*mask.shape, 1, 1, 1), share[:, None] * y + (1 - share[:, None]) * y[other], share


def partner(x: torch.Tensor, mask: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Case `other[i]`, its slices chosen so that slice j stands at the relative height of slice j of case i."""
    count = mask.sum(1).long().clamp(min=1)
    place = torch.arange(x.shape[1], device=x.device).float()[None]
    last, others_last = (count - 1).float()[:, None], (count[other] - 1).float()[:, None]
    index = torch.round(place * others_last / last.clamp(min=1.0)).long()
    return x[other[:, None], torch.minimum(index, others_last.long())]


def _mixup(
    x: torch.Tensor, others: torch.Tensor, own: np.ndarray, draw: np.random.Generator
) -> tuple[torch.Tensor, np.ndarray]:
    share = torch.from_numpy(own).to(x).view(-1, 1, 1, 1, 1)
    return share * x + (1.0 - share) * others, own


def _cutmix(
    x: torch.Tensor, others: torch.Tensor, own: np.ndarray, draw: np.random.Generator
) -> tuple[torch.Tensor, np.ndarray]:
    n, _, _, h, w = x.shape
    side = np.sqrt(1.0 - own)
    middle = draw.random((n, 2)) * (h, w)
    top, left = (np.rint(np.clip(middle[:, i] - side * s / 2, 0, s)).astype(int) for i, s in enumerate((h, w)))
    bottom, right = (np.rint(np.clip(middle[:, i] + side * s / 2, 0, s)).astype(int) for i, s in enumerate((h, w)))
    out = x.clone()
    for i in range(n):
        box = np.s_[i, :, :, top[i] : bottom[i], left[i] : right[i]]
        out[box] = others[box]
    return out, 1.0 - (bottom - top) * (right - left) / (h * w)
