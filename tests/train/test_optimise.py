import pytest
import torch
from torch import nn

from insula.core.recipe import Train
from insula.train.optimise import make_optimizer, set_rate

pytestmark = pytest.mark.train


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.parametrize(
    ("settings", "kind"),
    [({}, torch.optim.AdamW), ({"optimizer": "adam"}, torch.optim.Adam), ({"optimizer": "sgd"}, torch.optim.SGD)],
)
def test_weights_alone_decay(settings: dict[str, str], kind: type) -> None:
    net = network()
    optimizer = make_optimizer(net, Train.model_validate({"lr": 0.1, "weight_decay": 0.3, **settings}))
    assert type(optimizer) is kind
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    named = {k: decay[id(p)] for k, p in net.named_parameters()}
    assert named == {
        "0.weight": 0.3, "0.bias": 0.0, "1.weight": 0.0, "1.bias": 0.0, "3.weight": 0.3, "3.bias": 0.0,
    }  # fmt: skip
    before = {k: p.detach().clone() for k, p in net.named_parameters()}
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    moved = {k for k, p in net.named_parameters() if not torch.equal(p, before[k])}
    assert moved == {"0.weight", "3.weight"}


def test_sgd_has_the_recipes_momentum() -> None:
    for momentum, nesterov in ((0.7, True), (0.0, False)):
        section = Train.model_validate({"optimizer": "sgd", "momentum": momentum})
        group = make_optimizer(network(), section).param_groups[0]
        assert (group["momentum"], group["nesterov"]) == (momentum, nesterov)


def test_what_has_no_gradient_stays_and_the_rate_is_for_all() -> None:
    net = network()
    optimizer = make_optimizer(net, Train.model_validate({"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0}))
    set_rate(optimizer, 0.5)
    linear = net.get_parameter("3.weight")
    linear.grad = torch.ones_like(linear)
    before = {k: p.detach().clone() for k, p in net.named_parameters()}
    optimizer.step()
    torch.testing.assert_close(linear, before["3.weight"] - 0.5)
    assert all(torch.equal(p, before[k]) for k, p in net.named_parameters() if k != "3.weight")
