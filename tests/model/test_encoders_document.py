"""The table of docs/models.md says what the code counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from insula.model.cost import cost
from insula.model.encoders import NAMED

pytestmark = pytest.mark.train
PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
ROWS = {cells[0]: cells[1:] for cells in re.findall("^" + r"\| ([^|]+) " * 9 + r"\|$", PAGE, re.MULTILINE)[1:]}


def test_every_named_encoder_stands_in_the_table_with_a_step_that_learns_and_an_export() -> None:
    assert [f"`{name}`" for name in NAMED] == list(ROWS)
    for name, cells in ROWS.items():
        before, after = (float(x) for x in cells[6].split(" → "))
        assert after < before, name
        assert float(cells[7]) < 1e-4, name


@pytest.mark.parametrize("name", NAMED)
def test_its_counts_are_the_codes(name: str) -> None:
    given, parameters, multiply_adds, features, cells, kept, *_ = ROWS[f"`{name}`"]
    channels, *depth, height, width = (int(n) for n in given.split("×"))
    found = cost(name, channels, (height, width), *depth)
    assert f"{found.parameters / 1e6:.3f}" == parameters
    assert f"{found.multiply_adds / 1e9:.2f}" == multiply_adds
    assert str(found.features) == features
    assert cells.endswith(f"{found.cells[0]}×{found.cells[1]}")
    assert f"{found.kept / 2**20:.0f} / {found.kept_checkpointed / 2**20:.0f}" == kept
