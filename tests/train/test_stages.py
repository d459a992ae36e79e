import pytest
import torch
from torch import nn

from insula.core.errors import TrainingError
from insula.core.recipe import Train
from insula.model.encoders import build_encoder
from insula.train.optimise import make_optimizer
from insula.train.stages import Stage, apply, blocks, plan, stage_at

pytestmark = pytest.mark.train

AUDIT = {
    "lr": 1e-3,
    "epochs": 99,
    "stages": [
        {"train": "head", "epochs": 2},
        {"train": "last_blocks", "epochs": 3, "lr": 1e-4},
        {"train": "last_blocks", "epochs": 4, "lr": 1e-5, "blocks": 3},
    ],
    "hard_negatives": {"rounds": 2, "share": 0.5, "epochs": 2},
}


class Net(nn.Module):
    def __init__(self, name: str = "resnet18") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = build_encoder(name, 1, False, (32, 32))
        self.head = nn.Linear(int(self.encoder.num_features), 2)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.encoder(x).mean((2, 3)))
        return out


def test_the_plan_is_the_stages_and_then_the_hard_rounds() -> None:
    stages = plan(Train.model_validate(AUDIT))
    assert [(s.train, s.start, s.stop, s.lr, s.blocks, s.hard_round) for s in stages] == [
        ("head", 0, 2, 1e-3, 1, 0),
        ("last_blocks", 2, 5, 1e-4, 1, 0),
        ("last_blocks", 5, 9, 1e-5, 3, 0),
        ("last_blocks", 9, 11, 1e-5, 3, 1),
        ("last_blocks", 11, 13, 1e-5, 3, 2),
    ]
    assert [stage_at(e, stages).start for e in (0, 1, 2, 4, 5, 12, 13, 500)] == [0, 0, 2, 2, 5, 11, 11, 11]
    assert stages[4].line == (
        "From epoch 12 on hard-negative round 2: the head and the encoder's last 3 block(s) train, at a learning rate "
        "of 1e-05."
    )


def test_without_stages_all_trains_for_the_recipes_epochs() -> None:
    assert plan(Train(epochs=7, lr=0.1)) == (Stage("all", 0, 7, 0.1),)


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("simple_cnn", 4, "layers.0", ("layers.11", "layers.12")),
        ("resnet18", 5, "backbone.conv1", ("backbone.layer4",)),
        ("efficientnet_b0", 8, "backbone.conv_stem", ("backbone.blocks.6", "backbone.conv_head", "backbone.bn2")),
        ("densenet121", 5, "backbone.features.conv0", ("backbone.features.denseblock4", "backbone.features.norm5")),
        ("convnext_atto", 5, "backbone.stem", ("backbone.stages.3", "backbone.head.norm")),
        ("vit_tiny_patch16_224", 13, "backbone.cls_token", ("backbone.blocks.11", "backbone.norm")),
        ("mobilenetv3_small_050", 7, "backbone.conv_stem", ("backbone.blocks.5", "backbone.conv_head")),
    ],
)
def test_encoders_are_cut_at_their_own_stages(name: str, count: int, first: str, last: tuple[str, ...]) -> None:
    encoder = build_encoder(name, 3, False, (224, 224))
    found = blocks(encoder)
    assert len(found) == count
    assert found[0][0].startswith(first)
    assert {prefix for n in found[-1] for prefix in last if n.startswith(f"{prefix}.")} == set(last)
    assert all(n.startswith(last) for n in found[-1])
    assert sorted(n for block in found for n in block) == sorted(n for n, _ in encoder.named_parameters())


def test_a_network_of_volumes_is_cut_at_its_layers() -> None:
    found = blocks(build_encoder("mc3_18", 1, False, (32, 32)))
    assert [block[0].split(".")[0] for block in found] == ["stem", "layer1", "layer2", "layer3", "layer4"]


def one_epoch(net: Net, stage: Stage) -> set[str]:
    """Parameters and buffers that changed in three steps of this stage."""
    apply(net, stage)
    optimizer = make_optimizer(net, Train(lr=0.01))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    for _ in range(3):
        optimizer.zero_grad()
        net(torch.randn(4, 1, 32, 32)).square().sum().backward()
        optimizer.step()
    return {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}


def test_the_head_stage_leaves_the_encoder_bitwise_alone() -> None:
    net = Net()
    assert one_epoch(net, Stage("head", 0, 1, 1e-3)) == {"head.weight", "head.bias"}
    assert all(p.grad is None for p in net.encoder.parameters())


@pytest.mark.parametrize("count", [1, 2])
def test_the_last_blocks_train_and_the_statistics_before_them_stay(count: int) -> None:
    net = Net()
    changed = one_epoch(net, Stage("last_blocks", 0, 1, 1e-3, count))
    free = tuple(f"encoder.backbone.layer{k}" for k in range(5 - count, 5))
    assert changed == {k for k in net.state_dict() if k.startswith((*free, "head"))}
    assert any("running_mean" in k for k in changed)
    assert net.training
    assert not net.encoder.get_submodule("backbone.layer1.0.bn1").training


def test_the_next_stage_thaws_what_the_one_before_froze() -> None:
    net = Net("simple_cnn")
    one_epoch(net, Stage("head", 0, 1, 1e-3))
    assert one_epoch(net, Stage("all", 1, 1, 1e-3)) == set(net.state_dict())
    assert all(m.training for m in net.modules())


def test_every_role_has_its_own_frozen_encoder() -> None:
    net = nn.Module()
    net.encoders = nn.ModuleDict({r: build_encoder("simple_cnn", 1, False, (8, 8)) for r in ("ct", "mr")})
    net.fusion = nn.Linear(2, 2)
    apply(net, Stage("last_blocks", 0, 1, 1e-3, 2))
    free = {n for n, p in net.named_parameters() if p.requires_grad}
    assert free == {"fusion.weight", "fusion.bias"} | {
        f"encoders.{r}.layers.{k}.{p}" for r in ("ct", "mr") for k, p in
        [(8, "weight"), (9, "weight"), (9, "bias"), (11, "weight"), (12, "weight"), (12, "bias")]
    }  # fmt: skip


def test_more_blocks_than_there_are_is_an_error_and_so_is_a_network_without_encoder() -> None:
    with pytest.raises(TrainingError, match="last 9 blocks and the encoder has 4"):
        apply(Net("simple_cnn"), Stage("last_blocks", 0, 1, 1e-3, 9))
    with pytest.raises(TrainingError, match="no encoder to freeze"):
        apply(nn.Linear(1, 1), Stage("head", 0, 1, 1e-3))
