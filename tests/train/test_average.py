import io

import pytest
import torch
from torch import nn

from insula.train.average import WeightAverage

pytestmark = pytest.mark.train


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([100.0]))
        self.norm = nn.BatchNorm1d(1)
        self.register_buffer("fixed", torch.tensor([0.1]))


def put(net: Tiny, value: float) -> None:
    with torch.no_grad():
        net.w.fill_(value)
        assert net.norm.running_mean is not None
        assert net.norm.num_batches_tracked is not None
        net.norm.running_mean.fill_(10.0 * value)
        net.norm.num_batches_tracked.add_(1)


def test_the_average_of_three_steps_by_hand() -> None:
    net = Tiny()
    average = WeightAverage(net, 0.5)
    for value in (1.0, 2.0, 4.0):
        put(net, value)
        average.update(net)
    expected = (0.25 * 1.0 + 0.5 * 2.0 + 1.0 * 4.0) / 1.75  # the start, 100, has no part in it
    assert float(average.values["w"]) == pytest.approx(expected)
    assert float(average.values["norm.running_mean"]) == pytest.approx(10 * expected)
    assert int(average.values["norm.num_batches_tracked"]) == 3


def test_it_is_the_published_debiased_average() -> None:
    net, decay = Tiny(), 0.9
    average = WeightAverage(net, decay)
    values = torch.randn(40, generator=torch.Generator().manual_seed(2)).tolist()
    moment = 0.0
    for t, value in enumerate(values, 1):
        put(net, value)
        average.update(net)
        moment = decay * moment + (1 - decay) * value
        assert float(average.values["w"]) == pytest.approx(moment / (1 - decay**t), abs=1e-5)


def test_what_never_changes_stays_bitwise() -> None:
    net = Tiny()
    average = WeightAverage(net, 0.999)
    for value in range(50):
        put(net, float(value))
        average.update(net)
    assert torch.equal(average.values["fixed"], net.get_buffer("fixed"))
    assert torch.equal(average.values["norm.weight"], net.norm.weight)


def test_the_weights_are_swapped_in_and_out_again_even_after_an_error() -> None:
    net = Tiny()
    average = WeightAverage(net, 0.5)
    for value in (1.0, 3.0):
        put(net, value)
        average.update(net)
    expected = pytest.approx((0.5 * 1 + 3) / 1.5)
    with average.swapped(net):
        assert float(net.w.detach()) == expected
    with pytest.raises(RuntimeError, match="inside"), average.swapped(net):
        raise RuntimeError("inside")
    assert float(net.w.detach()) == 3.0
    assert int(net.get_buffer("norm.num_batches_tracked")) == 2
    put(net, 5.0)
    assert float(average.values["w"]) == expected  # training on does not reach into the average


def test_a_resumed_average_goes_on_as_an_unbroken_one() -> None:
    net = Tiny()
    whole, first = WeightAverage(net, 0.8), WeightAverage(net, 0.8)
    for value in (1.0, 2.0, 7.0):
        put(net, value)
        whole.update(net)
        first.update(net)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = WeightAverage(Tiny(), 0.8)
    second.load_state_dict(torch.load(file, weights_only=True))
    for value in (0.5, -3.0):
        put(net, value)
        whole.update(net)
        second.update(net)
    assert all(torch.equal(whole.values[k], second.values[k]) for k in whole.values)


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_a_decay_that_averages_nothing_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        WeightAverage(Tiny(), decay)
