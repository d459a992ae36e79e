"""How the network of a recipe is fitted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from insula.core.recipe_section import Probability, Section


class Augment(Section):
    """Random changes of the training pictures only; each 0 switches it off.

    Each value is the most that is drawn. Pictures run from 0 to 1 here, so 0.1 is a tenth of their range.
    flip: chance to mirror left and right. moved: chance of a case to be rotated, shifted, scaled and distorted at all;
    the others keep their own sharpness. rotate: degrees. shift, elastic: shares of a side. scale: share of the size.
    grid: share by which the cells of a 5 × 5 grid stretch. optical: barrel or pincushion, share at a side's middle.
    brightness, ring, streak: in the picture's values. noise: its standard deviation there. contrast, bias: shares.
    gamma: 0.3 draws powers from 1/1.3 to 1.3. blur: standard deviation in pixels. local_contrast: how much of a local
    contrast normalisation is mixed in. holes: share of the area that is covered. gibbs: outer share of k-space that is
    cut. ghost: share that k-space lines lack. motion: share of a side that the head moves during the scan.
    chance: of a case to get each of gamma, blur, local_contrast, holes, bias, gibbs, ghost, motion, ring, streak.
    """

    flip: Probability = 0.5
    moved: Probability = 0.8
    rotate: Annotated[float, Field(ge=0.0, le=180.0)] = 10.0
    shift: Annotated[float, Field(ge=0.0, le=0.5)] = 0.05
    scale: Annotated[float, Field(ge=0.0, le=0.5)] = 0.1
    brightness: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    contrast: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    noise: Annotated[float, Field(ge=0.0, le=1.0)] = 0.02
    elastic: Annotated[float, Field(ge=0.0, le=0.1)] = 0.0
    grid: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    optical: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    chance: Probability = 0.3
    gamma: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    blur: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    local_contrast: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    holes: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    bias: Annotated[float, Field(ge=0.0, le=0.9)] = 0.0
    gibbs: Annotated[float, Field(ge=0.0, le=0.9)] = 0.0
    ghost: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    motion: Annotated[float, Field(ge=0.0, le=0.2)] = 0.0
    ring: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    streak: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0


class TrainStage(Section):
    """Some epochs in which one part of the network trains: the head, the encoder's last blocks too, or all.

    train: which part. epochs: of this stage. lr: the section's where it is absent. blocks: how many of the encoder's
    last blocks (`last_blocks` alone).
    """

    train: Literal["head", "last_blocks", "all"]
    epochs: Annotated[int, Field(ge=1)]
    lr: Annotated[float, Field(gt=0.0)] | None = None
    blocks: Annotated[int, Field(ge=1)] = 1


class HardNegatives(Section):
    """Rounds after the stages that draw a share of each epoch from the negatives which the network calls positive.

    rounds: how many; 0 is none. share: of an epoch's cases that are drawn from them. epochs: of each round.
    """

    rounds: Annotated[int, Field(ge=0, le=10)] = 0
    share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    epochs: Annotated[int, Field(ge=1)] = 3


class Distil(Section):
    """How a small network follows a teacher (`insula optimise --method distil`).

    weight: share of the loss that is the distance to the teacher's answer, the rest is that to the labels.
    temperature: both networks' columns are divided by it for that distance, so that small probabilities count more.
    """

    weight: Probability = 0.7
    temperature: Annotated[float, Field(gt=0.0, le=100.0)] = 2.0


class Train(Section):
    """How the network is fitted.

    epochs: of all together; with stages their own count instead. batch: inputs of the network at a time, of all
    processes together. accumulate: batches of one optimizer step. optimizer: which one. lr: its highest learning rate.
    momentum: of `sgd`. weight_decay: of weights, not of biases and norms. schedule: how the rate falls; `step`
    multiplies it by step_factor each step_epochs, `plateau` after plateau_patience epochs without gain. warmup_epochs:
    in which the rate rises first. step_epochs, step_factor: of `step`, and step_factor of `plateau` too.
    plateau_patience: of `plateau`. clip: the largest norm of the gradient, 0 is off. patience: epochs without a lower
    validation loss until training ends. class_weights: weigh rare classes up in the loss. focal: γ of the focal loss, 0
    is off. label_smoothing: share of a label that is spread over the other classes. balance: `class` draws the classes
    of the first target alike often in each epoch. ema: decay of averaged weights, 0 is off. precision: `auto` takes
    what the device has. checkpoint: compute features again in the backward pass, slower and with less memory. stages:
    parts of the network that train one after the other. hard_negatives: rounds on what was wrongly called positive.
    augment: random changes of the training pictures. distil: how a small network follows a teacher. slices: the most of
    a case in one step, drawn anew in each epoch; 0 is all. modality_dropout: chance that an input which a case has is
    hidden in a step. loss_weights: of the targets, 1 where absent. mixup, cutmix: the parameter of the Beta
    distribution of the share that a case keeps of itself (0 is off; 0.2 and 1.0 are usual); with both, each batch takes
    one of them.
    """

    epochs: Annotated[int, Field(ge=1)] = 30
    batch: Annotated[int, Field(ge=1)] = 16
    accumulate: Annotated[int, Field(ge=1)] = 1
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: Annotated[float, Field(gt=0.0)] = 1e-3
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-2
    schedule: Literal["constant", "cosine", "plateau", "step", "one_cycle"] = "cosine"
    warmup_epochs: Annotated[float, Field(ge=0.0)] = 0.5
    step_epochs: Annotated[int, Field(ge=1)] = 10
    step_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    plateau_patience: Annotated[int, Field(ge=0)] = 3
    clip: Annotated[float, Field(ge=0.0)] = 1.0
    patience: Annotated[int, Field(ge=1)] = 8
    class_weights: bool = True
    focal: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    label_smoothing: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    balance: Literal["none", "class"] = "none"
    ema: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    checkpoint: bool = False
    stages: tuple[TrainStage, ...] = ()
    hard_negatives: HardNegatives = HardNegatives()
    slices: Annotated[int, Field(ge=0)] = 0
    modality_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    loss_weights: dict[str, Annotated[float, Field(ge=0.0)]] = Field(default_factory=dict)
    augment: Augment = Augment()
    mixup: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    cutmix: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    distil: Distil = Distil()

    @property
    def total_epochs(self) -> int:
        """Epochs of all stages and hard-negative rounds together."""
        staged = sum(stage.epochs for stage in self.stages) if self.stages else self.epochs
        return staged + self.hard_negatives.rounds * self.hard_negatives.epochs
