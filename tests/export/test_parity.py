"""The graph is held to the network, and to no more than the network's own rounding where a unit lies on its kink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from tests import made_arrays

from insula.core.errors import ExportError
from insula.core.types import Case, Scan
from insula.export.parity import TOLERANCE, check
from insula.infer import engine
from insula.model import network
from insula.prep.cache import Prepared

pytestmark = pytest.mark.train
RECIPE = made_arrays.recipe()
PICTURES = np.random.default_rng(3).random((2, 1, 8, 8)).astype(np.float32)
CASE = Case("c", "c", {"mri": Scan(("c.npy",), "npy")}, {"tumour": ("benign",)}, split="val")
PREPARED = {"mri": Prepared(PICTURES, {"c": (0, 2)}, {})}
SUM = float(torch.from_numpy(PICTURES).sum())


@dataclass(frozen=True)
class Stepped:
    """A network whose class map steps from 0 to 1 where the pictures' sum reaches a level."""

    level: float

    def explain(self, x: dict[str, torch.Tensor], mask: dict[str, torch.Tensor], clinical: Any) -> network.Outputs:
        step = float(float(x["mri"].sum()) >= self.level)
        maps = {"mri": torch.full((1, 3, 2, 2, 2), step)}
        return network.Outputs(torch.zeros(1, 3), torch.zeros(1, 4), maps, {"mri": torch.ones(1, 2)})


@dataclass(frozen=True)
class Graph:
    """A graph that answers with one value in all cells of its maps, and one in its columns."""

    cell: float
    column: float = 0.0
    input_shapes: ClassVar[dict[str, tuple[int, int, int]]] = {"mri": (1, 8, 8)}

    def run(self, feed: Any) -> engine.Outputs:
        maps = {"mri": np.full((1, 3, 2, 2, 2), self.cell, np.float32)}
        columns = np.full((1, 3), self.column, np.float32)
        return engine.Outputs(columns, np.zeros((1, 4), np.float32), maps, {"mri": np.ones((1, 2), np.float32)})


@dataclass(frozen=True)
class Largest:
    """A network whose class map tells which of two slices, equal but for rounding, is the larger one."""

    def explain(self, x: dict[str, torch.Tensor], mask: dict[str, torch.Tensor], clinical: Any) -> network.Outputs:
        sums = x["mri"].sum(dim=(0, 2, 3, 4))
        step = float(int(sums.argmax()))
        maps = {"mri": torch.full((1, 3, 2, 2, 2), step)}
        return network.Outputs(torch.zeros(1, 3), torch.zeros(1, 4), maps, {"mri": torch.ones(1, 2)})


def asked(level: float, graph: Graph) -> float:
    return check(Stepped(level), graph, [CASE], PREPARED, RECIPE).maps  # type: ignore[arg-type]


def test_a_map_that_jumps_by_rounding_alone_is_not_the_graphs_fault_and_is_told() -> None:
    assert asked(SUM, Graph(1.0)) == 0.0
    assert asked(SUM, Graph(0.0)) == 1.0


def test_a_maximum_over_slices_that_are_as_good_as_equal_may_take_either() -> None:
    twice = np.repeat(PICTURES[:1], 2, axis=0)
    prepared = {"mri": Prepared(twice, {"c": (0, 2)}, {})}
    for cell in (0.0, 1.0):
        found = check(Largest(), Graph(cell), [CASE], prepared, RECIPE)  # type: ignore[arg-type]
        assert found.maps in (0.0, 1.0)
    apart = {"mri": Prepared(twice * np.array([1.0, 0.999], np.float32)[:, None, None, None], {"c": (0, 2)}, {})}
    with pytest.raises(ExportError, match="in a class map"):
        check(Largest(), Graph(1.0), [CASE], apart, RECIPE)  # type: ignore[arg-type]


def test_a_jump_may_be_taken_with_the_rounding_that_any_map_has() -> None:
    assert asked(SUM, Graph(1.0 + 0.5 * TOLERANCE)) < TOLERANCE
    assert asked(SUM, Graph(-0.5 * TOLERANCE)) > 1.0  # beyond the jump itself, by less than the tolerance
    with pytest.raises(ExportError, match="in a class map"):
        asked(SUM, Graph(-3.0 * TOLERANCE))


@pytest.mark.parametrize("cell", [1.0 - 3.0 * TOLERANCE, float("nan")])
def test_a_map_that_differs_where_nothing_jumps_is_refused(cell: float) -> None:
    with pytest.raises(ExportError, match="in a class map on case 1 of 1"):
        asked(SUM / 2, Graph(cell))


def test_a_column_has_no_such_excuse() -> None:
    with pytest.raises(ExportError, match="in a column"):
        asked(SUM, Graph(0.0, column=3.0 * TOLERANCE))
