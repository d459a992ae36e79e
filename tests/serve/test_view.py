"""What is kept of a prediction gives the same pictures and maps as the prediction itself."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from insula.bundle.types import Bundle
from insula.core.errors import ScanError
from insula.core.types import Volume
from insula.infer import heatmap
from insula.infer.predict import Predictor
from insula.serve import view

pytestmark = pytest.mark.serve


def volume() -> Volume:
    g = np.random.default_rng(3)
    array = g.normal(40, 20, (1, 5, 24, 24)).astype(np.float32)
    affine = np.array([[0.5, 0, 0, -7], [0, 0.5, 0, 9], [0, 0, 4.0, 100], [0, 0, 0, 1]])
    return Volume(array, affine, "HU", "CT", "made")


@pytest.fixture
def made(tiny_bundle: Callable[..., Bundle]) -> tuple[view.View, Any, Volume, Bundle]:
    bundle = tiny_bundle(unit="series")
    predictor, scan = Predictor(bundle, 1), volume()
    prediction = predictor.volume(scan, "a")
    prepared, _ = predictor.prepare(scan)
    heat = prediction.heatmaps[bundle.recipe.role]
    return view.of_scan(prepared, heat, prediction.classes, scan, bundle.recipe.input), heat, scan, bundle


def test_a_view_comes_back_from_its_file(made: tuple[view.View, Any, Volume, Bundle]) -> None:
    seen, heat, _, bundle = made
    back = view.unpack(view.pack(seen))
    assert np.array_equal(back.slices, seen.slices)
    assert np.allclose(back.heat, heat.array[: len(seen.classes)], atol=2e-3 * float(np.abs(heat.array).max()))
    assert (back.numbers, back.classes) == (heat.slices, bundle.recipe.target.classes)
    assert np.array_equal(back.affine, seen.affine)


def test_the_heat_lies_where_the_scan_lies(made: tuple[view.View, Any, Volume, Bundle]) -> None:
    seen, heat, scan, bundle = made
    name = bundle.recipe.target.positive
    ours = nib.Nifti1Image.from_bytes(gzip.decompress(view.heat_nifti(seen, name)))
    k = seen.classes.index(name)
    wanted = heatmap.heat_volume(heat, k, scan, bundle.recipe.input)
    assert np.allclose(ours.affine, np.diag([-1, -1, 1, 1]) @ wanted.affine)
    assert np.allclose(np.asarray(ours.dataobj).transpose(2, 1, 0), wanted.array[0], equal_nan=True)
    under = nib.Nifti1Image.from_bytes(gzip.decompress(view.scan_nifti(seen)))
    assert np.allclose(under.affine, ours.affine)
    assert under.shape == ours.shape


def test_a_slice_with_heat_differs_from_one_without_and_has_a_bar(made: tuple[view.View, Any, Volume, Bundle]) -> None:
    seen, _, _, bundle = made
    name = bundle.recipe.target.positive
    seen = replace(seen, heat=np.abs(seen.heat) + 1)
    plain = np.asarray(Image.open(io.BytesIO(view.slice_png(seen, 0))).convert("L"))
    assert np.array_equal(plain, seen.slices[0])
    warm = Image.open(io.BytesIO(view.slice_png(seen, 0, name)))
    assert warm.size[0] > plain.shape[1]
    assert view.top(seen, name, 2)


@pytest.mark.parametrize("harm", [lambda data: data[:-40], lambda data: b"", lambda data: b"PK" + data[9:]])
def test_a_damaged_view_is_told(made: tuple[view.View, Any, Volume, Bundle], harm: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ScanError, match="predict the study again"):
        view.unpack(harm(view.pack(made[0])))


def test_a_view_that_would_inflate_to_much_is_not_inflated(made: tuple[view.View, Any, Volume, Bundle]) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as listed, listed.open("slices.npy", "w") as inside:
        for _ in range(1100):
            inside.write(bytes(1 << 20))
    with pytest.raises(ScanError, match="claims more than 1024 MB"):
        view.unpack(stream.getvalue())


def test_no_pickle_is_opened() -> None:
    stream = io.BytesIO()
    np.savez(stream, slices=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ScanError, match="damaged"):
        view.unpack(stream.getvalue())
