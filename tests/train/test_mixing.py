import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.made_arrays import cohort, recipe

from insula.core.recipe import Train
from insula.train.fit import fit
from insula.train.mixing import Mixed, mix, partner

pytestmark = pytest.mark.train

Tensors = dict[str, torch.Tensor]


def mixed(x: Tensors, mask: Tensors, y: Tensors, seed: int = 3, known: Tensors | None = None, **keys: Any) -> Mixed:
    known = known or {k: torch.ones(len(v)) for k, v in y.items()}
    return mix(x, mask, y, known, Train.model_validate(keys), torch.Generator().manual_seed(seed))


def on(key: str) -> dict[str, Any]:
    return {key: 1.0}


def flat_cases(n: int = 6, s: int = 1) -> tuple[Tensors, Tensors, Tensors]:
    """Case i holds the value i everywhere and is the only one with label i."""
    x = torch.arange(float(n)).view(n, 1, 1, 1, 1).expand(n, s, 1, 16, 20).clone()
    return {"ct": x}, {"ct": torch.ones(n, s)}, {"t": torch.eye(n)}


def test_off_or_alone_nothing_is_mixed() -> None:
    x, mask, y = flat_cases()
    assert mixed(x, mask, y).share is None
    assert torch.equal(mixed(x, mask, y).x["ct"], x["ct"])
    alone = mixed({"ct": x["ct"][:1]}, {"ct": mask["ct"][:1]}, {"t": y["t"][:1]}, mixup=1.0)
    assert alone.share is None


def test_mixup_blends_pictures_and_labels_by_the_same_share() -> None:
    x, mask, y = flat_cases()
    out = mixed(x, mask, y, mixup=1.0)
    soft, share = out.y["t"], out.share
    assert share is not None
    torch.testing.assert_close(soft.sum(1), torch.ones(6))
    torch.testing.assert_close(out.x["ct"][:, 0, 0, 0, 0], soft @ torch.arange(6.0))
    for i in range(6):
        assert float(soft[i, i]) == pytest.approx(float(share[i]))
        assert int((soft[i] > 0).sum()) == 2  # never with itself
    assert len(set(share.tolist())) == 6


def test_cutmix_pastes_one_box_and_the_labels_tell_its_area() -> None:
    x, mask, y = flat_cases(s=3)
    for seed in range(5):
        out = mixed(x, mask, y, seed, cutmix=1.0)
        soft, share = out.y["t"], out.share
        assert share is not None
        for i in range(6):
            own = out.x["ct"][i] == i
            torch.testing.assert_close(own.float().mean(), share[i])
            assert torch.equal(own[0], own[1])  # at the same place in all slices
            other = soft[i].clone()
            other[i] = 0
            if (~own).any():
                assert set(out.x["ct"][i][~own].tolist()) == {float(other.argmax())}
                rows, columns = torch.nonzero(~own[0, 0], as_tuple=True)
                box = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
                assert int(box) == len(rows)  # a whole rectangle


@pytest.mark.parametrize("key", ["mixup", "cutmix"])
def test_all_roles_and_targets_meet_the_same_partner_by_the_same_share(key: str) -> None:
    x, mask, y = flat_cases()
    x["mr"] = 10.0 * torch.arange(6.0).view(6, 1, 1, 1, 1).expand(6, 4, 2, 32, 40).clone()
    mask["mr"] = torch.ones(6, 4)
    y["age"] = 60.0 + torch.arange(6.0)[:, None]
    out = mixed(x, mask, y, **on(key))
    assert out.share is not None
    ct, mr = out.x["ct"].mean((1, 2, 3, 4)), out.x["mr"].mean((1, 2, 3, 4)) / 10.0
    torch.testing.assert_close(out.y["age"][:, 0], 60.0 + out.y["t"] @ torch.arange(6.0))
    if key == "mixup":
        torch.testing.assert_close(ct, mr)
        torch.testing.assert_close(ct, out.y["age"][:, 0] - 60.0)
    else:
        # the box is rounded to pixels of 16 × 20 and of 32 × 40: the labels go by the mean of both areas
        torch.testing.assert_close((ct + mr) / 2, out.y["age"][:, 0] - 60.0)
        small = (out.x["ct"][:, 0, 0] != torch.arange(6.0).view(6, 1, 1)).float()
        large = (out.x["mr"][:, 0, 0] != 10 * torch.arange(6.0).view(6, 1, 1)).float()
        upper = torch.nn.functional.interpolate(small[:, None], scale_factor=2.0)[:, 0]
        assert float((upper != large).float().mean()) < 0.06


def test_a_target_is_known_where_both_cases_know_it_and_unknown_values_never_spread() -> None:
    x, mask, y = flat_cases()
    known = {"t": torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0, 1.0]), "age": torch.ones(6)}
    y["age"] = torch.arange(6.0)[:, None]
    y["t"][1] = torch.nan
    out = mixed(x, mask, y, known=known, mixup=1.0)
    gave = [i for i in range(6) if i != 1 and float(out.known["t"][i]) == 0.0]
    assert float(out.known["t"][1]) == 0.0
    assert len(gave) == 1  # the one case that got case 1 as its partner
    assert bool(out.known["age"].bool().all())
    assert bool(torch.isfinite(out.y["t"]).all())


def test_clinical_columns_are_blended_and_missing_where_one_of_two_lacks_them() -> None:
    x, mask, y = flat_cases()
    known = {"t": torch.ones(6)}
    clinical = torch.arange(12.0).view(6, 2)
    clinical[4, 1] = torch.nan
    section, generator = Train(mixup=1.0), torch.Generator().manual_seed(3)
    out = mix(x, mask, y, known, section, generator, clinical)
    assert out.clinical is not None
    torch.testing.assert_close(out.clinical[:, 0], 2.0 * out.x["ct"][:, 0, 0, 0, 0])
    missing = torch.isnan(out.clinical[:, 1])
    assert torch.equal(missing, out.y["t"][:, 4] > 0)
    assert int(missing.sum()) == 2


def test_a_case_whose_partner_lacks_a_role_stays_as_it_is() -> None:
    x, mask, y = flat_cases()
    x["mr"], mask["mr"] = x["ct"].clone(), torch.ones(6, 1)
    mask["mr"][2] = 0.0
    for key in ("mixup", "cutmix"):
        for seed in range(4):
            out = mixed(x, mask, y, seed, **on(key))
            assert out.share is not None
            assert float(out.share[2]) == 1.0
            assert torch.equal(out.x["ct"][2], x["ct"][2])
            assert torch.equal(out.y["t"][2], y["t"][2])
            assert float(out.x["mr"][2].abs().max()) == 0.0
            assert float(out.y["t"][:, 2].sum()) == 1.0  # nobody else got a part of case 2


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
    bags = torch.stack([mask * torch.tensor([1.0, 0, 1, 0, 0]), mask * torch.tensor([0.0, 1, 0, 1, 1])], 1)
    for seed in range(6):
        for key in ("mixup", "cutmix"):
            for one in (mask, bags):
                out = mixed({"ct": x}, {"ct": one}, {"t": torch.eye(4)}, seed, **on(key)).x["ct"]
                assert float(out[mask == 0].abs().max()) == 0.0
                assert float(out[mask == 1].min()) >= 10.0


def test_both_keys_take_turns_and_the_seed_decides() -> None:
    x, mask, y = flat_cases()
    kinds = []
    for seed in range(30):
        out, again = (mixed(x, mask, y, seed, mixup=1.0, cutmix=1.0) for _ in range(2))
        assert torch.equal(out.x["ct"], again.x["ct"])
        assert torch.equal(out.y["t"], again.y["t"])
        kinds.append(bool((out.x["ct"] == out.x["ct"].round()).all()))
    assert 5 < sum(kinds) < 25


def test_the_share_follows_its_beta_distribution() -> None:
    share = mixed(*flat_cases(400), mixup=0.4).share
    assert share is not None
    assert float(share.mean()) == pytest.approx(0.5, abs=0.07)
    assert float(share.var()) == pytest.approx(1 / (4 * (2 * 0.4 + 1)), abs=0.02)
    assert np.isfinite(share.numpy()).all()


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
