"""Everything that a look into a network must leave as it was."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def fingerprint(network: nn.Module) -> dict[str, object]:
    """Hashes of parameters and buffers; gradients, modes, hooks and attributes of every module; the random state."""
    tensors = [*network.named_parameters(), *network.named_buffers()]
    found: dict[str, object] = {
        name: hashlib.sha256(t.detach().contiguous().numpy().tobytes()).hexdigest() for name, t in tensors
    }
    found |= {
        f"grad of {n}": None if p.grad is None else p.grad.clone().sum().item() for n, p in network.named_parameters()
    }
    found |= {f"asks {n}": p.requires_grad for n, p in network.named_parameters()}
    for name, module in network.named_modules():
        found[f"mode of {name}"] = module.training
        found[f"hooks of {name}"] = [list(getattr(module, kind)) for kind in _HOOKS]
        found[f"attributes of {name}"] = {
            k: v for k, v in vars(module).items() if isinstance(v, bool | int | float | str | type(None))
        }
    found["random"] = hashlib.sha256(torch.get_rng_state().numpy().tobytes()).hexdigest()
    found["gradients on"] = torch.is_grad_enabled()
    return found
