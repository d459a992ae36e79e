"""How an encoder is pretrained without labels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from insula.core.recipe_section import Section
from insula.core.recipe_train import Augment, Train


class Pretrain(Section):
    """How an encoder is pretrained on slices without labels.

    method: `vicreg` brings two views of neighbouring slices together, `masked` paints hidden patches in. epochs: each
    goes once through all slices. batch: slices. lr: AdamW's highest learning rate. weight_decay: AdamW's.
    warmup_epochs: in which the rate rises first. clip: the largest norm of the gradient, 0 is off.
    neighbours: how many places apart in their series the two slices of a pair may lie; 0 takes one slice twice.
    width: of vicreg's expander. hide: share of a picture that `masked` hides. patch: pixels a side of
    the squares that it hides. augment:
    where it is absent, the one of the train section with wider moves (vicreg), or with moves alone (masked).
    """

    method: Literal["vicreg", "masked"] = "vicreg"
    epochs: Annotated[int, Field(ge=1)] = 50
    batch: Annotated[int, Field(ge=4)] = 64
    lr: Annotated[float, Field(gt=0.0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-4
    warmup_epochs: Annotated[float, Field(ge=0.0)] = 2.0
    clip: Annotated[float, Field(ge=0.0)] = 1.0
    neighbours: Annotated[int, Field(ge=0, le=100)] = 1
    width: Annotated[int, Field(ge=16, le=8192)] = 512
    hide: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    patch: Annotated[int, Field(ge=2, le=128)] = 16
    augment: Augment | None = None

    def views(self, training: Augment) -> Augment:
        """The random changes of a view.

        Brightness, contrast and noise stay those of training: where the values of a scan carry the finding, an encoder
        must not learn to overlook them.
        """
        if self.augment is not None:
            return self.augment
        if self.method == "masked":
            return Augment(
                flip=training.flip,
                rotate=training.rotate,
                shift=training.shift,
                scale=training.scale,
                brightness=0.0,
                contrast=0.0,
                noise=0.0,
                chance=0.0,
            )
        wider = {
            "rotate": max(training.rotate, 20.0),
            "shift": max(training.shift, 0.1),
            "scale": max(training.scale, 0.25),
            "blur": max(training.blur, 1.0),
            "holes": max(training.holes, 0.2),
            "chance": max(training.chance, 0.5),
        }
        return training.model_copy(update=wider)

    @property
    def fitting(self) -> Train:
        """The same optimizer and schedule as a train section: AdamW, a warm-up and half a cosine."""
        return Train(
            epochs=self.epochs,
            batch=self.batch,
            lr=self.lr,
            weight_decay=self.weight_decay,
            warmup_epochs=self.warmup_epochs,
            schedule="cosine",
        )
