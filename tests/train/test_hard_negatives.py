from pathlib import Path

import numpy as np
import pytest

from insula.core.errors import TrainingError
from insula.train.hard_negatives import FILE, find, read, write

pytestmark = pytest.mark.train

NAMES = [f"case-{i}" for i in range(6)]


def test_negatives_at_or_above_the_threshold_are_found_highest_first() -> None:
    found = find([0.9, 0.2, 0.5, 0.95, 0.7, 0.49], [True, True, True, False, True, True], 0.5)
    assert found.rows.tolist() == [0, 4, 2]
    assert found.scores.tolist() == [0.9, 0.7, 0.5]
    assert len(find([0.1], [True], 0.5).rows) == 0


def test_the_list_of_each_round_is_kept_and_read_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "run" / FILE
    score = float(np.float32(0.7) / 3)
    write(path, 1, find([score, 0.9], [True, True], 0.1), NAMES)
    write(path, 2, find([0.0, 0.8], [True, True], 0.1), NAMES)
    assert read(path, 1, NAMES).scores.tolist() == [0.9, score]
    assert read(path, 2, NAMES).rows.tolist() == [1]
    assert path.read_text().splitlines()[:2] == ["round,row,input,score", "1,1,case-1,0.9"]
    write(path, 1, find([0.6], [True], 0.1), NAMES)  # round 1 again: what came after it is void
    assert read(path, 1, NAMES).rows.tolist() == [0]
    assert len(read(path, 2, NAMES).rows) == 0


def test_a_name_that_begins_a_formula_comes_back_as_it_was(tmp_path: Path) -> None:
    path, name = tmp_path / "hard.csv", "=HYPERLINK(1)/a.dcm"
    for number in (1, 2):
        write(path, number, find([0.9], [True], 0.5), [name])
    assert f",'{name}," in path.read_text()
    assert f",{name}," not in path.read_text()
    assert read(path, 1, [name]).rows.tolist() == read(path, 2, [name]).rows.tolist() == [0]


def test_a_changed_cohort_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / FILE
    write(path, 1, find([0.9], [True], 0.5), NAMES)
    with pytest.raises(TrainingError, match="case-0' as training input 0"):
        read(path, 1, ["another", *NAMES])
