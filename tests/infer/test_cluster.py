"""Two Ray actors on this machine, over a folder, a cohort and S3: the rows of the plain batch."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.infer.made_s3 import bucket
from tests.tiny_cohort import make

from insula.bundle.types import Bundle
from insula.core.errors import ScanError, UsageError
from insula.core.types import Cohort
from insula.infer.batch import batch
from insula.infer.batch_items import of_cohort, of_folder
from insula.infer.batch_record import Counts, place
from insula.infer.cluster import Job, Worker, cluster
from insula.infer.predict import Predictor
from insula.prep.cache import build_all
from insula.scans.cluster_pool import ClusterPool
from insula.scans.limits import LIMITS

Made = Callable[..., Bundle]


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    made = make(tmp_path / "scans", patients=9)
    (tmp_path / "scans/note.txt").write_text("no scan")
    (tmp_path / "scans/3/1.dcm").write_bytes(b"cut")
    return made


class Stopped(Exception):  # noqa: N818 (it stands for a kill)
    pass


def stop_at(count: int) -> Callable[[Counts], None]:
    def watch(counts: Counts) -> None:
        if counts.rows == count:
            raise Stopped

    return watch


def plain(bundle: Bundle, cohort: Cohort, out: Path) -> Counts:
    root = Path(cohort.root)
    return batch(Predictor(bundle, 1), of_folder(root, bundle.recipe), root, out)


def test_without_ray_units_give_the_rows_of_the_plain_batch_and_go_on(
    tiny_bundle: Made, cohort: Cohort, tmp_path: Path
) -> None:
    bundle, out = tiny_bundle(), tmp_path / "b.parquet"
    plain(bundle, cohort, tmp_path / "a.parquet")
    with pytest.raises(Stopped):
        cluster(bundle, cohort.root, out, "", watch=stop_at(4))
    counts = cluster(bundle, cohort.root, out, "")
    assert (counts.kept, counts.rows, counts.failed) == (4, 11, 2)
    assert pq.read_table(out).equals(pq.read_table(tmp_path / "a.parquet"))


def test_a_store_gives_the_rows_of_the_disk_and_goes_on(tiny_bundle: Made, cohort: Cohort, tmp_path: Path) -> None:
    bundle, out = tiny_bundle(), tmp_path / "b.parquet"
    plain(bundle, cohort, tmp_path / "a.parquet")
    with bucket(Path(cohort.root)) as address:
        with pytest.raises(Stopped):
            cluster(bundle, address, out, "", watch=stop_at(6))
        assert cluster(bundle, address, out, "").kept == 6
    assert pq.read_table(out).equals(pq.read_table(tmp_path / "a.parquet"))


def test_files_that_a_store_does_not_give_are_rows_to_be_made_again(
    tiny_bundle: Made, cohort: Cohort, tmp_path: Path
) -> None:
    with bucket(Path(cohort.root)) as address:
        worker = Worker(tiny_bundle(), {}, Job(address, (), 0))
        unit = json.dumps({"place": "0", "names": ["0.dcm", "gone.dcm"]})
        found = json.loads(worker({"unit": [unit]})["rows"][0])
        worker.close()
    assert [row["key"] for row in found] == ["0/0.dcm", "0/gone.dcm"]
    assert all(row["row"]["again"] and row["row"]["error"] == "unreadable_scan" for row in found)


def test_an_empty_archive_is_told(tiny_bundle: Made, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    with pytest.raises(ScanError, match="'scans' holds no file"):
        cluster(tiny_bundle(), str(tmp_path / "scans"), tmp_path / "t.parquet", "local")


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """Ray on this machine, ended with the module."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'insula[cluster]'")
    yield
    ray.shutdown()


@pytest.mark.cluster
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_two_actors_give_the_rows_of_the_plain_batch(
    ray: None, tiny_bundle: Made, cohort: Cohort, tmp_path: Path
) -> None:
    bundle, out = tiny_bundle(), tmp_path / "b.parquet"
    plain(bundle, cohort, tmp_path / "a.parquet")
    with pytest.raises(Stopped):
        cluster(bundle, cohort.root, out, "", watch=stop_at(3))  # goes on on the cluster
    assert place(out).exists()
    before = signal.getsignal(signal.SIGTERM)
    counts = cluster(bundle, cohort.root, out, "local", actors=2)
    assert signal.getsignal(signal.SIGTERM) == before  # Ray's own would end this process
    assert (counts.kept, counts.rows) == (3, 11)
    assert pq.read_table(out).equals(pq.read_table(tmp_path / "a.parquet"))


def test_a_cohort_in_units_gives_the_rows_of_the_plain_batch(tiny_bundle: Made, cohort: Cohort, tmp_path: Path) -> None:
    bundle = tiny_bundle()
    (tmp_path / "scans/3/1.dcm").unlink()
    root = Path(cohort.root)
    batch(Predictor(bundle, 1), of_cohort(cohort, bundle.recipe), root, tmp_path / "c.parquet")
    cluster(bundle, cohort, tmp_path / "d.parquet", "")
    assert pq.read_table(tmp_path / "d.parquet").equals(pq.read_table(tmp_path / "c.parquet"))
    assert pq.read_table(tmp_path / "d.parquet")["error"].to_pylist()[3] == "unreadable_scan"


@pytest.mark.cluster
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_a_cluster_prepares_what_one_machine_does(ray: None, tiny_bundle: Made, cohort: Cohort, tmp_path: Path) -> None:
    recipe, root = tiny_bundle().recipe, Path(cohort.root)
    here = build_all(cohort.cases, root, recipe, tmp_path / "here")["ct"]
    with ClusterPool("local", 2) as pool:
        there = build_all(cohort.cases, root, recipe, tmp_path / "there", pool=pool)["ct"]
        again = build_all(cohort.cases, root, recipe, tmp_path / "there", pool=pool)["ct"]
        with pytest.raises(ScanError, match="does not exist"):
            pool.run(
                "insula.scans.worker:read_files",
                "x.dcm",
                {"path": "/none/x.dcm", "limits": asdict(LIMITS), "tiles": None, "series": None},
            )
    assert there.places == here.places == again.places
    assert there.failures.keys() == here.failures.keys() == {"case-3"}
    np.testing.assert_array_equal(there.slices, here.slices)


@pytest.mark.cluster
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_a_cluster_that_is_not_there_is_told(tiny_bundle: Made, cohort: Cohort, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'insula[cluster]'")
    ray.shutdown()
    with pytest.raises(ScanError, match="no Ray cluster at 'auto'"):
        cluster(tiny_bundle(), cohort.root, tmp_path / "t.parquet", "auto")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nobody_answers_is_told_at_once(
    scheme: str, tiny_bundle: Made, cohort: Cohort, tmp_path: Path
) -> None:
    """Ray tried for many minutes, and could not be ended meanwhile."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'insula[cluster]'")
    ray.shutdown()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        begun = time.monotonic()
        for server in ("nowhere.invalid:1234", f"127.0.0.1:{held.getsockname()[1]}"):
            with pytest.raises(ScanError, match=f"no Ray cluster at '{scheme}{server}'"):
                cluster(tiny_bundle(), cohort.root, tmp_path / "t.parquet", f"{scheme}{server}")
    assert time.monotonic() - begun < 30
    assert not place(tmp_path / "t.parquet").exists()


def test_a_stopped_batch_is_not_taken_over_by_another_archive(
    tiny_bundle: Made, cohort: Cohort, tmp_path: Path
) -> None:
    bundle, out = tiny_bundle(), tmp_path / "t.parquet"
    with pytest.raises(Stopped):
        cluster(bundle, cohort.root, out, "", watch=stop_at(4))
    other = make(tmp_path / "other", patients=2)
    with pytest.raises(UsageError, match="was begun with the scans of"):
        cluster(bundle, other.root, out, "")
    assert cluster(bundle, cohort.root, out, "").kept == 4
