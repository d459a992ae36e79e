"""One map (N, E, h, w) out of every layout that timm has."""

from __future__ import annotations

import logging
import logging.handlers
import queue
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from insula.core.errors import TrainingError
from insula.model.encoders import build_encoder, weights_line
from insula.model.timm_encoder import TimmEncoder

pytestmark = pytest.mark.train


class Fake(nn.Module):
    """A backbone that gives the picture itself, one feature a channel, in a layout of choice."""

    num_features = 2

    def __init__(self, layout: str) -> None:
        super().__init__()
        self.layout = layout
        if layout.startswith("NHWC"):
            self.output_fmt = "NHWC"
        self.num_prefix_tokens = 1 if layout == "prefix" else 0

    def forward_features(self, x: torch.Tensor) -> object:
        tokens = x.flatten(2).transpose(1, 2)
        return {
            "NCHW": x,
            "NHWC": x.permute(0, 2, 3, 1),
            "tokens": tokens,
            "prefix": torch.cat([tokens[:, :1] * 0, tokens], 1),
            "one more": torch.cat([tokens[:, :1] * 0, tokens], 1),
            "pair": (x, x),
            "flat": x.mean((2, 3)),
        }[self.layout]


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "tokens", "prefix"])
@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (2, 2), (1, 8), (2, 7)])
def test_every_layout_keeps_each_cell_in_its_place(layout: str, shape: tuple[int, int]) -> None:
    x = torch.rand(3, 2, *shape)
    assert torch.equal(TimmEncoder(Fake(layout))(x), x)


@pytest.mark.parametrize(
    ("layout", "said"),
    [("pair", "gives a tuple"), ("flat", r"shape \(1, 2\)"), ("one more", "25 tokens for a picture of 4×6")],
)
def test_what_is_no_map_is_an_error(layout: str, said: str) -> None:
    with pytest.raises(TrainingError, match=f"Fake gives .*{said.removeprefix('gives ')}.*choose another encoder"):
        TimmEncoder(Fake(layout))(torch.rand(1, 2, 4, 6))


def test_a_patch_of_a_wide_picture_lands_in_its_own_cell() -> None:
    encoder = build_encoder("vit_small_patch16_224", 1, False, (48, 80)).eval()
    encoder.backbone.blocks = nn.Sequential()  # type: ignore[union-attr]
    x = torch.rand(1, 1, 48, 80)
    other = x.clone()
    other[0, 0, 16:32, 64:80] += 1.0
    with torch.no_grad():
        changed = (encoder(other) - encoder(x)).abs().sum(1)[0]
    assert torch.nonzero(changed).tolist() == [[1, 4]]


def hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's cache in a folder, on a machine that cannot reach the hub."""
    import huggingface_hub.constants as settings

    monkeypatch.setattr(settings, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(settings, "HF_HUB_OFFLINE", True)


def test_published_weights_come_through_the_hub_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    hub(tmp_path, monkeypatch)
    torch.manual_seed(0)
    source = timm.create_model("test_resnet", pretrained=False, num_classes=1000)
    revision = "0" * 40
    cached = tmp_path / "models--timm--test_resnet.r160_in1k"
    (cached / "snapshots" / revision).mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(revision)
    save_file(source.state_dict(), cached / "snapshots" / revision / "model.safetensors")
    grey = build_encoder("test_resnet", 1, True, (64, 64))
    theirs = source.state_dict()
    ours = grey.backbone.state_dict()  # type: ignore[union-attr]
    assert torch.equal(ours["layer1.0.conv1.weight"], theirs["layer1.0.conv1.weight"])
    torch.testing.assert_close(ours["conv1.0.weight"], theirs["conv1.0.weight"].sum(1, keepdim=True))
    assert "timm's published weights (test_resnet.r160_in1k" in weights_line("test_resnet", True)


def test_no_hub_is_an_error_with_both_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub(tmp_path, monkeypatch)
    with pytest.raises(TrainingError, match=r"'resnet18' could not be loaded \(.*pretrained=FILE.*pretrained=false"):
        build_encoder("resnet18", 3, True, (64, 64))


def test_a_size_that_does_not_fit_is_not_blamed_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub(tmp_path, monkeypatch)
    with pytest.raises(TrainingError, match="'nest_tiny' cannot be built for pictures of 64×96"):
        build_encoder("nest_tiny", 3, True, (64, 96))


def test_weights_that_cannot_be_had_are_told_once_in_whole_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, seen = logging.getLogger("huggingface_hub.utils._http"), queue.SimpleQueue[logging.LogRecord]()
    monkeypatch.setattr(log.parent, "handlers", [logging.handlers.QueueHandler(seen)])

    def offline(*_: object, **more: object) -> nn.Module:
        if more["pretrained"]:
            log.warning("'[Errno -2] Name or service not known' thrown while requesting HEAD")
            raise OSError(f"no{' answer' * 40}")
        return nn.Identity()

    monkeypatch.setattr("timm.create_model", offline)
    before = logging.getLogger("huggingface_hub").level
    with pytest.raises(TrainingError) as end:
        build_encoder("resnet18", 1, True, (32, 32))
    said = str(end.value)
    assert seen.empty()
    assert "answer answer …); give a local file" in said
    assert logging.getLogger("huggingface_hub").level == before
    log.warning("as before")
    assert not seen.empty()
