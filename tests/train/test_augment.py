import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.made_arrays import cohort, recipe
from tests.prep.made_heads import made_head

from insula.core import recipe as recipes
from insula.core.recipe import Augment
from insula.prep.run import prepare
from insula.train.augment import GEOMETRIC, augment
from insula.train.fit import fit

pytestmark = pytest.mark.train
KEYS = [key for key in Augment.model_fields if key not in ("chance", "moved")]
NONE = Augment(**dict.fromkeys(KEYS, 0.0), chance=1.0, moved=1.0)
FULL = {
    "flip": 1.0,
    "rotate": 30.0,
    "shift": 0.2,
    "scale": 0.3,
    "elastic": 0.05,
    "grid": 0.4,
    "optical": 0.3,
    "brightness": 0.3,
    "contrast": 0.5,
    "noise": 0.1,
    "gamma": 1.0,
    "blur": 2.0,
    "local_contrast": 1.0,
    "holes": 0.3,
    "bias": 0.5,
    "gibbs": 0.6,
    "ghost": 0.6,
    "motion": 0.05,
    "ring": 0.3,
    "streak": 0.5,
}


def changed(
    x: torch.Tensor,
    settings: dict[str, float] | None = None,
    seed: int = 7,
    mask: torch.Tensor | None = None,
    **more: float,
) -> torch.Tensor:
    section = NONE.model_copy(update={**(settings or {}), **more})
    return augment(x, section, torch.Generator().manual_seed(seed), mask)


@pytest.fixture(scope="module")
def heads() -> torch.Tensor:
    """Two cases of three slices in a brain window, on pictures that are not square."""
    section = recipes.load("haemorrhage-ct", ("inputs.ct.prep=[windows: [[40, 80]], resize: [64, 72]]",)).input
    made = [prepare(made_head(n, 128, 8).volume, section)[3:6] for n in (1, 4)]
    return torch.from_numpy(np.stack(made))


def test_all_off_changes_nothing() -> None:
    x = torch.rand(2, 3, 1, 8, 8)
    assert torch.equal(changed(x), x)
    assert torch.equal(augment(x, Augment(**(dict.fromkeys(KEYS, 0.0) | {"chance": 0.0})), torch.Generator()), x)


def test_the_tests_and_the_page_know_every_key_and_its_default() -> None:
    assert set(FULL) == set(KEYS)
    page = (Path(__file__).parents[2] / "docs/preparation.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", page, re.MULTILINE))
    assert {key: float(value) for key, value in rows.items()} == Augment().model_dump()


@pytest.mark.parametrize("key", KEYS)
def test_each_key_changes_the_pictures_by_the_seed_alone_and_leaves_the_input(key: str, heads: torch.Tensor) -> None:
    before = heads.clone()
    first = changed(heads, {key: FULL[key]})
    assert torch.equal(heads, before)
    assert first.shape == heads.shape
    assert torch.isfinite(first).all()
    for case in range(2):
        assert float((first[case] - heads[case]).abs().mean()) > 1e-4
    torch.manual_seed(1)
    assert torch.equal(changed(heads, {key: FULL[key]}), first)
    if key != "flip":
        assert not torch.equal(changed(heads, {key: FULL[key]}, seed=8), first)
        weak = changed(heads, {key: FULL[key] / 20})
        assert float((weak - heads).abs().mean()) < float((first - heads).abs().mean())


@pytest.mark.parametrize("key", [k for k in KEYS if k not in (*GEOMETRIC, "brightness", "contrast", "noise")])
def test_chance_says_how_many_cases_are_changed(key: str) -> None:
    x = torch.rand(200, 1, 1, 16, 16)
    out = changed(x, {key: FULL[key], "chance": 0.25})
    share = float(((out - x).abs().amax((1, 2, 3, 4)) > 1e-5).float().mean())
    assert 0.13 < share < 0.37
    assert torch.equal(changed(x, {key: FULL[key], "chance": 0.0}), x)


@pytest.mark.parametrize("key", [k for k in KEYS if k != "noise"])
def test_every_slice_and_channel_of_a_case_is_changed_alike(key: str, heads: torch.Tensor) -> None:
    x = heads[:, :1].repeat(1, 4, 2, 1, 1)
    out = changed(x, {key: FULL[key]})
    for s in range(4):
        for c in range(2):
            torch.testing.assert_close(out[:, s, c], out[:, 0, 0], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(out[0, 0, 0] - x[0, 0, 0], out[1, 0, 0] - x[1, 0, 0])


@pytest.mark.parametrize("key", KEYS)
def test_padding_stays_zero_and_does_not_reach_the_real_slices(key: str, heads: torch.Tensor) -> None:
    padded = torch.cat([heads, torch.zeros_like(heads)], 1)
    mask = torch.tensor([[1.0, 1, 1, 0, 0, 0]] * 2)
    out = changed(padded, {key: FULL[key]}, mask=mask)
    assert float(out[:, 3:].abs().max()) == 0.0
    if key != "noise":
        alone = changed(heads, {key: FULL[key]}, mask=mask[:, :3])
        torch.testing.assert_close(out[:, :3], alone, atol=1e-5, rtol=1e-5)


def test_a_flip_mirrors_left_and_right_alone() -> None:
    x = torch.rand(2, 3, 1, 8, 8)
    torch.testing.assert_close(changed(x, flip=1.0), x.flip(-1), atol=1e-5, rtol=0)


def test_moved_says_how_many_cases_are_moved_and_the_others_keep_every_value() -> None:
    x = torch.rand(200, 1, 1, 16, 16)
    out = changed(x, rotate=20.0, flip=0.5, moved=0.25)
    still = (out == x).all((1, 2, 3, 4)) | (out == x.flip(-1)).all((1, 2, 3, 4))
    assert 0.13 < 1.0 - float(still.float().mean()) < 0.37
    assert 0.3 < float((out == x).all((1, 2, 3, 4))[still].float().mean()) < 0.7


def test_a_moved_picture_stays_as_sharp_as_interpolation_lets_it_and_within_its_range() -> None:
    x = torch.rand(16, 1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    out = changed(x, rotate=5.0)
    kept = out[..., 16:-16, 16:-16].std() / x[..., 16:-16, 16:-16].std()
    assert 0.8 < float(kept) < 1.0  # bilinear keeps two thirds
    assert float(out.min()) >= float(x.min())
    assert float(out.max()) <= float(x.max())


def test_rotation_keeps_a_centred_disc_in_a_picture_that_is_not_square() -> None:
    y, x = torch.meshgrid(torch.arange(40.0) - 19.5, torch.arange(60.0) - 29.5, indexing="ij")
    disc = ((y**2 + x**2) < 12**2).float().view(1, 1, 1, 40, 60)
    out = changed(disc, rotate=90)
    assert float((out - disc).abs().mean()) < 0.02


@pytest.mark.parametrize(("key", "most"), [("elastic", 0.05), ("grid", 0.3), ("optical", 0.2)])
def test_distortions_move_pixels_by_no_more_than_they_say_and_do_not_fold(key: str, most: float) -> None:
    h, w = 48, 64
    ramp = torch.stack(torch.meshgrid(torch.arange(h) / h, torch.arange(w) / w, indexing="ij")).view(1, 1, 2, h, w)
    limit = {"elastic": 1.3 * most, "grid": most / 2, "optical": 0.5 * most * 2}[key]
    moved = []
    for seed in range(8):
        out = changed(ramp, {key: most}, seed=seed)[0, 0]
        moved.append(float((out - ramp[0, 0]).abs().max()))
        inner = out[:, 6:-6, 6:-6]
        assert float(inner[0].diff(dim=0).min()) >= 0.0
        assert float(inner[1].diff(dim=1).min()) >= 0.0
    assert 0.25 * limit < max(moved) <= limit


def test_the_optical_distortion_keeps_the_middle_and_lines_through_it() -> None:
    cross = torch.zeros(1, 1, 1, 41, 41)
    cross[..., 20, :] = cross[..., :, 20] = 1.0
    out = changed(cross, optical=0.3)
    torch.testing.assert_close(out[..., 20, 12:29], cross[..., 20, 12:29], atol=1e-4, rtol=0)
    assert float(out[..., 5, 5]) == 0.0


def test_brightness_moves_the_mean_within_its_bound() -> None:
    x = torch.rand(64, 1, 1, 4, 4)
    moved = (changed(x, brightness=0.3) - x).mean((1, 2, 3, 4))
    assert float(moved.abs().max()) <= 0.3 + 1e-5
    assert float(moved.std()) > 0.05


def test_gamma_keeps_0_and_1_and_order() -> None:
    x = torch.linspace(-0.5, 1.5, 81).view(1, 1, 1, 1, 81).repeat(20, 1, 1, 1, 1)
    out = changed(x, gamma=1.0)
    assert float(out.diff(dim=4).min()) > 0
    torch.testing.assert_close(out[..., [0, 20, 60, 80]], x[..., [0, 20, 60, 80]], atol=1e-3, rtol=0)  # 0 ± 1e-8
    middle = out[:, 0, 0, 0, 40]
    assert 0.25 - 1e-5 <= float(middle.min()) < 0.45
    assert 0.55 < float(middle.max()) <= 0.5**0.5 + 1e-5


def test_blur_spreads_a_point_by_its_deviation_and_keeps_its_sum() -> None:
    point = torch.zeros(30, 1, 1, 33, 33)
    point[..., 16, 16] = 1.0
    out = changed(point, blur=3.0)
    torch.testing.assert_close(out.sum((1, 2, 3, 4)), torch.ones(30), atol=1e-4, rtol=0)
    far = (torch.arange(33) - 16.0) ** 2
    spread = (out[:, 0, 0].sum(1) * far).sum(1).sqrt()
    assert 0.7 < float(spread.min()) < 1.5
    assert 2.0 < float(spread.max()) < 3.2


def test_ghosts_are_copies_a_fraction_of_the_picture_away() -> None:
    disc = torch.zeros(12, 1, 1, 60, 60)
    disc[..., 28:33, 28:33] = 1.0
    out = changed(disc, ghost=1.0)
    outside = disc[0, 0, 0] == 0
    for case in out[:, 0, 0]:
        y, x = np.nonzero((case > 0.1).numpy() & outside.numpy())
        assert len(y) > 0
        assert set(y) <= set(range(28, 33)) or set(x) <= set(range(28, 33))  # along rows or along columns
        assert float(case.mean()) == pytest.approx(float(disc[0].mean()), abs=1e-5)


def test_gibbs_rings_at_an_edge() -> None:
    step = (torch.arange(64) >= 32).float().view(1, 1, 1, 1, 64).repeat(1, 1, 1, 64, 1)
    out = changed(step, gibbs=0.7)
    assert float(out.max()) > 1.03
    assert float(out.min()) < -0.03
    assert float(out.mean()) == pytest.approx(0.5, abs=1e-5)


def test_motion_of_a_whole_scan_is_a_shift() -> None:
    from insula.train.augment_kspace import _motion

    picture = torch.rand(32, 32)
    ky, kx = torch.fft.fftfreq(32)[:, None], torch.fft.fftfreq(32)[None, :]
    heading = torch.tensor(math.pi / 2)
    factor = _motion(torch.tensor(0.25), torch.tensor(-0.1), heading, True, ky, kx)  # from before the first line on
    moved = torch.fft.ifft2(torch.fft.fft2(picture) * factor).real
    torch.testing.assert_close(moved, picture.roll(8, 0), atol=1e-2, rtol=0)
    half = changed(picture.view(1, 1, 1, 32, 32), motion=0.1)[0, 0, 0]
    assert float(half.min()) >= 0.0  # a magnitude


def test_a_bias_field_is_a_smooth_factor() -> None:
    x = torch.rand(6, 2, 1, 40, 40) + 0.5
    factor = changed(x, bias=0.4) / x
    assert float((factor - 1).abs().max()) <= 0.4 + 1e-4
    assert float(factor.diff(dim=3).abs().max()) < 0.06
    torch.testing.assert_close(factor[:, 0], factor[:, 1])


def test_rings_are_round_and_streaks_fan_out_and_fade() -> None:
    flat = torch.zeros(1, 1, 1, 65, 65)
    ring = changed(flat, ring=0.5)[0, 0, 0]
    torch.testing.assert_close(ring, ring.flip(0))
    torch.testing.assert_close(ring, ring.T)
    assert 0 < float(ring.abs().max()) <= 0.5
    streak = changed(flat.repeat(40, 1, 1, 1, 1), streak=0.5)[:, 0, 0].abs()
    assert float(streak.max()) <= 0.5
    border = torch.cat([streak[:, 0], streak[:, -1], streak[:, :, 0], streak[:, :, -1]], 1).mean()
    assert float(streak[:, 22:43, 22:43].mean()) > 1.5 * float(border)


def test_holes_cover_at_most_their_share_with_the_mean() -> None:
    x = torch.rand(30, 2, 2, 50, 50)
    out = changed(x, holes=0.3)
    gone = (out != x).float()
    assert float(gone.mean((1, 2, 3, 4)).min()) > 0.0
    assert float(gone.mean((1, 2, 3, 4)).max()) <= 0.3
    case = int(gone.mean((1, 2, 3, 4)).argmax())
    filled = out[case, :, 1][gone[case, :, 1] > 0]
    torch.testing.assert_close(filled, x[case, :, 1].mean().expand_as(filled), atol=1e-5, rtol=0)


def test_local_contrast_raises_what_is_faint_and_keeps_what_is_flat() -> None:
    y, across = torch.meshgrid(torch.arange(56.0), torch.arange(56.0), indexing="ij")
    texture = torch.where((y + across) % 2 == 0, 1.0, -1.0)
    picture = 0.5 + texture * torch.where(across < 28, 0.01, 0.2)
    out = changed(picture.view(1, 1, 1, 56, 56), local_contrast=1.0)[0, 0, 0]
    assert float(out[:, 4:20].std()) > 1.2 * float(picture[:, 4:20].std())
    assert float(out[:, 36:52].std()) < float(picture[:, 36:52].std())
    flat = torch.full((1, 1, 1, 56, 56), 0.3)
    torch.testing.assert_close(changed(flat, local_contrast=1.0), flat)


def test_the_trainer_uses_all_of_them_and_still_learns(tmp_path: Path) -> None:
    table = cohort(tmp_path)
    gentle = {key: round(value / 4, 4) for key, value in FULL.items()} | {"chance": 0.5}
    run = fit(table, recipe(f"train.augment={gentle}"), tmp_path / "run", tmp_path / "cache")
    plain = fit(table, recipe(), tmp_path / "plain", tmp_path / "cache")
    assert run.weights_sha256 != plain.weights_sha256
    assert math.isfinite(run.best_loss)


def test_the_generator_alone_decides() -> None:
    x = torch.rand(4, 2, 1, 8, 8)
    torch.manual_seed(0)
    first = changed(x, noise=0.1, rotate=10)
    torch.manual_seed(1)
    assert torch.equal(changed(x, noise=0.1, rotate=10), first)
