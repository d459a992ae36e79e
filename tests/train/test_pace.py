from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from insula.core.recipe import Train
from insula.model.encoders import build_encoder
from insula.train.optimise import make_optimizer
from insula.train.pace import Pace, Patience, best_weights, several_parts, total_epochs
from insula.train.sampling import Hard
from insula.train.schedule import rate
from insula.train.stages import plan

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*Checkpoint directory.*"),
    pytest.mark.filterwarnings("ignore:.*isinstance.*LeafSpec.*"),
]

ALL: dict[str, Any] = {
    "schedule": "plateau",
    "plateau_patience": 0,
    "step_factor": 0.5,
    "lr": 0.01,
    "warmup_epochs": 0.5,
    "ema": 0.9,
    "accumulate": 2,
    "stages": [{"train": "head", "epochs": 2}, {"train": "all", "epochs": 2, "lr": 0.002}],
    "hard_negatives": {"rounds": 1, "share": 0.5, "epochs": 2},
}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = build_encoder("simple_cnn", 1, False, (8, 8))
        self.head = nn.Linear(128, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.encoder(x).mean((2, 3)))
        return out


class Module(lightning.LightningModule):
    def __init__(self, section: Train, losses: tuple[float, ...] = ()) -> None:
        super().__init__()
        self.network = Net()
        self.section = section
        self.losses = losses
        self.validated: list[torch.Tensor] = []

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
        loss: torch.Tensor = (self.network(batch[0])[:, 0] - batch[1]).square().mean()
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> None:
        self.validated.append(self.network.head.weight.detach().clone())
        made = torch.tensor(self.losses[self.current_epoch]) if self.losses else None
        loss = (self.network(batch[0])[:, 0] - batch[1]).square().mean()
        self.log("val_loss", loss if made is None else made)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return make_optimizer(self.network, self.section)


class Probe(Callback):
    def __init__(self) -> None:
        self.rates: dict[int, float] = {}
        self.encoders: list[torch.Tensor] = []
        self.logged: list[tuple[float, float]] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.rates[trainer.global_step] = optimizer.param_groups[0]["lr"]

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.encoders.append(pl_module.network.encoder.layers[0].weight.detach().clone())
        metrics = trainer.callback_metrics
        self.logged.append((float(metrics["lr"]), float(metrics["stage"])))


def run(
    folder: Path,
    epochs: int | None = None,
    resume: bool = False,
    losses: tuple[float, ...] = (),
    asked: list[tuple[int, bool]] | None = None,
    drawn: list[Hard | None] | None = None,
    **settings: Any,
) -> tuple[Module, Pace, Probe, lightning.Trainer]:
    """Train on 12 made pictures in 3 batches: with `accumulate` 2, an epoch has 2 steps."""
    section = Train.model_validate({**ALL, **settings})
    x = torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    loader = DataLoader(TensorDataset(x, x.mean((1, 2, 3)) * 5), batch_size=4)
    module, probe = Module(section, losses), Probe()

    def hard(number: int, starts: bool) -> Hard:
        if asked is not None:
            asked.append((number, starts))
        return Hard(np.array([3]), np.array([0.9]))

    pace = Pace(module.network, section, -(-3 // section.accumulate), hard=hard, draw=lambda h: (drawn or []).append(h))
    if drawn is not None:
        pace.draw = drawn.append
    trainer = lightning.Trainer(
        max_epochs=epochs or total_epochs(section),
        accelerator="cpu",
        callbacks=[pace, probe, Patience(section), ModelCheckpoint(folder, "best", monitor="val_loss", save_last=True)],
        accumulate_grad_batches=section.accumulate,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, loader, loader, ckpt_path=folder / "last.ckpt" if resume else None, weights_only=resume or None)
    return module, pace, probe, trainer


def test_each_step_has_its_rate_and_each_epoch_its_stage(tmp_path: Path) -> None:
    _, _, probe, _ = run(tmp_path, schedule="cosine")
    section = Train.model_validate({**ALL, "schedule": "cosine"})
    stages = plan(section)
    assert probe.rates == {step: rate(step, 2, section, stages) for step in range(12)}
    start = Net().encoder.get_parameter("layers.0.weight")
    assert [torch.equal(e, start) for e in probe.encoders] == [True, True, False, False, False, False]
    assert [stage for _, stage in probe.logged] == [1, 1, 2, 2, 3, 3]
    assert [lr for lr, _ in probe.logged] == pytest.approx([probe.rates[k] for k in range(1, 12, 2)])


def test_validation_and_the_best_weights_are_averaged_and_training_goes_on_with_its_own(tmp_path: Path) -> None:
    module, pace, _, _ = run(tmp_path)
    assert pace.average is not None
    assert pace.average.count == 12  # steps, not batches
    assert torch.equal(module.validated[-1], pace.average.values["head.weight"])
    assert not torch.equal(module.network.head.weight, pace.average.values["head.weight"])
    with pace.shown() as shown:
        assert torch.equal(shown.get_parameter("head.weight"), pace.average.values["head.weight"])
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert torch.equal(last["state_dict"]["network.head.weight"], module.network.head.weight)
    assert torch.equal(best_weights(last)["head.weight"], module.validated[-1])
    assert set(best_weights(last)) == set(module.network.state_dict())
    plain, _, _, _ = run(tmp_path / "plain", ema=0.0)
    last = torch.load(tmp_path / "plain/last.ckpt", weights_only=True)
    assert torch.equal(best_weights(last)["head.weight"], plain.network.head.weight)
    assert torch.equal(plain.network.head.weight, module.network.head.weight)


@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_a_run_that_goes_on_equals_an_unbroken_one(stop: int, tmp_path: Path) -> None:
    whole, first, _, _ = run(tmp_path / "whole")
    run(tmp_path / "broken", epochs=stop)
    rest, second, _, _ = run(tmp_path / "broken", resume=True)
    ends = zip(whole.network.state_dict().items(), rest.network.state_dict().values(), strict=True)
    assert [k for (k, a), b in ends if not torch.equal(a, b)] == []
    assert first.average is not None
    assert second.average is not None
    assert all(torch.equal(v, second.average.values[k]) for k, v in first.average.values.items())
    assert first.plateau.state_dict() == second.plateau.state_dict()


def test_the_plateau_lowers_the_rate_within_its_stage(tmp_path: Path) -> None:
    losses = (1.0, 1.0, 1.0, 0.5, 0.5, 0.5)
    _, _, probe, _ = run(tmp_path, losses=losses, warmup_epochs=0, stages=[{"train": "all", "epochs": 4}])
    expected = [0.01, 0.01, 0.005, 0.0025, 0.01, 0.01]
    assert [lr for lr, _ in probe.logged] == pytest.approx(expected)
    assert [probe.rates[k] for k in range(1, 12, 2)] == pytest.approx(expected)


def test_hard_rounds_are_asked_for_at_their_start_and_when_a_run_goes_on(tmp_path: Path) -> None:
    asked: list[tuple[int, bool]] = []
    drawn: list[Hard | None] = []
    run(tmp_path, epochs=5, asked=asked, drawn=drawn)
    assert asked == [(1, True)]
    assert [None if h is None else h.rows.tolist() for h in drawn] == [None, None, [3]]
    run(tmp_path, resume=True, asked=asked)
    assert asked == [(1, True), (1, False)]


def test_patience_counts_in_the_last_stage_alone(tmp_path: Path) -> None:
    rising = tuple(float(k) for k in range(1, 11))
    stages = [{"train": "head", "epochs": 3}, {"train": "all", "epochs": 7}]
    settings: dict[str, Any] = {"stages": stages, "hard_negatives": {"rounds": 0}, "patience": 2}
    _, _, probe, _ = run(tmp_path, losses=rising, **settings)
    assert len(probe.logged) == 6  # epochs 4, 5 and 6: the first one sets the best
    _, _, probe, _ = run(tmp_path / "nan", losses=(1.0, float("nan"), *rising), **settings)
    assert len(probe.logged) == 2


def test_what_freezes_parts_is_told() -> None:
    assert several_parts(plan(Train.model_validate(ALL)))
    assert not several_parts(plan(Train()))


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"epochs": 4, "hard_negatives": {"rounds": 2, "epochs": 3}},
        {"epochs": 9, "stages": [{"train": "head", "epochs": 2}, {"train": "all", "epochs": 5}]},
    ],
)
def test_the_recipe_counts_its_epochs_as_the_plan_does(section: dict[str, Any]) -> None:
    made = Train.model_validate(section)
    assert total_epochs(made) == made.total_epochs == plan(made)[-1].stop
