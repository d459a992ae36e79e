import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.made_arrays import cohort, recipe

from insula.core.recipe import Train
from insula.train.fit import fit
from insula.train.mixing import mix, partner

pytestmark = pytest.mark.train


def mixed(
    x: torch.Tensor, mask: torch.Tensor, y: torch.Tensor, seed: int = 3, **settings: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    return mix(x, mask, y, Train(**settings), torch.Generator().manual_seed(seed))


def flat_cases(n: int = 6, s: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Case i holds the value i everywhere and is the only one with label i."""
    x = torch.arange(float(n)).view(n, 1, 1, 1, 1).expand(n, s, 1, 16, 20).clone()
    return x, torch.ones(n, s), torch.eye(n)


def test_off_or_alone_nothing_is_mixed() -> None:
    x, mask, y = flat_cases()
    for result in (mixed(x, mask, y), mixed(x[:1], mask[:1], y[:1], mixup=1.0)):
        assert result[2] is None
    assert torch.equal(mixed(x, mask, y)[0], x)


def test_mixup_blends_pictures_and_labels_by_the_same_share() -> None:
    x, mask, y = flat_cases()
    out, soft, share = mixed(x, mask, y, mixup=1.0)
    assert share is not None
    torch.testing.assert_close(soft.sum(1), torch.ones(6))
    torch.testing.assert_close(out[:, 0, 0, 0, 0], soft @ torch.arange(6.0))
    for i in range(6):
        assert float(soft[i, i]) == pytest.approx(float(share[i]))
        assert int((soft[i] > 0).sum()) == 2  # never with itself
    assert len(set(share.tolist())) == 6


def test_cutmix_pastes_one_box_and_the_labels_tell_its_area() -> None:
    x, mask, y = flat_cases(s=3)
    for seed in range(5):
        out, soft, share = mixed(x, mask, y, seed, cutmix=1.0)
        assert share is not None
        for i in range(6):
            own = out[i] == i
            torch.testing.assert_close(own.float().mean(), share[i])
            assert torch.equal(own[0], own[1])  # at the same place in all slices
            other = soft[i].clone()
            other[i] = 0
            if (~own).any():
                assert set(out[i][~own].tolist()) == {float(other.argmax())}
                rows, columns = torch.nonzero(~own[0, 0], as_tuple=True)
                box = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
                assert int(box) == len(rows)  # a whole rectangle


def test_padding_is_never_mixed_in_and_heights_meet() -> None:
    count = [5, 3, 2, 1]
    x = torch.zeros(4, 5, 1, 4, 4)
    mask = torch.zeros(4, 5)
    for i, n in enumerate(count):
        mask[i, :n] = 1.0
        x[i, :n] = (10 * (i + 1) + torch.linspace(0, 4, n)).view(n, 1, 1, 1)
    other = torch.tensor([1, 2, 3, 0])
    got = partner(x, mask, other)[:, :, 0, 0, 0]
    assert got[0].tolist() == [20, 20, 22, 24, 24]
    assert got[1, :3].tolist() == [30, 30, 34]
    assert got[2, :2].tolist() == [40, 40]
    assert got[3, :1].tolist() == [10]
    for seed in range(6):
        for key in ("mixup", "cutmix"):
            out, _, _ = mixed(x, mask, torch.eye(4), seed, **{key: 1.0})
            assert float(out[mask == 0].abs().max()) == 0.0
            assert float(out[mask == 1].min()) >= 10.0


def test_both_keys_take_turns_and_the_seed_decides() -> None:
    x, mask, y = flat_cases()
    kinds = []
    for seed in range(30):
        out, soft, _ = mixed(x, mask, y, seed, mixup=1.0, cutmix=1.0)
        again, labels, _ = mixed(x, mask, y, seed, mixup=1.0, cutmix=1.0)
        assert torch.equal(out, again)
        assert torch.equal(soft, labels)
        kinds.append(bool((out == out.round()).all()))
    assert 5 < sum(kinds) < 25


def test_the_share_follows_its_beta_distribution() -> None:
    x, mask, y = flat_cases(400)
    share = mixed(x, mask, y, mixup=0.4)[2]
    assert share is not None
    assert float(share.mean()) == pytest.approx(0.5, abs=0.07)
    assert float(share.var()) == pytest.approx(1 / (4 * (2 * 0.4 + 1)), abs=0.02)


@pytest.mark.parametrize("setting", ["train.mixup=0.4", "train.cutmix=1.0"])
def test_the_trainer_mixes_and_its_log_shows_it(setting: str, tmp_path: Path) -> None:
    table = cohort(tmp_path)
    lines: list[str] = []
    run = fit(table, recipe("train.epochs=2", setting), tmp_path / "run", tmp_path / "cache", say=lines.append)
    plain = fit(table, recipe("train.epochs=2"), tmp_path / "plain", tmp_path / "cache")
    assert run.weights_sha256 != plain.weights_sha256
    assert any("mean λ of mixing 0." in line for line in lines)
    rows = list(csv.DictReader((tmp_path / "run/curves/metrics.csv").read_text().splitlines()))
    shares = [float(r["mix_lambda"]) for r in rows if r.get("mix_lambda")]
    assert len(shares) == 2
    assert all(0 < share < 1 for share in shares)
    assert "mix_lambda" not in (tmp_path / "plain/curves/metrics.csv").read_text()
    assert np.isfinite(run.best_loss)
