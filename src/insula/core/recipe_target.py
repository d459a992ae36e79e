"""The questions of a recipe: what is predicted, and of which kind the answer is."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from insula.core.recipe_section import Section

_CLASS_NAME = re.compile(r"[^\W_][\w .+-]{0,63}")


Kind = Literal["binary", "multiclass", "multilabel", "ordinal", "survival", "regression"]
EXCLUSIVE: tuple[Kind, ...] = ("binary", "multiclass", "ordinal")
GRADED: tuple[Kind, ...] = ("survival", "regression")


class Target(Section):
    """One question's answer.

    kind: `binary` (two exclusive classes, one logit), `multiclass` (exclusive classes), `multilabel` (labels that may
    stand together), `ordinal` (exclusive classes in rising order), `survival` (time and event; the answer is a relative
    hazard), `regression` (a number). classes: their names; rising for an ordinal target, and none for survival and
    regression. positive: the class or label that thresholds, sensitivity and the headline are
    about; by default the last class of a binary or ordinal target. column: the attribute of a case that holds the label
    where the cohort has none by the target's own name (several labels are joined by ';'). time, event: the attributes
    of a survival target. horizons: days at which survival is stated. words: what people read for a class (`any`:
    `intracranial haemorrhage`); tables, files and the API keep the class's own name.
    """

    kind: Kind
    classes: tuple[str, ...] = ()
    positive: str = Field(default="", alias="primary")
    column: str = ""
    time: str = ""
    event: str = ""
    horizons: tuple[Annotated[float, Field(gt=0.0)], ...] = (365.0, 730.0)
    words: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _last_by_default(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("kind") not in ("binary", "ordinal") or not value.get("classes"):
            return value
        return {"primary": list(value["classes"])[-1], **value} if "positive" not in value else value

    @model_validator(mode="after")
    def _check(self) -> Target:
        if (self.time or self.event) and self.kind != "survival":
            raise ValueError(f"time and event are columns of a survival target, and this one is {self.kind}")
        if self.kind == "survival" and not (self.time and self.event):
            raise ValueError("survival needs the names of the columns time and event")
        if self.graded:
            if self.classes or self.positive or self.words:
                raise ValueError(f"{self.kind} has no classes; remove classes, primary and words")
            return self
        if len(self.classes) < 2 or (self.kind == "binary" and len(self.classes) != 2):
            wanted = "exactly two" if self.kind == "binary" else "at least two"
            raise ValueError(f"{self.kind} takes {wanted} classes, and there are {len(self.classes)}")
        if self.kind == "ordinal" and len(self.classes) < 3:
            raise ValueError("ordinal takes at least three classes; for two write binary")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes {list(self.classes)} repeat a name")
        for name in self.classes:
            if not _CLASS_NAME.fullmatch(name) or name == "macro":
                raise ValueError(
                    f"'{name}' is no class name: it names columns and files, so give letters, digits, spaces and .+- "
                    "after a letter or digit, 64 at most, and not 'macro'"
                )
        if self.positive not in self.classes:
            raise ValueError(f"primary '{self.positive}' is not one of the classes {list(self.classes)}")
        for name, said in self.words.items():
            if name not in self.classes:
                raise ValueError(f"words has '{name}', which is not one of the classes {list(self.classes)}")
            if not _CLASS_NAME.fullmatch(said):
                raise ValueError(
                    f"words says '{said}' for {name}: give letters, digits, spaces and .+- after a letter or digit, "
                    "64 at most"
                )
        if len({self.say(name) for name in self.classes}) != len(self.classes):
            raise ValueError(f"words says the same for two of the classes {list(self.classes)}")
        return self

    def say(self, label: str) -> str:
        """A label as people read it: "no any" and several joined by ";" as well; as it is where there are no words."""
        if label in self.classes:
            return self.words.get(label, label)
        if ";" in label:
            return "; ".join(self.say(part.strip()) for part in label.split(";"))
        bare = label.removeprefix("no ")
        return f"no {self.words.get(bare, bare)}" if bare != label and bare in self.classes else label

    @property
    def graded(self) -> bool:
        """Whether the answer is a number (a hazard, a measure) and not a class."""
        return self.kind in GRADED

    @property
    def exclusive(self) -> bool:
        """Whether exactly one class is true: then probabilities are a softmax over the columns."""
        return self.kind in EXCLUSIVE

    @property
    def columns(self) -> int:
        """Columns of the network's output that belong to this target."""
        return 1 if self.graded else len(self.classes)

    @property
    def label_columns(self) -> int:
        """Columns of a label: one a class; time and event for survival; the number for a regression."""
        return 2 if self.kind == "survival" else self.columns

    @property
    def positive_index(self) -> int:
        """Column of the positive class."""
        return self.classes.index(self.positive)

    @property
    def any_of_the_others(self) -> bool:
        """Whether the positive label is `any`, which each other label implies and which no other can stand without."""
        return self.kind == "multilabel" and self.positive == "any"
