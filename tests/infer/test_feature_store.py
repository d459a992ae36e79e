"""A store comes back as it was written, and one that was changed is not opened."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.infer.made_store import make

from insula.core.errors import CohortError, UsageError
from insula.infer import feature_store as stores


def test_columns_numbers_and_pictures(tmp_path: Path) -> None:
    store = make(tmp_path / "s", patients=4)
    assert store.embeddings.dtype == np.float32
    assert isinstance(store.embeddings, np.memmap)
    assert len(store) == 8
    assert store.classes == ("normal", "stroke")
    assert store.attributes == ("attribute.scanner", "attribute.age", "attribute.note")
    assert store.numbers("attribute.age").tolist() == [20, 20, 21, 21, 22, 22, 23, 23]
    assert np.isnan(store.numbers("distance")).all()
    assert store.failures == (("bad", "it is empty"),)
    assert store.thumbnail(3).startswith(b"\xff\xd8")
    (tmp_path / "s" / "thumbnails" / "3.jpg").unlink()
    assert store.thumbnail(3) == b""
    assert np.load(tmp_path / "s" / "embeddings.npy", allow_pickle=False).shape == (8, 24)


def test_of_a_rejected_case_no_probability_is_read(tmp_path: Path) -> None:
    plain, store = make(tmp_path / "p", patients=4), make(tmp_path / "s", patients=4, rejected=(2, 5))
    assert all((tmp_path / "s" / stores.INDEX).read_text().splitlines()[3].split(",")[10:12])  # as it was kept once
    for name in ("p_normal", "p_stroke"):
        assert [store.index[name][i] for i in (2, 5)] == ["", ""]
        assert np.flatnonzero(np.isnan(store.numbers(name))).tolist() == [2, 5]
        rest = [i for i in range(8) if i not in (2, 5)]
        assert [store.index[name][i] for i in rest] == [plain.index[name][i] for i in rest]
    assert store.index["action"][2] == "reject"


@pytest.mark.parametrize("name", [stores.EMBEDDINGS, stores.INDEX, stores.FAILURES])
def test_a_changed_or_missing_file_is_found(tmp_path: Path, name: str) -> None:
    make(tmp_path / "s", patients=4)
    path = tmp_path / "s" / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CohortError, match=name):
        stores.load(tmp_path / "s")
    path.unlink()
    with pytest.raises(CohortError, match=name):
        stores.load(tmp_path / "s")


def test_what_is_no_store_and_what_is_another_version(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="insula embed"):
        stores.load(tmp_path)
    make(tmp_path / "s", patients=4)
    path = tmp_path / "s" / stores.MANIFEST
    good = json.loads(path.read_text())
    for change, error in (
        ({"format": "other"}, UsageError),
        ({"version": 9}, CohortError),
        ({"classes": "x"}, CohortError),
        ({"centre": [1.0]}, CohortError),
        ({"rows": 7}, CohortError),
    ):
        path.write_text(json.dumps(good | change))
        with pytest.raises(error):
            stores.load(tmp_path / "s")
    path.write_text("{")
    with pytest.raises(CohortError, match="no JSON"):
        stores.load(tmp_path / "s")


def test_a_picture_outside_the_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="outside"):
        make(tmp_path / "s", patients=4, more={"thumbnail": ["../../secret.jpg"] * 8})


def test_a_store_of_another_bundle_is_refused(tmp_path: Path) -> None:
    store = make(tmp_path / "s", patients=4)
    assert stores.of_bundle(store, "b" * 16) is store
    with pytest.raises(UsageError, match="two networks cannot be compared"):
        stores.of_bundle(store, "c" * 16)
