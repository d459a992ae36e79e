"""Starting weights from a file: read without unpickling anything else, and fitted to an encoder by name and shape."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from sys import modules
from typing import Any

import torch
from torch import nn

from insula.core.errors import TrainingError

_NOT_COUNTED = "num_batches_tracked"  # batch norm's counter: many files lack it, and nothing depends on it


@dataclass(frozen=True)
class Loaded:
    """What an encoder took from a file.

    taken, wanted: tensors found, and tensors that the encoder has. missing: names of those not found, which start at
    random. unused: tensors of the file that the encoder has no place for (heads, optimisers, other encoders).
    adapted: channels of the file's first convolution and of ours, where they differ.
    """

    prefix: str
    taken: int
    wanted: int
    missing: tuple[str, ...]
    unused: int
    adapted: tuple[int, int] | None = None

    @property
    def line(self) -> str:
        """One clause for the run's first line."""
        parts = [f"{self.taken} of its {self.wanted} tensors were taken"]
        if self.missing:
            shown = ", ".join(self.missing[:3]) + (", …" if len(self.missing) > 3 else "")
            parts.append(f"the rest ({shown}) starts at random")
        if self.adapted:
            parts.append(f"the first convolution was fitted from {self.adapted[0]} to {self.adapted[1]} channels")
        if self.unused:
            parts.append(f"{self.unused} tensors of the source have no place in it")
        return "; ".join(parts)


def place(pretrained: str) -> tuple[Path, str | None]:
    """File and prefix of `FILE` or `FILE#PREFIX`; TrainingError where there is no such file."""
    path = Path(pretrained)
    if path.is_file():
        return path, None
    file, mark, prefix = pretrained.rpartition("#")
    if mark and Path(file).is_file():
        return Path(file), prefix
    raise TrainingError(f"model.pretrained = '{pretrained}' is no file; give an existing file, true or false.")


def read(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file or a PyTorch checkpoint, by dotted name.

    Containers inside a checkpoint (`state_dict`, `model`, …) become the first part of the name. A checkpoint is read
    with `weights_only`: anything that would have to be unpickled as code is a TrainingError, and so is a damaged file.
    """
    try:
        with path.open("rb") as file:
            head = file.read(9)
        if head[8:9] == b"{":  # safetensors: eight bytes of length, then JSON
            from safetensors.torch import load_file

            found: dict[str, torch.Tensor] = load_file(path)
            return found
        return _flat(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a file from outside may raise anything while it is being parsed
        reason = " ".join(str(error).split())[:120]
        raise TrainingError(
            f"'{path.name}' cannot be read as weights ({type(error).__name__}: {reason}); only safetensors and "
            "checkpoints of nothing but tensors are loaded. Save the state_dict alone: "
            "safetensors.torch.save_file(model.state_dict(), FILE)."
        ) from error


def take(
    encoder: nn.Module, tensors: Mapping[str, torch.Tensor], channels: int, source: str, prefix: str | None = None
) -> Loaded:
    """Copy into the encoder every tensor that has its name and shape, under whatever prefix the source keeps them.

    A first convolution of another number of channels is fitted (see `fitted`). TrainingError when fewer than half of
    the encoder's tensors are there, when a value is not finite, or when several prefixes fit alike.
    """
    inner = getattr(encoder, "backbone", None)
    core = inner if isinstance(inner, nn.Module) else encoder
    own = {k: v for k, v in core.state_dict().items() if not k.endswith(_NOT_COUNTED)}
    groups = _groups(tensors, prefix)
    matched = {p: _matching(group, core, own, channels) for p, group in groups.items()}
    best = max((len(m) for m in matched.values()), default=0)
    if 2 * best < len(own) or not own:
        raise TrainingError(
            f"'{source}' holds {best} of the {len(own)} tensors of this encoder by name and shape, fewer than half"
            + (f", under the prefix '{prefix}'" if prefix else "")
            + f"; its names begin with {', '.join(list(tensors)[:2]) or 'nothing'}. Give weights of the same encoder, "
            "or start at random by --set model.pretrained=false."
        )
    winners = [p for p, m in matched.items() if len(m) == best]
    if len(winners) > 1:
        raise TrainingError(
            f"'{source}' holds this encoder {len(winners)} times, under {', '.join(sorted(winners))}; say which by "
            f"--set model.pretrained='{source}#{sorted(winners)[0]}'."
        )
    chosen = matched[winners[0]]
    wild = next((k for k, v in chosen.items() if not bool(torch.isfinite(v).all())), None)
    if wild is not None:
        raise TrainingError(
            f"'{source}' holds values that are not finite in '{wild}'; give the weights of another run."
        )
    first = next(((k, v) for k, v in chosen.items() if v.shape != own[k].shape), None)
    core.load_state_dict({k: v if v.shape == own[k].shape else fitted(v, channels) for k, v in chosen.items()}, False)
    return Loaded(
        prefix=winners[0],
        taken=best,
        wanted=len(own),
        missing=tuple(k for k in own if k not in chosen),
        unused=sum(not k.endswith(_NOT_COUNTED) for k in tensors) - best,
        adapted=(int(first[1].shape[1]), channels) if first else None,
    )


def fitted(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """A first convolution (O, I, …) for another number of input channels (O, C, …).

    One channel gets the sum of the kernels; several get them in turn, times I/C. A picture whose channels are all
    alike then gives the old response, wherever I divides C or C is 1. The rule is timm's `adapt_input_conv`.
    """
    before = weight.shape[1]
    if channels == 1:
        return weight.sum(1, keepdim=True)
    turns = math.ceil(channels / before)
    return weight.repeat(1, turns, *[1] * (weight.ndim - 2))[:, :channels] * (before / channels)


def _flat(content: Any, name: str = "") -> dict[str, torch.Tensor]:
    if isinstance(content, torch.Tensor):
        return {name: content}
    if not isinstance(content, Mapping):
        return {}
    found: dict[str, torch.Tensor] = {}
    for key, value in content.items():
        found |= _flat(value, f"{name}.{key}" if name else str(key))
    return found


def _groups(tensors: Mapping[str, torch.Tensor], only: str | None) -> dict[str, dict[str, torch.Tensor]]:
    """The tensors under each prefix, without it."""
    groups: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        parts = name.split(".")
        for i in range(len(parts)):
            prefix = ".".join(parts[:i])
            if only is None or prefix == only:
                groups.setdefault(prefix, {})[".".join(parts[i:])] = tensor
    return groups


def _matching(
    group: dict[str, torch.Tensor], core: nn.Module, own: Mapping[str, torch.Tensor], channels: int
) -> dict[str, torch.Tensor]:
    """The tensors of a group that fit; timm's own conversion of foreign names and grids is tried where some do not."""
    plain = {k: v for k, v in group.items() if k in own and _fits(v, own[k], channels)}
    convert = getattr(modules[type(core).__module__], "checkpoint_filter_fn", None)
    if len(plain) == len(own) or 2 * len(group) < len(own) or convert is None:
        return plain
    try:
        other = convert(dict(group), core)
    except Exception:  # noqa: BLE001  a conversion written for one origin fails in its own way on another
        return plain
    better = {k: v for k, v in other.items() if k in own and _fits(v, own[k], channels)}
    return better if len(better) > len(plain) else plain


def _fits(theirs: Any, ours: torch.Tensor, channels: int) -> bool:
    """Same shape, or the same but for the channels of a first convolution."""
    if not isinstance(theirs, torch.Tensor):
        return False
    if theirs.shape == ours.shape:
        return True
    if theirs.ndim != ours.ndim or ours.ndim < 4 or ours.shape[1] != channels:
        return False
    return theirs.shape[0] == ours.shape[0] and theirs.shape[2:] == ours.shape[2:]
