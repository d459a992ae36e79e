"""Do the maps depend on what the network has learnt: its weights drawn anew, from the heads down, and the maps again.

Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim, Sanity Checks for Saliency Maps, NeurIPS 2018, section 3.1, cascading.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import nn

from insula.core.errors import UsageError
from insula.core.types import Heatmap
from insula.explain.rebuild import Given, Maps, given, rebuilt
from insula.explain.still import still
from insula.infer.explainer import Asked, as_heatmaps
from insula.model.ensemble import Ensemble
from insula.model.network import Network
from insula.train.of_bundle import members
from insula.train.stages import blocks

Found = dict[str, dict[str, Heatmap]]
ALL: Final = "all weights"
_SLICES: Final = 64  # at a time, of a recipe whose slices are inputs of their own
State = dict[str, torch.Tensor]


def stages(network: Network) -> list[tuple[str, list[str]]]:
    """The network's weights in the order in which they are drawn anew: a name and the parameters of each part.

    First what stands after the encoders, the heads first, then the encoders' blocks from the output to the input, those
    of all roles together.
    """
    names = [name for name, _ in network.named_parameters()]
    found = [
        (said, [name for name in names if name.startswith(f"{part}.")])
        for said, part in (("heads", "heads"), ("fusion", "fusion"), ("pooling", "pools"))
    ]
    cut = {role: blocks(network.encoders[role]) for role in network.roles}
    count = max(len(parts) for parts in cut.values())
    for back in range(1, count + 1):
        own = [f"encoders.{role}.{n}" for role, parts in cut.items() if back <= len(parts) for n in parts[-back]]
        found.append((f"encoder, block {count + 1 - back} of {count}", own))
    return [(said, own) for said, own in found if own]


def redrawn(network: Network, seed: int) -> State:
    """Every weight of the network as it would be before training, and the running means and variances of its norms.

    Each module draws by its own rule (`reset_parameters`); weights of a module without one come from a normal
    distribution with their own mean and standard deviation. The network itself is not changed.
    """
    made = copy.deepcopy(network)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for module in made.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
            elif isinstance(module, nn.modules.batchnorm._NormBase):
                module.reset_running_stats()
            else:
                for parameter in module.parameters(recurse=False):
                    spread = float(parameter.std()) if parameter.numel() > 1 else 0.0
                    parameter.normal_(float(parameter.mean()), spread)
    return {name: value.clone() for name, value in made.state_dict().items()}


class Randomised:
    """A bundle's network beside others of the same build whose weights were drawn anew, asked for the same maps.

    Its own network stays as it is. draws: how many networks are drawn whole; the first of them is also the end of the
    cascade, which can be left out. Raises UsageError for a method that does not look into the network.
    """

    def __init__(self, method: str, draws: int = 3, seed: int = 0, cascade: bool = True) -> None:
        if method not in _METHODS:
            raise UsageError(
                f"Weights can be drawn anew for {', '.join(_METHODS)}, and not for {method}, which runs the bundle's "
                "graph; give another --method, or --no-sanity."
            )
        self._method, self._draws, self._seed, self._cascade = _METHODS[method], draws, seed, cascade
        self._of = ""

    def maps(self, asked: Asked) -> Found:
        """By name (`heads`, …, the last block, `all weights 1` and so on) the heat maps of one case, by scan.

        Raises BundleError where the bundle's weights do not give its graph's answer.
        """
        feed, bundle = asked.feed, asked.predictor.bundle
        if bundle.id != self._of:
            self._prepare(rebuilt(asked.predictor, feed, asked.predictor.engine.run(feed).logits))
            self._of = bundle.id
        inputs = given(feed, bundle.recipe)
        found: Found = {}
        for net, state in zip(self._nets, self._states, strict=True):
            net.load_state_dict(state)
        for number, (name, _) in enumerate(self._stages if self._cascade else ()):
            for net, drawn, keys in zip(self._nets, self._drawn[0], self._keys[number], strict=True):
                current = net.state_dict()
                for key in keys:
                    current[key].copy_(drawn[key])
            found[name] = self._ask(asked, inputs)
        for draw, states in enumerate(self._drawn):
            for net, state in zip(self._nets, states, strict=True):
                net.load_state_dict(state)
            found[f"{ALL} {draw + 1}"] = self._ask(asked, inputs)
        return found

    def _prepare(self, network: Network | Ensemble) -> None:
        self._changed = copy.deepcopy(network).eval()
        self._nets = members(self._changed)
        self._states = [copy.deepcopy(net.state_dict()) for net in self._nets]
        several = len(self._nets)
        self._drawn = [
            [redrawn(net, self._seed + several * d + i) for i, net in enumerate(self._nets)] for d in range(self._draws)
        ]
        self._stages = stages(self._nets[0])
        self._keys = [[_with_statistics(net, own) for net in self._nets] for _, own in self._stages]

    def _ask(self, asked: Asked, inputs: Given) -> dict[str, Heatmap]:
        count = len(next(iter(inputs.x.values())))
        size = max(1, _SLICES // max(t.shape[1] for t in inputs.x.values()))
        parts = [
            self._method(self._changed, inputs.rows(start, start + size), asked.column, asked.steps)
            for start in range(0, count, size)
        ]
        maps = {role: torch.cat([part[role] for part in parts]) for role in inputs.x}
        level = {role: torch.ones(t.shape[:2]).numpy() for role, t in inputs.x.items()}
        return as_heatmaps(asked, {role: m.numpy() for role, m in maps.items()}, level)


def _with_statistics(network: Network, parameters: list[str]) -> list[str]:
    """The parameters with the running statistics that belong to them; those of a fusion stand without parameters."""
    homes = {name.rpartition(".")[0] for name in parameters}
    first = parameters[0].partition(".")[0]
    kept = ("running_mean", "running_var", "num_batches_tracked")
    found = list(parameters)
    for name, _ in network.named_buffers():
        home, _, last = name.rpartition(".")
        if last in kept and (home in homes or (first == "fusion" and home.startswith("fusion."))):
            found.append(name)
    return found


def class_maps(network: Network | Ensemble, inputs: Given, column: int) -> Maps:
    """The class map of one column by role (N, S, h, w), as the bundle's graph gives it."""
    each = []
    for member in members(network):
        with still(member), torch.no_grad():
            each.append(member.explain(*inputs).maps)
    return {role: torch.stack([maps[role][:, column] for maps in each]).mean(0) for role in inputs.x}


def _grad_cam_pp(network: Network | Ensemble, inputs: Given, column: int, steps: int) -> Maps:
    from insula.explain.grad_cam_pp import grad_cam_pp

    return {role: maps[:, column] for role, maps in grad_cam_pp(network, inputs).items()}


def _integrated(network: Network | Ensemble, inputs: Given, column: int, steps: int) -> Maps:
    from insula.explain.integrated import integrated_gradients

    return integrated_gradients(network, inputs, column, steps)[0]


def _guided(network: Network | Ensemble, inputs: Given, column: int, steps: int) -> Maps:
    from insula.explain.guided import guided_backprop

    return guided_backprop(network, inputs, column)


def _rollout(network: Network | Ensemble, inputs: Given, column: int, steps: int) -> Maps:
    from insula.explain.rollout import attention_rollout

    return attention_rollout(network, inputs)[0]


_METHODS: Final[Mapping[str, Callable[[Network | Ensemble, Given, int, int], Maps]]] = {
    "class_map": lambda network, inputs, column, steps: class_maps(network, inputs, column),
    "grad_cam_pp": _grad_cam_pp,
    "integrated_gradients": _integrated,
    "guided_backprop": _guided,
    "attention_rollout": _rollout,
}
