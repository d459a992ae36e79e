import math

import pytest
import torch

from insula.core.recipe import Train
from insula.train.schedule import Plateau, factor, rate
from insula.train.stages import plan

pytestmark = pytest.mark.train


def curve(total: int, per_epoch: int, **settings: object) -> list[float]:
    section = Train.model_validate({"warmup_epochs": 0, **settings})
    return [factor(step, total, per_epoch, section) for step in range(total)]


def torchs(total: int, make: object, lr: float = 1.0) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make(optimizer)  # type: ignore[operator]
    seen = []
    for _ in range(total):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_cosine_is_pytorchs() -> None:
    theirs = torchs(50, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 50))
    assert curve(50, 10, schedule="cosine") == pytest.approx(theirs)


def test_steps_are_pytorchs() -> None:
    theirs = torchs(60, lambda o: torch.optim.lr_scheduler.StepLR(o, 20, 0.3))
    assert curve(60, 5, schedule="step", step_epochs=4, step_factor=0.3) == pytest.approx(theirs)


@pytest.mark.parametrize("total", [10, 37, 200])
def test_one_cycle_is_pytorchs(total: int) -> None:
    theirs = torchs(
        total - 1, lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1.0, total_steps=total, cycle_momentum=False), 1.0
    )
    assert curve(total, 5, schedule="one_cycle", warmup_epochs=3)[:-1] == pytest.approx(theirs)


def test_the_warm_up_is_a_line_up_to_the_full_rate() -> None:
    values = curve(40, 10, schedule="constant", warmup_epochs=0.9)
    assert values[:9] == pytest.approx([k / 10 for k in range(1, 10)])
    assert set(values[9:]) == {1.0}
    assert curve(40, 10, schedule="cosine", warmup_epochs=1)[10] == 1.0


def test_each_stage_starts_its_schedule_again_at_its_own_rate() -> None:
    section = Train.model_validate(
        {
            "schedule": "cosine",
            "warmup_epochs": 0,
            "lr": 1e-3,
            "stages": [
                {"train": "head", "epochs": 2},
                {"train": "last_blocks", "epochs": 3, "lr": 1e-4},
                {"train": "all", "epochs": 4, "lr": 1e-5},
            ],
        }
    )
    stages = plan(section)
    rates = [rate(step, 10, section, stages) for step in range(90)]
    assert [rates[0], rates[20], rates[50]] == pytest.approx([1e-3, 1e-4, 1e-5])
    assert rates[10] == pytest.approx(0.5e-3)
    assert rates[35] == pytest.approx(0.5e-4)
    assert max(rates[20:50]) <= 1e-4
    assert rate(90, 10, section, stages) == pytest.approx(0.0, abs=1e-12)  # asked once more after the last step


def test_the_plateau_is_pytorchs_and_goes_on_from_its_state() -> None:
    section = Train.model_validate({"schedule": "plateau", "plateau_patience": 2, "step_factor": 0.5})
    losses = (1.0 + 0.5 * torch.rand(60, generator=torch.Generator().manual_seed(3))).tolist()
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, eps=0.0)
    ours = Plateau(section)
    for k, loss in enumerate(losses):
        theirs.step(loss)
        assert ours.update(loss) == optimizer.param_groups[0]["lr"]
        if k == 20:
            state = ours.state_dict()
            ours = Plateau(section)
            ours.load_state_dict(state)
    assert ours.factor < 0.1


def test_a_new_stage_forgets_the_plateau_and_other_schedules_have_none() -> None:
    section = Train.model_validate({"schedule": "plateau", "plateau_patience": 0, "step_factor": 0.5})
    plateau = Plateau(section)
    assert [plateau.update(x) for x in (1.0, 1.0, math.nan, 0.5)] == [1.0, 0.5, 0.25, 0.25]
    plateau.restart()
    assert plateau.update(7.0) == 1.0
    constant = Plateau(Train(schedule="constant"))
    assert {constant.update(1.0) for _ in range(30)} == {1.0}
