"""MixUp and CutMix: a case blended with another one of its batch, and its labels with the other's labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from insula.core.recipe import Train

Tensors = dict[str, torch.Tensor]


class Mixed(NamedTuple):
    """Pictures by role, labels and `known` by target, clinical columns, and each case's own share λ (N,).

    share is None where nothing was mixed, clinical where there are no such columns.
    """

    x: Tensors
    y: Tensors
    known: Tensors
    clinical: torch.Tensor | None
    share: torch.Tensor | None


def mix(
    x: Tensors,
    mask: Mapping[str, torch.Tensor],
    y: Tensors,
    known: Tensors,
    section: Train,
    generator: torch.Generator,
    clinical: torch.Tensor | None = None,
) -> Mixed:
    """Blend pictures x[role] (N, S, C, H, W), labels y[target] (N, K) and clinical columns (N, F) within the batch.

    `mixup` (Zhang et al., ICLR 2018): x = λ·x + (1−λ)·x', with λ from Beta(mixup, mixup). `cutmix` (Yun et al., ICCV
    2019): a box of the other case is pasted in, at the same place in all slices, and at the same place relative to the
    sides in all roles; λ is the share of the picture that is left (its mean over the roles, which differ by less than
    a pixel's row). Labels of all targets and clinical columns are blended by λ in both; a target is known where it is
    for both cases, and a clinical value missing (NaN) where it is for one of them. With both keys set, each batch takes
    one of them, half the time each.

    mask: role → (N, S) with 1 for a real slice, or (N, B, S) for slices in bags. Cases of different numbers of slices:
    slice i is blended with the slice at the same relative height of the other case, so that no padding is mixed in and
    the mask stays as it is. A case stays as it is (λ = 1) where one of the two lacks a role that the other has.
    """
    n = len(next(iter(y.values())))
    kinds = [kind for kind, alpha in ((_mixup, section.mixup), (_cutmix, section.cutmix)) if alpha > 0]
    if not kinds or n < 2:
        return Mixed(x, y, known, clinical, None)
    draw = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
    kind = kinds[int(draw.integers(len(kinds)))]
    alpha = section.mixup if kind is _mixup else section.cutmix
    own = draw.beta(alpha, alpha, n)
    ring = draw.permutation(n)  # each case gets the next one of a random ring: never itself
    other = torch.from_numpy(np.roll(ring, -1)[np.argsort(ring)])
    middle = draw.random((n, 2))
    real = {role: m.amax(1) if m.ndim == 3 else m for role, m in mask.items()}
    own = np.where(_alike(real, other), own, 1.0)
    blended, shares = {}, []
    for role, pictures in x.items():
        there = real[role].to(pictures)
        changed, left = kind(pictures, partner(pictures, there, other.to(pictures.device)), own, middle)
        blended[role] = changed * there.view(*there.shape, 1, 1, 1)
        shares.append(left)
    share = np.mean(shares, axis=0)
    labels, both = {}, {}
    for target, value in y.items():
        to = other.to(value.device)
        labels[target] = _blend(torch.where(known[target][:, None] > 0.5, value, 0.0), to, share)
        part = torch.from_numpy(share).to(value.device)
        both[target] = torch.where(part < 1.0, known[target] * known[target][to], known[target])
    if clinical is not None:
        clinical = _blend(clinical, other.to(clinical.device), share)
    return Mixed(blended, labels, both, clinical, torch.from_numpy(share).float())


def partner(x: torch.Tensor, mask: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Case `other[i]`, its slices chosen so that slice j stands at the relative height of slice j of case i."""
    count = mask.sum(1).long().clamp(min=1)
    place = torch.arange(x.shape[1], device=x.device).float()[None]
    last, others_last = (count - 1).float()[:, None], (count[other] - 1).float()[:, None]
    index = torch.round(place * others_last / last.clamp(min=1.0)).long()
    return x[other[:, None], torch.minimum(index, others_last.long())]


def _alike(real: Mapping[str, torch.Tensor], other: torch.Tensor) -> np.ndarray:
    """Which cases have the same roles as their partner (N,)."""
    there = torch.stack([m.amax(1).cpu() > 0.5 for m in real.values()], 1)
    alike: np.ndarray = (there == there[other]).all(1).numpy()
    return alike


def _blend(value: torch.Tensor, other: torch.Tensor, share: np.ndarray) -> torch.Tensor:
    """Rows (N, K) blended with their partners' rows; a share of 1 takes nothing of the partner, not even its NaN."""
    part = torch.from_numpy(share).to(value)[:, None]
    return torch.where(part < 1.0, part * value + (1.0 - part) * value[other], value)


def _mixup(
    x: torch.Tensor, others: torch.Tensor, own: np.ndarray, middle: np.ndarray
) -> tuple[torch.Tensor, np.ndarray]:
    share = torch.from_numpy(own).to(x).view(-1, 1, 1, 1, 1)
    return share * x + (1.0 - share) * others, own


def _cutmix(
    x: torch.Tensor, others: torch.Tensor, own: np.ndarray, middle: np.ndarray
) -> tuple[torch.Tensor, np.ndarray]:
    n, _, _, h, w = x.shape
    side = np.sqrt(1.0 - own)
    centre = middle * (h, w)
    top, left = (np.rint(np.clip(centre[:, i] - side * s / 2, 0, s)).astype(int) for i, s in enumerate((h, w)))
    bottom, right = (np.rint(np.clip(centre[:, i] + side * s / 2, 0, s)).astype(int) for i, s in enumerate((h, w)))
    out = x.clone()
    for i in range(n):
        box = np.s_[i, :, :, top[i] : bottom[i], left[i] : right[i]]
        out[box] = others[box]
    return out, 1.0 - (bottom - top) * (right - left) / (h * w)
