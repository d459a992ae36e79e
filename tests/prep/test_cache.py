from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

from insula.core import recipe as recipes
from insula.core.errors import CohortError
from insula.core.types import Case, Scan
from insula.prep import cache, store
from insula.prep.run import prepare
from insula.scans.read import read_files
from insula.scans.sandbox import Sandbox

SECTION = recipes.load("brain-tumour", ("inputs.mri.prep=[percentile: [1, 99], resize: 16]",)).input


def cohort(root: Path, count: int = 3) -> list[Case]:
    rng = np.random.default_rng(5)
    cases = []
    for i in range(count):
        np.save(root / f"{i}.npy", rng.random((i % 5 + 2, 12, 12)).astype(np.float32))
        cases.append(Case(f"c{i:03}", f"p{i}", {"mri": Scan((f"{i}.npy",), "npy")}, {}))
    return cases


def build(cases: list[Case], root: Path, folder: Path, workers: int | None = None) -> cache.Prepared:
    return cache.build(cases, root, "mri", SECTION, folder, workers=workers)


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (folder / cache.cache_name("mri", SECTION)).glob("slices-*")}


def decoded(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The names of the cases' files that go to a process from now on."""
    seen: list[list[str]] = []
    real = cache._work

    def counted(pool: Sandbox, base: Path, names: list[str], *rest: object) -> object:
        seen.append(names)
        return real(pool, base, names, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(cache, "_work", counted)
    return seen


def test_a_cache_holds_what_prepare_gives_and_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = cohort(tmp_path)
    opened = build(cases, tmp_path, tmp_path / "cache")
    for case in cases:
        ours = prepare(read_files([tmp_path / name for name in case.scans["mri"].paths]), SECTION)
        np.testing.assert_array_equal(opened.case(case.key), ours)
    seen = decoded(monkeypatch)
    again = build(cases[::-1], tmp_path, tmp_path / "cache")
    np.testing.assert_array_equal(again.slices, opened.slices)
    assert (again.places, seen) == (opened.places, [])
    plain = cache.open_cache(tmp_path / "cache" / cache.cache_name("mri", SECTION))
    assert plain.places == opened.places


def test_only_a_file_that_changed_is_prepared_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = cohort(tmp_path)
    first = build(cases, tmp_path, tmp_path / "cache")
    seen = decoded(monkeypatch)
    changed = np.ones((2, 12, 13), np.float32)
    changed[0, 0] = 0.0
    np.save(tmp_path / "1.npy", changed)
    second = build(cases, tmp_path, tmp_path / "cache")
    assert seen == [["1.npy"]]
    np.testing.assert_array_equal(second.case("c001"), prepare(read_files([tmp_path / "1.npy"]), SECTION))
    assert (second.places["c000"], second.places["c002"]) == (first.places["c000"], first.places["c002"])


def test_a_touched_or_moved_file_is_hashed_and_not_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    cases = cohort(tmp_path / "a")
    first = build(cases, tmp_path / "a", tmp_path / "cache")
    before = content(tmp_path / "cache")
    os.utime(tmp_path / "a" / "1.npy", (1, 1))
    seen = decoded(monkeypatch)
    assert build(cases, tmp_path / "a", tmp_path / "cache").places == first.places
    assert seen == [["1.npy"]]
    assert build(cases, tmp_path / "a", tmp_path / "cache").places == first.places
    assert len(seen) == 1
    (tmp_path / "a").rename(tmp_path / "b")
    assert build(cases, tmp_path / "b", tmp_path / "cache").places == first.places
    assert content(tmp_path / "cache") == before


def test_a_changed_step_meets_no_old_slices(tmp_path: Path) -> None:
    other = recipes.load("brain-tumour", ("inputs.mri.prep=[percentile: [1, 99], resize: 24]",)).input
    assert cache.cache_name("mri", other) != cache.cache_name("mri", SECTION) != cache.cache_name("ct", SECTION)


def test_other_cohorts_with_the_same_scans_share_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = cohort(tmp_path, 4)
    build(cases[:3], tmp_path, tmp_path / "cache")
    seen = decoded(monkeypatch)
    opened = build(cases[1:], tmp_path, tmp_path / "cache")
    assert seen == [["3.npy"]]
    assert set(opened.places) == {"c001", "c002", "c003"}


def test_an_unreadable_case_is_listed_and_none_left_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = cohort(tmp_path)
    (tmp_path / "1.npy").write_bytes(b"rubbish")
    opened = build(cases, tmp_path, tmp_path / "cache")
    assert set(opened.places) == {"c000", "c002"}
    assert "no scan by its content" in opened.failures["c001"]
    seen = decoded(monkeypatch)
    assert build(cases, tmp_path, tmp_path / "cache").failures == opened.failures
    assert seen == []  # the same bytes will not be readable the second time
    (tmp_path / "0.npy").unlink()
    with pytest.raises(CohortError, match="None of 2 cases"):
        build(cases[:2], tmp_path, tmp_path / "other")


def test_slices_of_several_sizes_are_refused_by_name(tmp_path: Path) -> None:
    section = recipes.load("brain-tumour", ("inputs.mri.prep=[percentile: [1, 99]]",)).input
    cases = cohort(tmp_path)
    np.save(tmp_path / "2.npy", np.random.default_rng(0).random((2, 9, 9)))
    with pytest.raises(CohortError, match=r"'c002' gives slices of \(1, 9, 9\)"):
        cache.build(cases, tmp_path, "mri", section, tmp_path / "cache")
    one = cache.build(cases[2:], tmp_path, "mri", section, tmp_path / "cache")
    assert one.slices.shape[1:] == (1, 9, 9)


def test_the_json_beside_a_nifti_file_counts_as_its_content(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.random.default_rng(0).random((8, 8, 2)), np.eye(4))
    nibabel.save(image, tmp_path / "a.nii.gz")
    case = Case("c", "p", {"mri": Scan(("a.nii.gz",), "nifti")}, {})
    assert "c" in build([case], tmp_path, tmp_path / "cache").places
    (tmp_path / "a.json").write_text('{"Modality": "CT"}')
    with pytest.raises(CohortError, match="modality is CT"):
        build([case], tmp_path, tmp_path / "cache")


def several(root: Path) -> list[Case]:
    """Patients with one, two and three MRI series, one of them unreadable, and with CTs or not."""
    rng = np.random.default_rng(8)
    cases = []
    for i in range(3):
        scans = {}
        for n in range(i + 1):
            name = f"{i}-{n}.npy"
            np.save(root / name, rng.random((2 + n, 12, 12)).astype(np.float32))
            scans["mri" if n == 0 else f"mri.{n + 1}"] = Scan((name,), "npy")
        if i > 0:
            np.save(root / f"{i}-other.npy", rng.random((2, 12, 12)).astype(np.float32))
            scans["other"] = Scan((f"{i}-other.npy",), "npy")
        cases.append(Case(f"c{i}", f"p{i}", scans, {}))
    (root / "2-1.npy").write_bytes(b"rubbish")
    return cases


def test_several_scans_of_a_role_are_bags_of_one_case(tmp_path: Path) -> None:
    cases = several(tmp_path)
    opened = build(cases, tmp_path, tmp_path / "cache")
    assert set(opened.places) == {"c0", "c1", "c1#2", "c2", "c2#3"}
    assert set(opened.failures) == {"c2#2"}
    assert [[count for _, count in opened.bags(case)] for case in cases] == [[2], [2, 3], [2, 4]]
    for case, names in zip(cases, (["0-0"], ["1-0", "1-1"], ["2-0", "2-2"]), strict=True):
        arrays = opened.arrays(case)
        assert len(arrays) == len(names)
        for array, name in zip(arrays, names, strict=True):
            np.testing.assert_array_equal(array, prepare(read_files([tmp_path / f"{name}.npy"]), SECTION))
    np.testing.assert_array_equal(opened.case("c2"), opened.arrays(cases[2])[0])
    assert opened.bags(Case("unknown", "p", {}, {})) == ()
    rows = opened.rows(["c1", "c1#2", "nothing"])
    assert rows.tolist() == sorted(i for o, n in opened.bags(cases[1]) for i in range(o, o + n))
    assert len(opened.rows()) == 2 + 2 + 3 + 2 + 4
    again = build(cases, tmp_path, tmp_path / "cache")
    assert (again.places, again.failures) == (opened.places, opened.failures)


def test_all_roles_of_a_recipe_have_a_cache_each(tmp_path: Path) -> None:
    recipe = recipes.load("brain-tumour", ("inputs.mri.prep=[percentile: [1, 99], resize: 16]",))
    other = recipe.input.model_copy(update={"prep": recipe.input.prep[:1]})
    both = recipe.model_copy(update={"inputs": {"mri": recipe.input, "other": other}})
    cases = several(tmp_path)
    opened = cache.build_all(iter(cases), tmp_path, both, tmp_path / "cache")
    assert {role: p.slices.shape[1:] for role, p in opened.items()} == {"mri": (1, 16, 16), "other": (1, 12, 12)}
    assert [len(opened["other"].arrays(case)) for case in cases] == [0, 1, 1]
    assert [len(opened["mri"].arrays(case)) for case in cases] == [1, 2, 2]
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_role_that_no_case_has_is_said_with_what_there_is(tmp_path: Path) -> None:
    recipe = recipes.load("brain-tumour")
    absent = recipe.model_copy(update={"inputs": {"mri": recipe.input, "ct": recipe.input}})
    cases = several(tmp_path)
    with pytest.raises(CohortError, match=r"No case .* input 'ct' \(there is mri, mri\.2, mri\.3, other\)"):
        cache.build_all(cases, tmp_path, absent, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    with pytest.raises(CohortError, match=r"\(there is none\)"):
        cache.build_all([], tmp_path, absent, tmp_path / "cache")


@pytest.mark.parametrize("torn", [1, 7, 60, 400])
def test_a_torn_tail_is_cut_off_and_made_good(tmp_path: Path, torn: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = cohort(tmp_path, 6)
    build(cases, tmp_path, tmp_path / "cache")
    whole, folder = content(tmp_path / "cache"), tmp_path / "cache" / cache.cache_name("mri", SECTION)
    journal = (folder / store.JOURNAL).read_bytes()
    (folder / store.JOURNAL).write_bytes(journal[:-torn])
    seen = decoded(monkeypatch)
    build(cases, tmp_path, tmp_path / "cache")
    assert content(tmp_path / "cache") == whole
    assert len(seen) < 3


def test_slices_that_are_not_what_was_written_are_made_again(tmp_path: Path) -> None:
    cases = cohort(tmp_path, 6)
    build(cases, tmp_path, tmp_path / "cache")
    whole, folder = content(tmp_path / "cache"), tmp_path / "cache" / cache.cache_name("mri", SECTION)
    lines = (folder / store.JOURNAL).read_bytes().splitlines(keepends=True)
    assert b"synced" in lines[-1]
    (folder / store.JOURNAL).write_bytes(b"".join(line for line in lines if b"synced" not in line))
    array = next(folder.glob("slices-*"))
    with array.open("r+b") as stream:
        stream.seek(-5000, os.SEEK_END)
        stream.write(bytes(100))
    build(cases, tmp_path, tmp_path / "cache")
    assert content(tmp_path / "cache") == whole
    os.truncate(array, array.stat().st_size // 2)
    build(cases, tmp_path, tmp_path / "cache")
    assert content(tmp_path / "cache") == whole


SCRIPT = """
import sys
from pathlib import Path
from tests.prep.test_cache import SECTION, build
from insula.core.types import Case, Scan
root = Path(sys.argv[1])
cases = [Case(f"c{i:03}", f"p{i}", {"mri": Scan((f"{i}.npy",), "npy")}, {}) for i in range(int(sys.argv[2]))]
print("go", flush=True)
build(cases, root, root / "cache", int(sys.argv[3]))
"""


@pytest.mark.slow
def test_a_build_killed_at_any_moment_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    count, rng = 300, np.random.default_rng(3)
    cases = cohort(tmp_path, count)
    build(cases, tmp_path, tmp_path / "whole", workers=2)
    build(cases, tmp_path, tmp_path / "single", workers=1)
    assert content(tmp_path / "whole") == content(tmp_path / "single")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(count), "2"]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    folder, kept, kills = tmp_path / "cache" / cache.cache_name("mri", SECTION), [0], 0
    while True:
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, start_new_session=True)
        assert process.stdout is not None
        assert process.stdout.readline() == b"go\n"
        deadline, target = time.monotonic() + 120, kept[-1] + int(rng.integers(25, 80))
        while process.poll() is None and len(store.read(folder)[0].places) < target and time.monotonic() < deadline:
            time.sleep(0.003)
        time.sleep(float(rng.uniform(0, 0.02)))
        finished = process.poll() is not None
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        kept.append(len(store.read(folder)[0].places))
        assert kept[-1] >= kept[-2]
        if finished:
            assert process.returncode == 0
            break
        kills += 1
    assert kills >= 4
    assert content(tmp_path / "cache") == content(tmp_path / "whole")
    assert build(cases, tmp_path, tmp_path / "cache").places == build(cases, tmp_path, tmp_path / "whole").places
    shutil.rmtree(tmp_path / "cache")
