"""Weights from a file: nothing is executed, and what was taken is said."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import adapt_input_conv
from torch import nn

from insula.core.errors import TrainingError
from insula.model.encoders import build_encoder, weights_line
from insula.model.weights import Loaded, fitted, place, read

pytestmark = pytest.mark.train
State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def resnet() -> State:
    """A whole timm classifier's weights, with running statistics that are not those of the start."""
    torch.manual_seed(0)
    state: State = timm.create_model("test_resnet", pretrained=False, num_classes=10).state_dict()
    return {k: torch.rand_like(v) if v.is_floating_point() else v for k, v in state.items()}


def built(path: Path | str, channels: int = 3, name: str = "test_resnet", size: int = 64) -> tuple[State, Loaded]:
    encoder = build_encoder(name, channels, str(path), (size, size))
    assert isinstance(encoder.loaded, Loaded)
    inner = encoder.backbone if hasattr(encoder, "backbone") else encoder
    return inner.state_dict(), encoder.loaded  # type: ignore[union-attr]


WRAPPINGS: dict[str, Callable[[State], Any]] = {
    "bare": lambda s: s,
    "state_dict": lambda s: {"epoch": 3, "state_dict": s, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
    "module.": lambda s: {f"module.{k}": v for k, v in s.items()},
    "module.backbone. in model": lambda s: {"model": {f"module.backbone.{k}": v for k, v in s.items()}},
    "encoder.": lambda s: {f"encoder.{k}": v for k, v in s.items()},
    "model.encoder.": lambda s: {f"model.encoder.{k}": v for k, v in s.items()},
    "our run": lambda s: {f"encoder.backbone.{k}": v for k, v in s.items()} | {"head.weight": torch.ones(2, 4)},
    "our checkpoint": lambda s: {
        "state_dict": {f"network.encoders.ct.backbone.{k}": v for k, v in s.items()},
        "callbacks": {"EarlyStopping": {"wait_count": 0}},
    },
    "pretraining": lambda s: {f"encoder.backbone.{k}": v for k, v in s.items()} | {"projector.0.weight": torch.eye(3)},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_checkpoint_is_taken_under_whatever_prefix(wrapping: str, resnet: State, tmp_path: Path) -> None:
    torch.save(WRAPPINGS[wrapping](resnet), tmp_path / "start.pt")
    ours, loaded = built(tmp_path / "start.pt")
    assert (loaded.taken, loaded.missing) == (loaded.wanted, ())
    assert all(torch.equal(v, resnet[k]) for k, v in ours.items() if not k.endswith("tracked"))


def test_safetensors_are_known_by_their_content(resnet: State, tmp_path: Path) -> None:
    save_file(resnet, tmp_path / "start.bin")
    ours, loaded = built(tmp_path / "start.bin")
    assert torch.equal(ours["layer1.0.conv1.weight"], resnet["layer1.0.conv1.weight"])
    assert loaded.unused == 2  # the classifier
    said = weights_line("test_resnet", str(tmp_path / "start.bin"), loaded)
    assert f"; {loaded.taken} of its {loaded.wanted} tensors were taken; 2 tensors of the source have no place" in said


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_the_first_convolution_is_fitted_as_timm_does(channels: int, resnet: State, tmp_path: Path) -> None:
    save_file(resnet, tmp_path / "start.safetensors")
    ours, loaded = built(tmp_path / "start.safetensors", channels)
    expected = adapt_input_conv(channels, resnet["conv1.0.weight"].clone())
    torch.testing.assert_close(ours["conv1.0.weight"], expected)
    assert loaded.adapted == (3, channels)
    assert f"from 3 to {channels} channels" in loaded.line


@pytest.mark.parametrize(("before", "after"), [(3, 1), (1, 4), (3, 6), (2, 1), (4, 8)])
def test_alike_channels_give_the_old_response(before: int, after: int) -> None:
    for dimensions in (2, 3):
        weight = torch.rand(4, before, *[3] * dimensions)
        picture = torch.rand(1, 1, *[6] * dimensions)
        run = nn.functional.conv2d if dimensions == 2 else nn.functional.conv3d
        old = run(picture.expand(-1, before, *picture.shape[2:]), weight)
        new = run(picture.expand(-1, after, *picture.shape[2:]), fitted(weight, after))
        torch.testing.assert_close(old, new)


def test_a_grid_of_another_size_is_fitted(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = timm.create_model("test_vit", pretrained=False, num_classes=0, img_size=(160, 160)).state_dict()
    save_file(source, tmp_path / "vit.safetensors")
    ours, loaded = built(tmp_path / "vit.safetensors", name="test_vit", size=96)
    assert loaded.missing == ()
    assert ours["pos_embed"].shape != source["pos_embed"].shape
    torch.testing.assert_close(ours["pos_embed"][:, 0], source["pos_embed"][:, 0])  # the class token has no place


def test_our_own_swin_is_not_taken_for_a_foreign_one(tmp_path: Path) -> None:
    name = "swin_tiny_patch4_window7_224"
    torch.manual_seed(0)
    first = build_encoder(name, 3, False, (64, 64))
    save_file({f"encoder.{k}": v for k, v in first.state_dict().items()}, tmp_path / "weights.safetensors")
    ours, loaded = built(tmp_path / "weights.safetensors", name=name)
    assert loaded.missing == ()
    theirs = first.state_dict()
    assert all(torch.equal(v, theirs[f"backbone.{k}"]) for k, v in ours.items())


@pytest.mark.parametrize("name", ["simple_cnn", "mc3_18"])
def test_encoders_of_the_table_load_files_too(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = build_encoder(name, 3, False, (32, 32)).state_dict()
    save_file({f"encoder.{k}": v for k, v in source.items()}, tmp_path / "weights.safetensors")
    ours, loaded = built(tmp_path / "weights.safetensors", 1, name, 32)
    last = next(k for k in reversed(list(source)) if k.endswith("weight"))
    assert torch.equal(ours[last], source[last])
    assert (loaded.missing, loaded.adapted) == ((), (3, 1))


def test_what_is_missing_starts_at_random_and_is_said(resnet: State, tmp_path: Path) -> None:
    part = {k: v for k, v in resnet.items() if not k.startswith("layer4.0.conv2")}
    save_file(part, tmp_path / "part.safetensors")
    _, loaded = built(tmp_path / "part.safetensors")
    assert loaded.missing == ("layer4.0.conv2.weight",)
    assert "the rest (layer4.0.conv2.weight) starts at random" in loaded.line


def test_weights_of_another_encoder_are_refused(resnet: State, tmp_path: Path) -> None:
    save_file(resnet, tmp_path / "start.safetensors")
    with pytest.raises(TrainingError, match=r"holds 0 of the \d+ tensors .* fewer than half.*names begin with .*conv1"):
        built(tmp_path / "start.safetensors", name="resnet18")
    few = {k: v for k, v in resnet.items() if k.startswith("layer1") and not k.endswith("tracked")}
    save_file(few, tmp_path / "few.safetensors")
    with pytest.raises(TrainingError, match=rf"holds {len(few)} of the"):
        built(tmp_path / "few.safetensors")


def test_two_encoders_in_one_file_are_told_apart_by_a_prefix(resnet: State, tmp_path: Path) -> None:
    both = {f"encoders.ct.{k}": v for k, v in resnet.items()} | {f"encoders.mr.{k}": v + 1 for k, v in resnet.items()}
    path = tmp_path / "two.safetensors"
    save_file(both, path)
    with pytest.raises(TrainingError, match=r"2 times, under encoders\.ct, encoders\.mr.*safetensors#encoders\.ct'"):
        built(path)
    ours, loaded = built(f"{path}#encoders.mr")
    assert torch.equal(ours["conv1.0.weight"], resnet["conv1.0.weight"] + 1)
    assert loaded.unused == len([k for k in both if not k.endswith("tracked")]) - loaded.taken
    with pytest.raises(TrainingError, match=r"holds 0 of .* under the prefix 'encoders\.pet'"):
        built(f"{path}#encoders.pet")


def test_values_that_are_not_finite_are_refused(resnet: State, tmp_path: Path) -> None:
    wild = resnet | {"layer2.0.conv1.weight": torch.full_like(resnet["layer2.0.conv1.weight"], float("nan"))}
    save_file(wild, tmp_path / "wild.safetensors")
    with pytest.raises(TrainingError, match=r"not finite in 'layer2\.0\.conv1\.weight'"):
        built(tmp_path / "wild.safetensors")


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("way", ["zip", "old zip", "bare pickle"])
def test_a_pickle_that_runs_code_is_refused_and_runs_nothing(way: str, resnet: State, tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "bomb.pt"
    content = {"state_dict": resnet, "extra": Bomb(mark)}
    if way == "bare pickle":
        path.write_bytes(pickle.dumps(Bomb(mark)))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=way == "zip")
    with pytest.raises(TrainingError, match=r"'bomb\.pt' cannot be read as weights .*nothing but tensors.*state_dict"):
        built(path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"\x08\0\0\0\0\0\0\0{rubbish", b"\xff" * 64, b"text"])
def test_a_damaged_file_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.pt").write_bytes(content)
    with pytest.raises(TrainingError, match=r"'bad\.pt' cannot be read as weights"):
        read(tmp_path / "bad.pt")


def test_the_place_of_a_file_with_a_hash_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "a#b.pt").write_bytes(b"")
    assert place(str(tmp_path / "a#b.pt")) == (tmp_path / "a#b.pt", None)
    assert place(str(tmp_path / "a#b.pt#x.y")) == (tmp_path / "a#b.pt", "x.y")
    with pytest.raises(TrainingError, match="is no file"):
        place(str(tmp_path / "a"))
