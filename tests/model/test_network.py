from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from insula.core import recipe as recipes
from insula.core.errors import RecipeError, TrainingError
from insula.model.encoders import build_encoder, weights_line
from insula.model.network import Network
from insula.model.simple_cnn import SimpleCNN

pytestmark = pytest.mark.train


def network(pool: str = "attention", encoder: str = "simple_cnn", size: int = 32) -> Network:
    torch.manual_seed(3)
    settings = (f"model.pool={pool}", f"model.encoder={encoder}", "model.pretrained=false")
    return Network(recipes.load("haemorrhage-ct", settings), 3, (size, size)).eval()


@pytest.mark.parametrize("pool", ["mean", "max", "attention"])
@pytest.mark.parametrize("encoder", ["simple_cnn", "resnet18"])
def test_class_maps_equal_gradient_grad_cam(pool: str, encoder: str) -> None:
    net = network(pool, encoder, 64)
    x = torch.rand(2, 4, 3, 64, 64)
    mask = torch.ones(2, 4)
    mask[1, 3] = 0.0
    out = net.explain(x, mask)
    features = net.features(x.flatten(0, 1)).detach().requires_grad_(True)
    f = torch.unflatten(features.mean((2, 3)), 0, (2, 4))
    logits = net.head(net.pool(f, mask))
    torch.testing.assert_close(logits, out.logits, atol=1e-5, rtol=0)
    for k in range(logits.shape[1]):
        (grad,) = torch.autograd.grad(logits[:, k].sum(), features, retain_graph=True)
        cam = torch.relu((grad.mean((2, 3), keepdim=True) * features).sum(1))
        difference = (torch.unflatten(cam, 0, (2, 4)) - out.maps[:, k]).abs()
        assert float(difference.detach().max()) < 1e-4


def test_training_and_explaining_give_the_same_logits_and_padding_is_never_seen() -> None:
    net = network()
    x = torch.rand(2, 4, 3, 32, 32)
    mask = torch.tensor([[1.0, 1, 1, 1], [1, 1, 0, 0]])
    changed = x.clone()
    changed[1, 2:] = 50.0
    with torch.no_grad():
        torch.testing.assert_close(net(x, mask), net.explain(x, mask).logits, atol=1e-5, rtol=0)
        torch.testing.assert_close(net(changed, mask), net(x, mask))


def test_explaining_changes_no_state() -> None:
    net = network("attention", "resnet18")
    before = {k: v.clone() for k, v in net.state_dict().items()}
    net.explain(torch.rand(1, 2, 3, 32, 32), torch.ones(1, 2))
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_simple_cnn_has_the_documented_size() -> None:
    encoder = SimpleCNN(3)
    assert sum(p.numel() for p in encoder.parameters()) == 32_144
    assert "32,144" in (SimpleCNN.__doc__ or "")
    assert encoder(torch.rand(1, 3, 128, 128)).shape == (1, 128, 32, 32)


@pytest.mark.parametrize(
    "name", ["efficientnet_b0", "densenet121", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"]
)
def test_timm_encoders_of_each_layout_give_a_feature_map(name: str) -> None:
    encoder = build_encoder(name, 1, False, (224, 224)).eval()
    with torch.no_grad():
        out = encoder(torch.rand(1, 1, 224, 224))
    assert out.shape[:2] == (1, encoder.num_features)
    assert out.shape[2] == out.shape[3] > 1


def test_weights_come_from_a_local_file(tmp_path: Path) -> None:
    import timm

    torch.manual_seed(0)
    source = timm.create_model("resnet18", pretrained=False, in_chans=3)
    path = tmp_path / "resnet18.safetensors"
    save_file(source.state_dict(), path)
    encoder = build_encoder("resnet18", 3, str(path), (64, 64))
    ours = dict(encoder.named_parameters())["backbone.layer1.0.conv1.weight"]
    assert torch.equal(ours, source.state_dict()["layer1.0.conv1.weight"])
    assert "resnet18.safetensors" in weights_line("resnet18", str(path))
    assert str(tmp_path) not in weights_line("resnet18", str(path))


def test_what_cannot_be_had_is_said() -> None:
    with pytest.raises(TrainingError, match="no encoder 'resnet19'"):
        build_encoder("resnet19", 3, False, (64, 64))
    with pytest.raises(TrainingError, match="is no file"):
        build_encoder("resnet18", 3, "nowhere.safetensors", (64, 64))
    with pytest.raises(TrainingError, match="pretrained=false"):
        build_encoder("simple_cnn", 3, True, (64, 64))
    with pytest.raises(RecipeError, match="2 values and the prepared scan 3"):
        Network(
            recipes.load("haemorrhage-ct", ("model.pretrained=false", "model.normalise={mean: [0, 0], std: [1, 1]}")),
            3,
            (32, 32),
        )


def test_published_weights_that_cannot_be_fetched_are_an_error_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("no route to the hub")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(TrainingError, match=r"no route to the hub.*model\.pretrained=FILE"):
        build_encoder("resnet18", 3, True, (64, 64))
