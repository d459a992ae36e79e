from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.serve.client import dicom
from tests.tiny_bundle import make

from insula.bundle.types import Bundle
from insula.core.errors import BundleError
from insula.serve.faults import RequestError
from insula.serve.models.loaded import Loaded
from insula.serve.models.pool import Pool, resident

pytestmark = pytest.mark.serve


def two(tmp_path: Path) -> tuple[Bundle, Bundle]:
    return make(tmp_path / "a"), make(tmp_path / "b", dropout=0.1)


def test_versions_stand_side_by_side_and_each_answers_as_itself(tmp_path: Path) -> None:
    bundles = two(tmp_path)
    pool = Pool(threads=1)
    for bundle in bundles:
        pool.add(bundle.path)
    assert [model.bundle.id for model in pool.all()] == [bundle.id for bundle in bundles]
    assert pool.first() is pool.get(bundles[0].id)
    (tmp_path / "x.dcm").write_bytes(dicom())
    said = [pool.get(b.id).study({"ct": [tmp_path / "x.dcm"]}, "x").prediction for b in bundles]
    assert [one.bundle_id for one in said] == [bundle.id for bundle in bundles]


def test_a_bundle_is_loaded_once_whoever_asks_at_the_same_time(tmp_path: Path) -> None:
    bundle = make(tmp_path)
    opened: list[str] = []

    def open_bundle(found: Bundle) -> Loaded:
        opened.append(found.id)
        return Loaded(found, 1)

    pool, start = Pool(open_bundle=open_bundle), threading.Barrier(4)

    def add() -> Loaded:
        start.wait(60)
        return pool.add(bundle.path)

    with ThreadPoolExecutor(4) as threads:
        found = [future.result(60) for future in [threads.submit(add) for _ in range(4)]]
    assert opened == [bundle.id]
    assert len(set(map(id, found))) == 1


def test_one_that_is_removed_is_gone_and_can_come_back(tmp_path: Path) -> None:
    first, second = two(tmp_path)
    pool = Pool(threads=1)
    held = pool.add(first.path)
    pool.add(second.path)
    assert pool.remove(first.id)
    assert not pool.remove(first.id)
    with pytest.raises(RequestError) as caught:
        pool.get(first.id)
    assert (caught.value.status, caught.value.fault_code) == (503, "not_loaded")
    assert list(pool.memory()) == [second.id]
    (tmp_path / "x.dcm").write_bytes(dicom())
    assert held.study({"ct": [tmp_path / "x.dcm"]}, "x").prediction.bundle_id == first.id  # a request still at work
    assert pool.add(first.path) is not held


def test_memory_is_told_of_each_model(tmp_path: Path) -> None:
    bundle = make(tmp_path)
    pool = Pool(threads=1)
    pool.add(bundle.path)
    told = pool.memory()[bundle.id]
    assert told.graph_bytes == sum((bundle.path / name).stat().st_size for name in ("model.onnx", "head.onnx"))
    assert 0 <= told.grown_bytes < resident() < 1 << 40


def test_a_changed_bundle_is_refused_and_nothing_of_it_stays(tiny_bundle: Callable[..., Bundle]) -> None:
    bundle = tiny_bundle()
    (bundle.path / "metrics.json").write_bytes(b"{}")
    pool = Pool(threads=1)
    with pytest.raises(BundleError):
        pool.add(bundle.path)
    assert pool.all() == ()
    assert pool.memory() == {}
