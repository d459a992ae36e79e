"""The network of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from insula.core.recipe_section import Section

Pool = Literal["mean", "max", "attention", "transformer"]


class Normalise(Section):
    """Channel means and standard deviations, subtracted and divided inside the network's graph.

    mean: of each channel, or one for all. std: the same number of them, above 0.
    """

    mean: tuple[float, ...] = (0.5,)
    std: tuple[Annotated[float, Field(gt=0.0)], ...] = (0.25,)

    @model_validator(mode="after")
    def _check(self) -> Normalise:
        if len(self.mean) != len(self.std):
            raise ValueError(f"normalise has {len(self.mean)} means and {len(self.std)} standard deviations")
        return self


class RoleModel(Section):
    """What differs for one role; an absent key is the model's.

    encoder, pretrained, normalise, pool: as in `model`, for this role alone.
    """

    encoder: str | None = None
    pretrained: bool | str | None = None
    normalise: Normalise | None = None
    pool: Pool | None = None


class Model(Section):
    """The network: one encoder for each role, pooling over slices and bags, fusion, dropout before the heads.

    encoder: a name of the table of encoders, or any of timm. pretrained: true for published weights, a file, or false.
    normalise: of every role, unless `roles` says otherwise. dropout: share of the features dropped before the heads.
    pool: over the slices of a series or the tiles of a slide. bags: over the series or slides of one patient.
    features: of each role once it is brought to one size for fusion, and of the fused embedding. roles: what differs
    for one role. members: networks whose answers are averaged in one bundle; 1 is no ensemble.
    """

    encoder: str
    pretrained: bool | str = False
    normalise: Normalise = Normalise()
    pool: Pool = "mean"
    bags: Literal["mean", "max", "attention"] = "mean"
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    features: Annotated[int, Field(ge=8, le=4096)] = 512
    roles: dict[str, RoleModel] = Field(default_factory=dict)
    members: Annotated[int, Field(ge=1, le=64)] = 1

    def of(self, role: str) -> RoleModel:
        """What holds for a role, every key resolved."""
        own = self.roles.get(role, RoleModel())
        return RoleModel(
            encoder=own.encoder or self.encoder,
            pretrained=self.pretrained if own.pretrained is None else own.pretrained,
            normalise=own.normalise or self.normalise,
            pool=own.pool or self.pool,
        )
