import pytest
import torch

from insula.core.errors import TrainingError
from insula.model.simple_cnn import SimpleCNN, simple_cnn

pytestmark = pytest.mark.train


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_it_has_the_documented_number_of_parameters(channels: int) -> None:
    convolutions = 9 * channels * 16 + 9 * 16 * 32 + 9 * 32 * 64 + 64 * 128
    norms = 2 * (16 + 32 + 64 + 128)
    count = sum(p.numel() for p in SimpleCNN(channels).parameters())
    assert count == convolutions + norms == 31_712 + 144 * channels
    assert "31,712 + 144·C parameters: 32,144 with three" in (SimpleCNN.__doc__ or "")
    assert channels != 3 or count == 32_144


def test_a_cell_sees_eighteen_pixels() -> None:
    torch.manual_seed(0)
    encoder = SimpleCNN(1).eval()
    x = torch.rand(1, 1, 64, 64, requires_grad=True)
    out = encoder(x)
    assert out.shape == (1, 128, 16, 16)
    out[0, :, 8, 8].sum().backward()
    assert x.grad is not None
    rows = torch.nonzero(x.grad[0, 0].abs().sum(1)).squeeze()
    assert 14 <= int(rows.max() - rows.min()) + 1 <= 18


def test_published_weights_do_not_exist() -> None:
    with pytest.raises(TrainingError, match=r"no published weights; set model\.pretrained=false or give a local file"):
        simple_cnn(3, True)
