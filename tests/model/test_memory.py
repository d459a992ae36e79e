"""Recomputing changes memory alone: not the gradients, not the statistics, not the exported graph."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from insula.core.errors import TrainingError
from insula.model.cost import kept_bytes
from insula.model.encoders import build_encoder
from insula.model.memory import channels_last, use_checkpoints

pytestmark = pytest.mark.train


def given(encoder: nn.Module, seed: int) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(seed)
    if encoder.volumetric:
        mask = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
        return torch.rand(2, 1, 3, 16, 16, generator=draw), mask
    return (torch.rand(2, 1, 64, 64, generator=draw),)


def step(encoder: nn.Module, seed: int, forwards: int = 1) -> None:
    encoder.zero_grad()
    torch.stack([encoder(*given(encoder, seed + i)).square().mean() for i in range(forwards)]).sum().backward()  # type: ignore[no-untyped-call]


CASES = ["simple_cnn", "resnet18", "efficientnet_b0", "densenet121", "vit_tiny_patch16_224", "mc3_18"]
QUICK = ("simple_cnn", "resnet18", "mc3_18")  # what is flat and what is a volume


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in CASES]
)
def test_recomputing_gives_the_same_gradients_and_statistics_in_less_memory(name: str) -> None:
    torch.manual_seed(0)
    plain = build_encoder(name, 1, False, (64, 64)).train()
    saving = copy.deepcopy(plain)
    use_checkpoints(saving)
    for encoder in (plain, saving):
        step(encoder, 1)
        step(encoder, 2, forwards=2)  # two forward passes before one backward pass, as in a case taken in parts
        step(encoder, 4)
    for (key, a), b in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-6, rtol=1e-4, msg=key)
    theirs = dict(saving.named_buffers())
    for key, buffer in plain.named_buffers():
        torch.testing.assert_close(buffer, theirs[key], msg=key)
    assert kept_bytes(saving, given(saving, 1)) < 0.7 * kept_bytes(plain, given(plain, 1))


def test_it_can_be_stopped_copied_and_set_twice() -> None:
    encoder = build_encoder("resnet18", 1, False, (64, 64)).train()
    use_checkpoints(encoder)
    use_checkpoints(encoder)
    step(encoder, 1)
    twin = copy.deepcopy(encoder)
    use_checkpoints(encoder, False)
    assert not encoder._forward_hooks
    assert not encoder._forward_pre_hooks
    before = int(encoder.backbone.bn1.num_batches_tracked)  # type: ignore[union-attr, arg-type]
    step(encoder, 2)
    assert int(encoder.backbone.bn1.num_batches_tracked) == before + 1  # type: ignore[union-attr, arg-type]
    step(twin, 2)
    for a, b in zip(encoder.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", ["simple_cnn", "vit_tiny_patch16_224", "mc3_18"])
def test_a_graph_for_export_recomputes_nothing(name: str) -> None:
    encoder = build_encoder(name, 1, False, (64, 64)).eval()
    use_checkpoints(encoder)
    program = torch.export.export(encoder, given(encoder, 1))
    assert not [node.target for node in program.graph.nodes if "checkpoint" in str(node.target)]


def test_an_encoder_without_stages_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"Conv2d cannot recompute its stages.*smaller batch"):
        use_checkpoints(nn.Conv2d(1, 1, 1))
    with pytest.raises(TrainingError, match="DLA cannot recompute its stages"):
        use_checkpoints(build_encoder("dla34", 1, False, (64, 64)))


@pytest.mark.parametrize("name", ["resnet18", "mc3_18"])
def test_channels_last_reorders_flat_and_volumetric_weights_alike(name: str) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(name, 1, False, (64, 64)).eval()
    with torch.no_grad():
        before = encoder(*given(encoder, 1))
        assert channels_last(encoder) is encoder
        torch.testing.assert_close(encoder(*given(encoder, 1)), before, atol=1e-4, rtol=1e-3)
    orders = {4: torch.channels_last, 5: torch.channels_last_3d}
    weights = [p for p in encoder.parameters() if p.ndim in orders]
    assert len(weights) == 20
    assert all(p.is_contiguous(memory_format=orders[p.ndim]) for p in weights)
