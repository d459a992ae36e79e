"""Fusion joins what is there; what is missing is a learnt vector and nothing else."""

from __future__ import annotations

import pytest
import torch
from tests.made_fused import stirred

from insula.core.recipe import ClinicalColumn
from insula.model.fusion import CLINICAL, Clinical, Fusion

pytestmark = pytest.mark.train
WIDTHS = {"ct": 7, "mri": 5, CLINICAL: 6}
H = 9
THERE = {"ct": [1.0, 1, 0, 0], "mri": [1.0, 0, 1, 0], CLINICAL: [0.0, 1, 1, 0]}


def made() -> tuple[Fusion, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    draw = torch.Generator().manual_seed(2)
    z = {name: torch.randn(4, width, generator=draw, dtype=torch.float64) for name, width in WIDTHS.items()}
    there = {name: torch.tensor(values, dtype=torch.float64) for name, values in THERE.items()}
    fusion = stirred(Fusion(WIDTHS, H)).double().eval()
    for name in fusion.norms:
        mean, variance = buffer(fusion, name, "mean"), buffer(fusion, name, "var")
        mean.copy_(torch.randn(WIDTHS[name], generator=draw, dtype=torch.float64))
        variance.copy_(torch.rand(WIDTHS[name], generator=draw, dtype=torch.float64) + 0.2)
    return fusion, z, there


def buffer(fusion: Fusion, name: str, which: str) -> torch.Tensor:
    return fusion.get_buffer(f"norms.{name}.running_{which}")


def standardised(fusion: Fusion, name: str, z: torch.Tensor) -> torch.Tensor:
    if name == CLINICAL:
        return z
    return (z - buffer(fusion, name, "mean")) / torch.sqrt(buffer(fusion, name, "var") + 1e-5)


def test_the_embedding_is_the_formula() -> None:
    fusion, z, there = made()
    for i in range(4):
        parts = [
            torch.relu(fusion._linear(name)(standardised(fusion, name, z[name][i])))
            if there[name][i] > 0
            else fusion.missing[name]
            for name in WIDTHS
        ]
        torch.testing.assert_close(fusion(z, there)[i], torch.relu(fusion.join(torch.cat(parts))))


def test_what_lies_where_an_input_is_missing_changes_nothing_and_its_vector_does() -> None:
    fusion, z, there = made()
    before = fusion(z, there)
    other = {name: torch.where(there[name][:, None] > 0, value, 77.0) for name, value in z.items()}
    torch.testing.assert_close(fusion(other, there), before)
    with torch.no_grad():
        fusion.missing["mri"].add_(3.0)
    moved = (fusion(z, there) - before).detach().abs().amax(1) > 1e-6
    assert moved.tolist() == [False, True, False, True]


def test_training_standardises_over_the_cases_that_have_the_role() -> None:
    fusion, z, there = made()
    before = buffer(fusion, "ct", "mean").clone()
    mean = z["ct"][:2].mean(0)  # the first two cases have a CT
    fusion.train()(z, there)
    torch.testing.assert_close(buffer(fusion, "ct", "mean"), 0.9 * before + 0.1 * mean)
    seen = fusion.train()._standardised("ct", z["ct"], there["ct"])
    torch.testing.assert_close(seen[:2].mean(0), torch.zeros(WIDTHS["ct"], dtype=torch.float64))
    assert not seen[2:].any()


def test_one_case_alone_leaves_the_means_of_training_as_they_are() -> None:
    fusion, z, there = made()
    one = {name: value[:1] for name, value in z.items()}
    alone = {name: value[:1] for name, value in there.items()}
    before = buffer(fusion, "ct", "mean").clone()
    torch.testing.assert_close(fusion.train()(one, alone), fusion.eval()(one, alone))
    assert torch.equal(buffer(fusion, "ct", "mean"), before)


def test_no_role_is_put_out_by_features_with_a_large_offset() -> None:
    torch.manual_seed(0)
    fusion = Fusion({"ct": 64, "mri": 64}, 32)
    draw = torch.Generator().manual_seed(1)
    z = {name: 50.0 + 0.5 * torch.randn(64, 64, generator=draw) for name in ("ct", "mri")}
    there = {name: torch.ones(64) for name in z}
    for _ in range(60):
        fusion.train()(z, there)
    for role in z:
        alive = torch.relu(fusion.eval()._linear(role)(fusion._standardised(role, z[role], there[role])))
        assert float((alive.amax(0) > 0).float().mean()) > 0.95


def test_the_vector_of_a_missing_input_is_learnt() -> None:
    fusion, z, there = made()
    fusion(z, there).sum().backward()
    assert all(float(p.grad.abs().max()) > 0 for p in fusion.missing.values())


@pytest.mark.parametrize("name", list(WIDTHS))
def test_the_slope_equals_autograd_and_is_zero_where_the_input_is_missing(name: str) -> None:
    fusion, z, there = made()
    g = torch.randn(4, 3, H, dtype=torch.float64)
    ours = fusion.slope(name, z, there, g)
    z[name].requires_grad_(True)
    h = fusion(z, there)
    for k in range(3):
        (grad,) = torch.autograd.grad((h * g[:, k]).sum(), z[name], retain_graph=True)
        torch.testing.assert_close(ours[:, k], grad, atol=1e-10, rtol=1e-9)
    seen = ours.detach().abs().amax((1, 2)) > 0
    assert seen.tolist() == [t > 0 for t in THERE[name]]


def clinical() -> Clinical:
    columns = {
        "age": ClinicalColumn(),
        "sex": ClinicalColumn(kind="category", values=("F", "M")),
        "iq": ClinicalColumn(),
    }
    return Clinical(columns).double()


def test_numbers_are_standardised_by_training_and_categories_left_alone() -> None:
    part, nan = clinical(), float("nan")
    assert part.width == 4
    train = torch.tensor([[50.0, 1, 0, 100], [60, 0, 1, 100], [70, nan, nan, 100], [nan, 0, 1, nan]]).double()
    part.fit(train)
    assert part.mean.tolist() == [60.0, 0.0, 0.0, 100.0]
    assert part.std.tolist() == [10.0, 1.0, 1.0, 1.0]  # a column that never varies keeps 1
    vector, there = part(torch.tensor([[80.0, 0, 1, 101], [nan, nan, nan, nan], [nan, 1, 0, nan]]).double())
    assert vector.tolist() == [[2, 0, 1, 1, 1, 1, 1, 1], [0] * 8, [0, 1, 0, 0, 0, 1, 1, 0]]
    assert there.tolist() == [1.0, 0.0, 1.0]


def test_a_column_of_which_training_knows_nothing_keeps_its_scale() -> None:
    part = clinical()
    part.fit(torch.full((3, 4), float("nan")).double())
    vector, _ = part(torch.tensor([[5.0, 1, 0, 7]]).double())
    assert vector.tolist() == [[5, 1, 0, 7, 1, 1, 1, 1]]
    assert {"mean", "std"} <= set(part.state_dict())
