from pathlib import Path

import numpy as np
import pytest

from insula.core import recipe as recipes
from insula.core.errors import CohortError
from insula.core.types import Case, Scan
from insula.prep import cache
from insula.prep.run import prepare
from insula.scans.read import read_files


def cohort(root: Path, count: int = 3) -> list[Case]:
    rng = np.random.default_rng(5)
    cases = []
    for i in range(count):
        np.save(root / f"{i}.npy", rng.random((i + 2, 12, 12)).astype(np.float32))
        cases.append(Case(f"c{i}", f"p{i}", {"mri": Scan((f"{i}.npy",), "npy")}, {}))
    return cases


SECTION = recipes.load("brain-tumour", ("inputs.mri.prep=[percentile: [1, 99], resize: 16]",)).input


def test_a_cache_holds_what_prepare_gives_and_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = cohort(tmp_path)
    opened = cache.build(cases, tmp_path, "mri", SECTION, tmp_path / "cache")
    for case in cases:
        ours = prepare(read_files(cache.scan_files(case.scans["mri"], tmp_path)), SECTION)
        np.testing.assert_array_equal(opened.case(case.key), ours)
    monkeypatch.setattr(cache, "read_files", None)  # a second build must not read a scan again
    again = cache.build(reversed(cases), tmp_path, "mri", SECTION, tmp_path / "cache")
    np.testing.assert_array_equal(again.slices, opened.slices)


def test_a_changed_file_or_step_meets_no_old_cache(tmp_path: Path) -> None:
    cases = cohort(tmp_path)
    name = cache.cache_name(cases, tmp_path, "mri", SECTION)
    other = recipes.load("brain-tumour", ("inputs.mri.prep=[percentile: [1, 99], resize: 24]",)).input
    assert cache.cache_name(cases, tmp_path, "mri", other) != name
    np.save(tmp_path / "1.npy", np.ones((2, 12, 13), np.float32))
    assert cache.cache_name(cases, tmp_path, "mri", SECTION) != name


def test_an_unreadable_case_is_listed_and_none_left_is_an_error(tmp_path: Path) -> None:
    cases = cohort(tmp_path)
    (tmp_path / "1.npy").write_bytes(b"")
    opened = cache.build(cases, tmp_path, "mri", SECTION, tmp_path / "cache")
    assert set(opened.places) == {"c0", "c2"}
    assert "c1" in opened.failures
    (tmp_path / "0.npy").write_bytes(b"")
    with pytest.raises(CohortError, match="None of 2 cases"):
        cache.build(cases[:2], tmp_path, "mri", SECTION, tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())
