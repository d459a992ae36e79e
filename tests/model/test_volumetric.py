"""Volumes keep their depth, and padding is not there for the slices that are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from insula.core.errors import TrainingError
from insula.model.encoders import build_encoder, weights_line
from insula.model.volumetric import _MAKERS, VolumetricEncoder

pytestmark = pytest.mark.train
NAMES = sorted(_MAKERS)


def encoder(name: str, channels: int = 2) -> VolumetricEncoder:
    torch.manual_seed(1)
    built = build_encoder(name, channels, False, (32, 32))
    assert isinstance(built, VolumetricEncoder)
    for module in built.modules():  # statistics and offsets that are not those of the start
        if isinstance(module, nn.BatchNorm3d):
            for value in (module.running_mean, module.bias):
                assert value is not None
                nn.init.uniform_(value, -0.5, 0.5)
    return built


def padded(x: torch.Tensor, depth: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The volume with rubbish behind it, and the mask that says so."""
    rubbish = torch.full((len(x), x.shape[1], depth - x.shape[2], *x.shape[3:]), 50.0, dtype=x.dtype)
    mask = torch.zeros(len(x), depth)
    mask[:, : x.shape[2]] = 1.0
    return torch.cat([x, rubbish], 2), mask


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_every_slice_keeps_its_own_cells(name: str, depth: int) -> None:
    with torch.no_grad():
        out = encoder(name).eval()(torch.rand(2, 2, depth, 32, 48), torch.ones(2, depth))
    assert out.shape == (2, 512, depth, 2, 3)


@pytest.mark.parametrize("name", NAMES)
def test_a_case_alone_equals_the_case_padded_in_a_batch(name: str) -> None:
    net = encoder(name).eval()
    short, long = torch.rand(1, 2, 3, 16, 16), torch.rand(1, 2, 6, 16, 16)
    filled, mask = padded(short, 6)
    with torch.no_grad():
        alone = net(short, torch.ones(1, 3))
        both = net(torch.cat([filled, long]), torch.cat([mask, torch.ones(1, 6)]))
        torch.testing.assert_close(both[:1, :, :3], alone, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(both[1:], net(long, torch.ones(1, 6)), atol=1e-5, rtol=1e-4)
        assert float(both[0, :, 3:].abs().max()) == 0.0
        assert float(alone.abs().max()) > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_in_training_batch_norm_sees_the_real_slices_alone(name: str) -> None:
    one, other = encoder(name).double().train(), encoder(name).double().train()
    x = torch.rand(2, 2, 3, 16, 16, dtype=torch.float64)
    filled, mask = padded(x, 5)
    filled.requires_grad_(True)
    out = other(filled, mask)
    torch.testing.assert_close(out[:, :, :3], one(x, torch.ones(2, 3)), atol=1e-9, rtol=1e-6)
    for (key, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=1e-9, msg=key)
    out.square().sum().backward()
    assert filled.grad is not None
    assert float(filled.grad[:, :, 3:].abs().max()) == 0.0
    assert float(filled.grad[:, :, :3].abs().max()) > 0.0


def test_a_batch_without_any_volume_gives_zeros_and_counts_nothing() -> None:
    net = encoder("mc3_18").train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    out = net(torch.rand(2, 2, 3, 16, 16), torch.zeros(2, 3))
    assert float(out.detach().abs().max()) == 0.0
    out.sum().backward()
    assert all(p.grad is None or float(p.grad.abs().max()) == 0.0 for p in net.parameters())
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_a_slice_is_seen_by_its_neighbours() -> None:
    net = encoder("resnet3d_18").eval()
    x = torch.rand(1, 2, 5, 32, 32)
    other = x.clone()
    other[:, :, 2] = 0.0
    with torch.no_grad():
        moved = (net(x, torch.ones(1, 5)) - net(other, torch.ones(1, 5))).abs().amax((0, 1, 3, 4))
    assert float(moved.min()) > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_it_has_torchvisions_parameters_but_for_the_head(name: str) -> None:
    count = sum(p.numel() for p in encoder(name, 3).parameters())
    assert count + 513 * 400 == _MAKERS[name][1].meta["num_params"]


def test_published_weights_are_torchvisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker, weights = _MAKERS["mc3_18"]
    torch.manual_seed(5)
    state = maker(weights=None).state_dict()
    (tmp_path / "checkpoints").mkdir()
    torch.save(state, tmp_path / "checkpoints" / weights.url.rsplit("/", 1)[1])
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    net = build_encoder("mc3_18", 1, True, (32, 32))
    ours = net.state_dict()
    assert torch.equal(ours["layer4.1.conv2.0.weight"], state["layer4.1.conv2.0.weight"])
    torch.testing.assert_close(ours["stem.0.weight"], state["stem.0.weight"].sum(1, keepdim=True))
    said = weights_line("mc3_18", True, net.loaded)  # type: ignore[arg-type]
    assert "MC3_18_Weights.KINETICS400_V1); 100 of its 100 tensors" in said
    assert "from 3 to 1 channels; 2 tensors of the source have no place in it." in said


def test_weights_that_cannot_be_fetched_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("no route to the server")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", offline)
    with pytest.raises(TrainingError, match=r"'mc3_18'.*no route to the server.*pretrained=FILE.*pretrained=false"):
        build_encoder("mc3_18", 3, True, (32, 32))
