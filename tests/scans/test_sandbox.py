from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tests.scans import made_dicom

from insula.core.errors import InsulaError, LimitError, ScanError, UnsuitableScanError
from insula.core.types import Volume
from insula.scans import decoder, read, sandbox, worker
from insula.scans.limits import Limits
from insula.scans.sandbox import DecoderError, Sandbox

FAULTS = "tests.scans.made_faults:"
SHARED_MEMORY = Path("/dev/shm")
OTHERS = ("sem.", "PostgreSQL.", "torch_")  # of programs and tests that run beside this one


def shared_memory() -> list[str]:
    names = (path.name for path in SHARED_MEMORY.glob("*")) if SHARED_MEMORY.is_dir() else ()
    return sorted(name for name in names if not name.startswith(OTHERS))


@pytest.fixture(scope="module")
def pool() -> Iterator[Sandbox]:
    with Sandbox(2).start(2) as opened:
        yield opened


def equal(one: Volume, other: Volume) -> None:
    for field in dataclasses.fields(Volume):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)
        else:
            assert mine == theirs
            assert type(mine) is type(theirs)


def test_a_volume_is_the_same_as_when_it_is_read_here(pool: Sandbox, tmp_path: Path) -> None:
    paths = made_dicom.series(tmp_path / "s", [(0, 0, 3 * k) for k in range(4)])
    equal(pool.read_files(paths), read.read_files(paths))
    equal(pool.read(tmp_path / "s"), read.read(tmp_path / "s"))
    volume = pool.read_files(paths)
    volume.array[:] = 0  # a private view: nobody else sees it
    assert pool.read_files(paths).array.any()


def test_relative_paths_are_meant_from_the_folder_of_the_call(
    pool: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "a.npy", np.eye(5))
    monkeypatch.chdir(tmp_path)
    assert pool.read(Path("a.npy")).source == "a.npy"


def test_the_errors_are_those_of_reading_here(pool: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"rubbish" * 40)
    np.save(tmp_path / "b.npy", np.zeros((9, 9)))
    for paths, allowed in (
        ([tmp_path / "a.dcm"], Limits()),
        ([tmp_path / "nowhere"], Limits()),
        ([tmp_path / "b.npy"], Limits(max_voxels=80)),
        ([tmp_path / "b.npy", tmp_path / "b.npy"], Limits()),
        ([], Limits()),
    ):
        with pytest.raises(InsulaError) as here:
            read.read_files(paths, allowed)
        with pytest.raises(InsulaError) as there:
            pool.read_files(paths, allowed)
        assert (type(there.value), str(there.value)) == (type(here.value), str(here.value))
    with pytest.raises(UnsuitableScanError, match="wrong kind"):
        pool.run(FAULTS + "typed", "x", {})


@pytest.mark.parametrize(
    ("fault", "kind", "raised", "said"),
    [
        ("segfault", "crash", ScanError, "'x.dcm' made its decoder fail (SIGSEGV)"),
        ("aborted", "crash", ScanError, "(SIGABRT)"),
        ("left", "crash", ScanError, "(exit code 3"),
        ("killed", "memory", LimitError, "was killed twice"),
        ("untyped", "untyped", ScanError, "KeyError: 'no such thing'"),
    ],
)
def test_a_fault_costs_its_file_only(
    pool: Sandbox, tmp_path: Path, fault: str, kind: str, raised: type[ScanError], said: str
) -> None:
    before = shared_memory()
    with pytest.raises(ScanError) as found:
        pool.run(FAULTS + fault, "x.dcm", {})
    assert type(found.value) is raised
    assert said in str(found.value)
    assert isinstance(found.value.__cause__, DecoderError)
    assert found.value.__cause__.kind == kind
    np.save(tmp_path / "a.npy", np.eye(5))
    assert pool.read(tmp_path / "a.npy").array.shape == (1, 1, 5, 5)
    assert shared_memory() == before


def test_a_hang_ends_at_the_time_limit() -> None:
    with Sandbox(seconds=60.0) as own:
        first = own.run(FAULTS + "leaves", "x", {}).facts["pid"]
        with pytest.raises(LimitError, match=r"'x\.png' took longer than the 0\.2 s"):
            own.run(FAULTS + "hang", "x.png", {}, seconds=0.2)
        assert own.run(FAULTS + "leaves", "x", {}).facts["pid"] != first


def test_a_worker_that_is_killed_leaves_no_temporary_files(tmp_path: Path) -> None:
    told = tmp_path / "told"
    with Sandbox(seconds=60.0) as own:
        own.run(FAULTS + "leaves", "x", {})
        with pytest.raises(LimitError):
            own.run(FAULTS + "litter", "x", {"told": str(told)}, seconds=1.0)
        assert not Path(told.read_text(encoding="utf-8")).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space of a process")
def test_more_memory_than_allowed_is_a_limit_error() -> None:
    with Sandbox(memory=1 << 30) as own:
        assert own.run(FAULTS + "greedy", "x", {"bytes": 1 << 20}).arrays[0].all()
        with pytest.raises(LimitError, match=r"'x\.nii' needs more than the 1024 MB") as found:
            own.run(FAULTS + "greedy", "x.nii", {"bytes": 1 << 30})
        assert isinstance(found.value.__cause__, DecoderError)
        assert found.value.__cause__.kind == "memory"
        limits = own.run(FAULTS + "leaves", "x", {}).facts["limits"]
    lines = {line[:26].strip(): line[26:].split() for line in limits.splitlines()}
    assert lines["Max address space"][0] == str(1 << 30)
    assert lines["Max core file size"][0] == "0"  # a core file would hold the patient's pixels


def test_several_threads_share_a_pool_and_get_their_own_answers(pool: Sandbox, tmp_path: Path) -> None:
    for i in range(12):
        np.save(tmp_path / f"{i}.npy", np.full((4, 4), i))

    def one(i: int) -> float:
        if i % 3 == 2:
            with pytest.raises(ScanError):
                pool.run(FAULTS + "left", "x", {})
        return float(pool.read(tmp_path / f"{i}.npy").array.mean())

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(one, range(12))) == list(range(12))


def test_nothing_is_left_when_the_pool_is_closed() -> None:
    with Sandbox() as own:
        pid = own.run(FAULTS + "leaves", "x", {}).facts["pid"]
        answer = own.run(FAULTS + "leaves", "x", {})
        assert os.kill(pid, 0) is None  # type: ignore[func-returns-value]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert answer.arrays[0].tolist() == [[0, 1, 2], [3, 4, 5]]  # arrays outlive their process
    with pytest.raises(InsulaError, match="were closed"):
        own.read(Path("x"))


def test_a_worker_that_died_while_idle_is_replaced_unseen() -> None:
    with Sandbox() as own:
        pid = own.run(FAULTS + "leaves", "x", {}).facts["pid"]
        own._idle[0]._process.kill()
        own._idle[0]._process.wait()
        assert own.run(FAULTS + "leaves", "x", {}).facts["pid"] != pid
        own.run(FAULTS + "nonsense", "x", {})  # from now on it lies about the length of its arrays
        with pytest.raises(ScanError, match="made its decoder fail"):
            own.run(FAULTS + "leaves", "x", {})


def test_a_process_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "_CODE", "raise SystemExit(7) # {} {}")
    with Sandbox() as own, pytest.raises(InsulaError, match=r"did not start \(exit code 7\)"):
        own.read(Path("x"))


def test_a_worker_ends_with_its_parent() -> None:
    code = (
        "import os\nfrom insula.scans.sandbox import Sandbox\n"
        f"print(Sandbox().run('{FAULTS}leaves', 'x', {{}}).facts['pid'], flush=True)\nos.kill(os.getpid(), 9)"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    pid = int(ran.stdout)
    for _ in range(600):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        subprocess.run(["sleep", "0.05"], check=True)
    pytest.fail("the worker lives on without its parent")


@pytest.mark.parametrize("shapes", [[[[-1], "<f4"]], [[[2], "|O"]], [[[2], "<M8[s]"]]])
def test_only_plain_arrays_cross(shapes: list[object]) -> None:
    with pytest.raises(ValueError, match="no plain array"):
        worker.layout(shapes)


def test_the_pool_of_the_process_is_one() -> None:
    assert sandbox.shared() is sandbox.shared()
