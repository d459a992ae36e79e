import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from sklearn.metrics import log_loss

from insula.core import recipe as recipes
from insula.core.errors import TrainingError
from insula.core.recipe import Recipe
from insula.train.cox import partial_likelihood
from insula.train.focal import exclusive
from insula.train.losses import JointLoss, label_facts

pytestmark = pytest.mark.train

TARGETS: dict[str, dict[str, Any]] = {
    "kind": {"kind": "multiclass", "classes": ["a", "b", "c"], "primary": "c"},
    "bleed": {"kind": "binary", "classes": ["no", "yes"], "primary": "yes"},
    "signs": {"kind": "multilabel", "classes": ["x", "y"], "primary": "x"},
    "grade": {"kind": "ordinal", "classes": ["i", "ii", "iii"], "primary": "iii"},
    "death": {"kind": "survival", "time": "days", "event": "died"},
    "age": {"kind": "regression"},
}


def recipe(*names: str, **train: Any) -> Recipe:
    """A recipe with these targets; one with classes has to stand first, and here it counts nothing."""
    content = yaml.safe_load(recipes.dump(recipes.load("brain-tumour")))
    if names[0] in ("death", "age"):
        names, train = ("kind", *names), {"loss_weights": {"kind": 0.0}, **train}
    content["targets"] = {name: TARGETS[name] for name in names}
    content["train"] |= train
    return recipes.parse(content, "test")


def labels(n: int = 24, seed: int = 0) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % 6 % 4 % 3  # 0, 1, 2, 0, 0, 1: not evenly frequent
    return {
        "kind": F.one_hot(torch.from_numpy(classes), 3).float(),
        "bleed": F.one_hot(torch.from_numpy((np.arange(n) % 4 == 0).astype(np.int64)), 2).float(),
        "signs": torch.from_numpy(rng.random((n, 2)) < 0.3).float(),
        "grade": F.one_hot(torch.from_numpy(rng.permutation(classes)), 3).float(),
        "death": torch.from_numpy(np.stack([rng.integers(1, 9, n), rng.random(n) < 0.7], 1)).float(),
        "age": torch.from_numpy(rng.normal(60, 12, (n, 1))).float(),
    }


def outputs(n: int = 24, seed: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    widths = {"kind": 3, "bleed": 2, "signs": 2, "grade": 3, "death": 1, "age": 1}
    out = {name: torch.randn(n, k, generator=generator) for name, k in widths.items()}
    out["bleed"][:, 0] = 0.0
    out["grade"] = torch.log_softmax(out["grade"], 1)
    out["age"] = 60.0 + 10.0 * out["age"]
    return {name: value.requires_grad_() for name, value in out.items()}


def everything(n: int = 24) -> dict[str, torch.Tensor]:
    return {name: torch.ones(n) for name in TARGETS}


def value(name: str, y: torch.Tensor, columns: torch.Tensor, **train: Any) -> float:
    """The loss of one target of 24 cases, with class weights taken from these labels themselves."""
    one, ys = recipe(name, **train), {**labels(), name: y}
    loss = JointLoss(one, label_facts(one, ys, everything()))
    return float(loss({**outputs(), name: columns}, ys, everything())[0].detach())


def test_class_weights_make_the_loss_the_balanced_log_loss() -> None:
    y, columns = labels()["bleed"], outputs()["bleed"].detach()
    p = torch.softmax(columns.double(), 1).numpy()
    weights = np.where(y[:, 1] > 0, 1 / 6, 1 / 18)
    expected = log_loss(y.argmax(1).numpy(), p, sample_weight=weights)
    assert value("bleed", y, columns) == pytest.approx(expected, rel=1e-5)


def test_multilabel_without_weights_is_the_mean_binary_log_loss() -> None:
    y, columns = labels()["signs"], outputs()["signs"].detach()
    expected = np.mean([log_loss(y[:, k], torch.sigmoid(columns[:, k].double()), labels=[0, 1]) for k in range(2)])
    assert value("signs", y, columns, class_weights=False) == pytest.approx(expected, rel=1e-5)


def test_multilabel_weights_are_negatives_over_positives() -> None:
    y, columns = labels()["signs"], outputs()["signs"].detach()
    weight = (24 - y.sum(0)) / y.sum(0)
    expected = F.binary_cross_entropy_with_logits(columns, y, pos_weight=weight)
    assert value("signs", y, columns) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [True, False])
def test_hard_labels_give_the_loss_of_pytorch(smoothing: float, weighted: bool) -> None:
    y, columns = labels()["kind"], outputs()["kind"].detach()
    weight = 24 / (3 * y.sum(0)) if weighted else torch.ones(3)
    theirs = F.cross_entropy(columns, y.argmax(1), weight=weight, label_smoothing=smoothing)
    ours = value("kind", y, columns, class_weights=weighted, label_smoothing=smoothing)
    assert ours == pytest.approx(float(theirs), rel=1e-5)


def test_soft_labels_give_the_blend_of_the_losses_of_both_classes() -> None:
    one = recipe("kind", class_weights=False)
    loss = JointLoss(one, label_facts(one, labels(), everything()))
    columns, there = {"kind": outputs(5)["kind"]}, {"kind": torch.ones(5)}
    first, second = torch.eye(3)[[0, 1, 2, 0, 1]], torch.eye(3)[[1, 1, 0, 2, 2]]
    both = loss(columns, {"kind": 0.3 * first + 0.7 * second}, there)[0]
    apart = [loss(columns, {"kind": y}, there)[0] for y in (first, second)]
    torch.testing.assert_close(both, 0.3 * apart[0] + 0.7 * apart[1])


def test_a_rare_class_weighs_by_its_share_of_a_soft_label() -> None:
    one = recipe("bleed")
    loss = JointLoss(one, label_facts(one, labels(), everything()))
    w = torch.tensor([24 / (2 * 18), 24 / (2 * 6)])
    columns = torch.tensor([[0.0, -0.5], [0.0, 0.3]])
    y = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    p = torch.log_softmax(columns, 1)
    expected = -(0.25 * w[0] * p[0, 0] + 0.75 * w[1] * p[0, 1] + w[0] * p[1, 0]) / (0.25 * w[0] + 0.75 * w[1] + w[0])
    torch.testing.assert_close(loss({"bleed": columns}, {"bleed": y}, {"bleed": torch.ones(2)})[0], expected)


def test_a_binary_target_is_the_logistic_loss_of_its_logit() -> None:
    y, columns = labels()["bleed"], outputs()["bleed"].detach()
    expected = F.binary_cross_entropy_with_logits(columns[:, 1], y[:, 1])
    assert value("bleed", y, columns, class_weights=False) == pytest.approx(float(expected), rel=1e-6)


def test_an_ordinal_target_is_the_likelihood_of_the_cumulative_link_model() -> None:
    latent, cuts = torch.randn(24, generator=torch.Generator().manual_seed(4)).double(), (-0.4, 0.9)
    below = torch.stack([torch.zeros(24), *(torch.sigmoid(c - latent) for c in cuts), torch.ones(24)], 1)
    p = below.diff(dim=1)  # P(Y = k) = F(θ_k − η) − F(θ_(k−1) − η)
    y = labels()["grade"]
    expected = -torch.log(p[torch.arange(24), y.argmax(1)]).mean()
    assert value("grade", y, p.log(), class_weights=False) == pytest.approx(float(expected), rel=1e-6)


def test_the_focal_key_reaches_classes_and_labels() -> None:
    y, columns = labels(), outputs()
    expected = exclusive(columns["kind"].detach(), y["kind"], torch.ones(3), 2.0).mean()
    assert value("kind", y["kind"], columns["kind"], class_weights=False, focal=2.0) == pytest.approx(float(expected))
    for name in ("bleed", "signs", "grade"):
        assert value(name, y[name], columns[name], focal=2.0) < value(name, y[name], columns[name])


def test_survival_is_the_mean_over_the_events() -> None:
    y, columns = labels()["death"], outputs()["death"].detach()
    expected = partial_likelihood(columns[:, 0], y[:, 0], y[:, 1]) / y[:, 1].sum()
    assert value("death", y, columns) == pytest.approx(float(expected))


def test_regression_is_hubers_loss_in_standard_deviations() -> None:
    y, columns = labels()["age"], outputs()["age"].detach()
    scale = float(np.std(y.numpy()))
    error = np.abs((columns - y).numpy()) / scale
    expected = np.where(error <= 1, 0.5 * error**2, error - 0.5).mean()
    assert value("age", y, columns) == pytest.approx(float(expected), rel=1e-5)
    assert value("age", 1000.0 * y, 1000.0 * columns) == pytest.approx(float(expected), rel=1e-4)


def test_the_joint_loss_is_the_weighted_sum_and_the_log_gets_each_part() -> None:
    weights = {"age": 0.25, "death": 2.0, "signs": 0.0}
    one = recipe(*TARGETS, loss_weights=weights)
    y, columns = labels(), outputs()
    total, parts = JointLoss(one, label_facts(one, y, everything()))(columns, y, everything())
    assert list(parts) == list(TARGETS)
    for name in TARGETS:
        assert float(parts[name]) == pytest.approx(value(name, y[name], columns[name]), rel=1e-5)
        assert not parts[name].requires_grad
    assert float(total.detach()) == pytest.approx(sum(weights.get(k, 1.0) * float(v) for k, v in parts.items()))
    total.backward()
    assert columns["signs"].grad is not None
    assert float(columns["signs"].grad.abs().max()) == 0.0
    assert all(float(v.grad.abs().max()) > 0 for k, v in columns.items() if k != "signs" and v.grad is not None)


@pytest.mark.parametrize("name", list(TARGETS))
def test_unknown_labels_are_as_if_the_case_were_not_there(name: str) -> None:
    y, columns, one = labels(), outputs(), recipe(name)
    loss = JointLoss(one, label_facts(one, y, everything()))
    known = (torch.arange(24) % 3 > 0).float()
    rest = {k: v.detach()[known > 0].requires_grad_() for k, v in columns.items()}
    expected, _ = loss(rest, {k: v[known > 0] for k, v in y.items()}, everything(16))
    expected.backward()
    y[name][known == 0] = torch.nan
    total, _ = loss(columns, y, {**everything(), name: known})
    total.backward()
    torch.testing.assert_close(total, expected)
    gradient = columns[name].grad
    assert gradient is not None
    assert float(gradient[known == 0].abs().max()) == 0.0
    torch.testing.assert_close(gradient[known > 0], rest[name].grad)


def test_a_batch_without_any_label_gives_a_loss_and_a_gradient_of_zero() -> None:
    one = recipe(*TARGETS)
    loss = JointLoss(one, label_facts(one, labels(), everything()))
    columns = outputs()
    nothing = {name: torch.zeros(24) for name in TARGETS}
    unread = {name: torch.full_like(v, torch.nan) for name, v in labels().items()}
    total, parts = loss(columns, unread, nothing)
    total.backward()
    assert float(total.detach()) == 0.0
    assert set(map(float, parts.values())) == {0.0}
    assert all(v.grad is not None and float(v.grad.abs().max()) == 0.0 for v in columns.values())


def test_columns_of_16_bits_lose_nothing_in_the_loss() -> None:
    one = recipe(*TARGETS)
    y = labels()
    loss = JointLoss(one, label_facts(one, y, everything()))
    half = {k: v.detach().bfloat16() for k, v in outputs().items()}
    total = loss(half, y, everything())[0]
    assert total.dtype == torch.float32
    torch.testing.assert_close(total, loss({k: v.float() for k, v in half.items()}, y, everything())[0])


def test_weights_follow_what_the_sampling_draws() -> None:
    one = recipe("bleed")
    y = {"bleed": labels()["bleed"]}
    even = torch.where(y["bleed"][:, 1] > 0, 2.0, 24 / 2 / 18)  # balanced drawing: 12 of each class
    facts = label_facts(one, y, everything(), even)["bleed"]
    assert facts.counts == pytest.approx((12.0, 12.0))
    assert JointLoss(one, {"bleed": facts}).get_buffer("weight_bleed").tolist() == pytest.approx([1.0, 1.0])


def test_no_class_weighs_more_than_ten_times() -> None:
    one = recipe("bleed")
    y = {"bleed": F.one_hot(torch.tensor([0] * 999 + [1]), 2).float()}
    loss = JointLoss(one, label_facts(one, y, {"bleed": torch.ones(1000)}))
    assert loss.get_buffer("weight_bleed").tolist() == pytest.approx([1000 / 2 / 999, 10.0])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("kind", lambda y, k: k.fill_(0), "No training case has a label for 'kind'"),
        ("death", lambda y, k: y[:, 1].fill_(0), "No training case of 'death' has an event"),
        ("age", lambda y, k: y.fill_(50), "All training labels of 'age' are 50"),
    ],
)
def test_labels_that_teach_nothing_are_refused(name: str, change: Any, message: str) -> None:
    y, known = labels(), everything()
    change(y[name], known[name])
    with pytest.raises(TrainingError, match=message):
        label_facts(recipe(name), y, known)


TWO = """
import sys, torch, torch.distributed as dist
sys.path.insert(0, {tests!r})
from test_losses import TARGETS, everything, labels, outputs, recipe
from insula.train.losses import JointLoss, label_facts
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://{store}", rank=rank, world_size=2)
one = recipe(*TARGETS)
loss = JointLoss(one, label_facts(one, labels(), everything()))
known = {{k: (torch.arange(24) % (3 + i) > 0).float() for i, k in enumerate(TARGETS)}}
rows = torch.tensor({rows}[rank])
columns = {{k: v.detach()[rows].requires_grad_() for k, v in outputs().items()}}
total, _ = loss(columns, {{k: v[rows] for k, v in labels().items()}}, {{k: v[rows] for k, v in known.items()}})
total.backward()
some = [{{k: v[rows].detach() for k, v in given.items()}} for given in (outputs(), labels(), known)]
alone = loss.eval()(*some)[0]
torch.save((rows, total.detach(), {{k: v.grad for k, v in columns.items()}}, alone), "{store}." + str(rank))
"""


def test_two_processes_have_together_the_loss_and_gradient_of_one(tmp_path: Path) -> None:
    rows = [[*range(0, 24, 2), 23], list(range(1, 23, 2))]  # 13 and 11 cases
    script = TWO.format(tests=str(Path(__file__).parent), store=tmp_path / "store", rows=rows)
    both = [subprocess.Popen([sys.executable, "-c", script, str(rank)]) for rank in range(2)]
    assert [p.wait(timeout=120) for p in both] == [0, 0]
    one = recipe(*TARGETS)
    y, columns = labels(), outputs()
    known = {k: (torch.arange(24) % (3 + i) > 0).float() for i, k in enumerate(TARGETS)}
    total, _ = JointLoss(one, label_facts(one, y, everything()))(columns, y, known)
    total.backward()
    parts = [torch.load(f"{tmp_path / 'store'}.{rank}", weights_only=True) for rank in range(2)]
    torch.testing.assert_close(sum(p[1] for p in parts) / 2, total.detach())
    for name, column in columns.items():
        gradient = torch.zeros_like(column)
        for own, _, gradients, _ in parts:
            gradient[own] = gradients[name] / 2  # as the processes' gradients are averaged
        torch.testing.assert_close(gradient, column.grad)
    loss = JointLoss(one, label_facts(one, y, everything()))
    for own, _, _, alone in parts:
        some = [{k: v[own].detach() for k, v in given.items()} for given in (columns, y, known)]
        torch.testing.assert_close(alone, loss(*some)[0])  # in evaluation each has its own cases
