import pytest
import torch

from insula.core.recipe import Augment
from insula.train.augment import augment

pytestmark = pytest.mark.train
NONE = Augment(flip=0, rotate=0, shift=0, scale=0, brightness=0, contrast=0, noise=0)


def changed(x: torch.Tensor, **settings: float) -> torch.Tensor:
    return augment(x, NONE.model_copy(update=settings), torch.Generator().manual_seed(7))


def test_all_off_changes_nothing() -> None:
    x = torch.rand(2, 3, 1, 8, 8)
    assert torch.equal(changed(x), x)


def test_a_flip_mirrors_left_and_right_alone_and_all_slices_alike() -> None:
    x = torch.rand(2, 3, 1, 8, 8)
    torch.testing.assert_close(changed(x, flip=1.0), x.flip(-1), atol=1e-5, rtol=0)


def test_every_slice_of_a_case_moves_alike() -> None:
    x = torch.rand(1, 1, 1, 16, 16).repeat(1, 4, 1, 1, 1)
    out = changed(x, rotate=20, shift=0.1, scale=0.1, brightness=0.2, contrast=0.2)
    assert not torch.allclose(out, x)
    for s in range(1, 4):
        torch.testing.assert_close(out[:, s], out[:, 0])


def test_rotation_keeps_a_centred_disc_in_a_picture_that_is_not_square() -> None:
    y, x = torch.meshgrid(torch.arange(40.0) - 19.5, torch.arange(60.0) - 29.5, indexing="ij")
    disc = ((y**2 + x**2) < 12**2).float().view(1, 1, 1, 40, 60)
    out = changed(disc, rotate=90)
    assert float((out - disc).abs().mean()) < 0.02


def test_brightness_moves_the_mean_within_its_bound() -> None:
    x = torch.rand(64, 1, 1, 4, 4)
    moved = (changed(x, brightness=0.3) - x).mean((1, 2, 3, 4))
    assert float(moved.abs().max()) <= 0.3 + 1e-5
    assert float(moved.std()) > 0.05


def test_the_generator_alone_decides() -> None:
    x = torch.rand(4, 2, 1, 8, 8)
    torch.manual_seed(0)
    first = changed(x, noise=0.1, rotate=10)
    torch.manual_seed(1)
    assert torch.equal(changed(x, noise=0.1, rotate=10), first)
