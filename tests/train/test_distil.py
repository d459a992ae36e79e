"""A teacher: its distance against closed forms, what it may be, and that a student comes to answer as it does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.made_arrays import cohort, recipe

from insula.core import recipe as recipes
from insula.core.errors import TrainingError
from insula.core.recipe import Target
from insula.model.network import Network
from insula.train.distil import Teacher, _apart
from insula.train.fit import fit
from insula.train.run import Run

pytestmark = pytest.mark.train


def target(kind: str) -> Target:
    content = {
        "multiclass": {"kind": "multiclass", "classes": ["a", "b", "c"], "primary": "b"},
        "multilabel": {"kind": "multilabel", "classes": ["a", "b", "c"], "primary": "b"},
        "regression": {"kind": "regression", "column": "size"},
        "survival": {"kind": "survival", "time": "t", "event": "e"},
    }[kind]
    return Target.model_validate(content)


def columns(seed: int, width: int) -> torch.Tensor:
    return 2.0 * torch.randn((6, width), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_classes_are_apart_by_the_divergence_of_softened_probabilities() -> None:
    ours, theirs = columns(1, 3), columns(2, 3)
    p, q = torch.softmax(theirs / 2.0, 1), torch.softmax(ours / 2.0, 1)
    expected = 4.0 * F.kl_div(q.log(), p, reduction="batchmean")
    torch.testing.assert_close(_apart(target("multiclass"), ours, theirs, 2.0), expected)


def test_labels_are_apart_each_for_itself() -> None:
    ours, theirs = columns(1, 3), columns(2, 3)
    p, q = torch.sigmoid(theirs / 2.0), torch.sigmoid(ours / 2.0)
    expected = 4.0 * (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()
    torch.testing.assert_close(_apart(target("multilabel"), ours, theirs, 2.0), expected)


def test_hazards_are_apart_by_their_differences_and_measures_by_the_teacher_s_spread() -> None:
    ours, theirs = columns(1, 1), columns(2, 1)
    survival = target("survival")
    torch.testing.assert_close(_apart(survival, ours, theirs, 2.0), _apart(survival, ours + 5.0, theirs - 3.0, 2.0))
    expected = ((ours - theirs) ** 2).mean() / theirs.var(correction=0)
    torch.testing.assert_close(_apart(target("regression"), ours, theirs, 2.0), expected)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression", "survival"])
def test_nothing_is_apart_from_itself(kind: str) -> None:
    ours = columns(1, 3 if kind.startswith("multi") else 1)
    assert float(_apart(target(kind), ours, ours.clone(), 3.0)) == pytest.approx(0.0, abs=1e-12)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    root = tmp_path_factory.mktemp("distil")
    return fit(cohort(root), recipe("train.epochs=2"), root / "run", root / "cache"), root


def test_a_student_without_labels_of_its_own_comes_to_answer_as_the_teacher_does(taught: tuple[Run, Path]) -> None:
    run, root = taught
    asked = recipe(
        "train.epochs=15", "train.patience=15", "train.distil.weight=1.0", "model.pool=mean", "train.augment.noise=0",
        "model.dropout=0",
    )  # fmt: skip
    teacher = Teacher([run.network], asked, run.recipe)
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    student = fit(cohort(root), asked, root / "student", root / "cache", prepared=run.prepared, teacher=teacher)
    for name, value in run.network.state_dict().items():
        assert torch.equal(value, before[name])
    torch.manual_seed(0)
    fresh = Network(asked, run.shapes).eval()
    x = {"mri": torch.from_numpy(np.stack([run.prepared["mri"].slices[i : i + 4] for i in range(0, 32, 4)]))}
    x = {"mri": x["mri"].float() / 255.0 if x["mri"].dtype == torch.uint8 else x["mri"].float()}
    mask = {"mri": torch.ones(len(x["mri"]), 1, 4)}
    right = teacher(x, mask, None)
    with torch.no_grad():
        learnt, unlearnt = (
            float(teacher.apart(_named(net(x, mask), asked), _named(right, asked))) for net in (student.network, fresh)
        )
    assert learnt < 0.3 * unlearnt
    assert "train_loss_teacher" in (root / "student/curves/metrics.csv").read_text().splitlines()[0]


def _named(found: torch.Tensor, asked: recipes.Recipe) -> dict[str, torch.Tensor]:
    return {name: found[:, asked.columns(name)] for name in asked.targets}


def test_a_teacher_of_another_question_is_refused(taught: tuple[Run, Path]) -> None:
    run, _ = taught
    other = recipe("inputs.mri.prep=[percentile: [0, 100], resize: 48]")
    with pytest.raises(TrainingError, match="student's inputs are not the teacher's"):
        Teacher([run.network], other, run.recipe)
    fewer = run.recipe.targets["tumour"].model_copy(update={"classes": ("healthy", "benign")})
    asked = run.recipe.model_copy(update={"targets": {"tumour": fewer}})
    with pytest.raises(TrainingError, match="student's targets are not the teacher's"):
        Teacher([run.network], asked, run.recipe)


def test_the_teacher_averages_its_members(taught: tuple[Run, Path]) -> None:
    run, _ = taught
    torch.manual_seed(5)
    other = Network(run.recipe, run.shapes)
    both = Teacher([run.network, other], run.recipe, run.recipe)
    x, mask = {"mri": torch.rand(2, 3, 1, 32, 32)}, {"mri": torch.ones(2, 1, 3)}
    each = [Teacher([one], run.recipe, run.recipe)(x, mask, None) for one in (run.network, other)]
    torch.testing.assert_close(both(x, mask, None), (each[0] + each[1]) / 2)
    assert not other.training
    assert not any(p.requires_grad for p in other.parameters())
