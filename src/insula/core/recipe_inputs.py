"""The inputs of a recipe: scans by role, and clinical columns."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from insula.core.recipe_section import Probability, Section


class PrepStep(Section):
    """One named preparation step with its parameters; written `{name: parameters}` or just `name` in YAML.

    name: of the table of steps. params: as that step takes them; a bare value stands for its main one.
    """

    name: str
    params: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and len(value) == 1 and "name" not in value:
            name, params = next(iter(value.items()))
            if not isinstance(params, dict):
                params = {"value": params}
            return {"name": name, "params": params}
        return value


class Tiles(Section):
    """How a whole slide becomes a bag of tiles.

    size: pixels a side. mpp: micrometres a pixel at which tiles are taken. downsample: pixels of the slide under one of
    a tile, for slides that do not say their resolution. most: tiles of one slide. overlap: pixels that neighbours
    share. tissue: share of a tile that must be tissue.
    """

    size: Annotated[int, Field(ge=32, le=1024)] = 224
    mpp: Annotated[float, Field(ge=0.1, le=50.0)] = 2.0
    downsample: Annotated[float, Field(ge=1.0, le=256.0)] = 4.0
    most: Annotated[int, Field(ge=1, le=1024)] = 64
    overlap: Annotated[int, Field(ge=0)] = 0
    tissue: Probability = 0.3

    @model_validator(mode="after")
    def _check(self) -> Tiles:
        if self.overlap > self.size // 2:
            raise ValueError(f"overlap {self.overlap} is more than half of size {self.size}")
        return self


class Input(Section):
    """One role: which modality, what counts as one input of the network, and how it is prepared.

    modality: of the scans that are taken: CT, MR, SM (slides), OT (pictures of any other kind). unit: `series`, all
    slices of a scan are one input, pooled by the network; `image`, each slice is an input of its own, and a patient's
    answers are pooled by the policy. tiles: how whole slides are cut (modality SM); a recipe without it refuses them.
    prep: the preparation steps, in the order in which they are done.
    """

    modality: Literal["CT", "MR", "SM", "OT"]
    unit: Literal["series", "image"] = "series"
    tiles: Tiles | None = None
    prep: tuple[PrepStep, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _slides_alone(self) -> Input:
        if self.tiles is not None and self.modality != "SM":
            raise ValueError(f"tiles are for slides (modality SM), and this input takes {self.modality}")
        return self


class ClinicalColumn(Section):
    """One clinical column beside the scans, read from the case's attributes; an empty cell is a missing value.

    kind: `number` is standardised by mean and standard deviation of the training patients, which travel in the network;
    `category` is one of `values`, and anything else counts as missing. values: of a category.
    """

    kind: Literal["number", "category"] = "number"
    values: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> ClinicalColumn:
        if self.kind == "category" and (len(self.values) < 2 or len(set(self.values)) != len(self.values)):
            raise ValueError(f"a category needs two or more different values, and this one has {list(self.values)}")
        if self.kind == "number" and self.values:
            raise ValueError("a number has no values to choose from; write kind: category")
        return self

    @property
    def width(self) -> int:
        """How many numbers of the network's clinical input the column takes."""
        return len(self.values) if self.kind == "category" else 1
