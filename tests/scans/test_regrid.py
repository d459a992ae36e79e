from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK

from insula.core.errors import LimitError, ScanError
from insula.core.types import Volume
from insula.scans.limits import Limits
from insula.scans.regrid import between, resample, untilt

SLOPE = np.array([0.7, -1.3, 2.1])  # a ramp in patient millimetres


def ramp(affine: np.ndarray, shape: tuple[int, int, int], units: str = "HU") -> Volume:
    """A volume whose values are a linear function of the place in the patient: it must stay so on any grid."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    points = np.stack([x, y, z, np.ones_like(x)], axis=-1) @ affine.T
    values = (points[..., :3] @ SLOPE).astype(np.float32)[None]
    return Volume(values, affine, "HU" if units == "HU" else "a.u.", "CT", "ramp")


def expected(volume: Volume) -> np.ndarray:
    return ramp(volume.affine, volume.array.shape[1:]).array


def tilted(angle: float, spacing: tuple[float, float, float]) -> np.ndarray:
    """Slices tilted about the x axis, stacked along the patient's z axis."""
    rad = np.radians(angle)
    affine = np.eye(4)
    affine[:3, 0] = [spacing[0], 0, 0]
    affine[:3, 1] = np.array([0, np.cos(rad), -np.sin(rad)]) * spacing[1]
    affine[:3, 2] = [0, 0, spacing[2]]
    affine[:3, 3] = [-30.0, 12.0, 5.0]
    return affine


def covered(volume: Volume) -> np.ndarray:
    """Where an untilted volume holds nothing but the picture, without its rim that is mixed with air."""
    return np.asarray(untilt(replace(volume, array=np.zeros_like(volume.array))).array == 0)


@pytest.mark.parametrize("angle", [18.5, -25.0, 1.0])
def test_untilted_values_stay_at_their_place_in_the_patient(angle: float) -> None:
    volume = ramp(tilted(angle, (0.5, 0.6, 4.2)), (9, 40, 30))
    result = untilt(volume)
    axes = result.affine[:3, :3] / np.linalg.norm(result.affine[:3, :3], axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    assert result.spacing == pytest.approx((0.5, 0.6, 4.2 * np.cos(np.radians(angle))))
    inside = covered(volume)
    assert inside.sum() > 0.9 * volume.array.size
    np.testing.assert_allclose(result.array[inside], expected(result)[inside], atol=2e-3)
    assert result.warnings == ("tilt removed by resampling",)


def test_an_upright_volume_is_left_alone() -> None:
    volume = ramp(tilted(0.0, (1, 1, 5)), (4, 5, 6))
    assert untilt(volume) is volume


def test_a_tilt_by_whole_pixels_moves_rows_without_changing_a_value() -> None:
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    affine[1, 2] = 2.0  # each slice stands two pixels behind the one below
    array = np.random.default_rng(0).normal(size=(1, 3, 5, 4)).astype(np.float32)
    result = untilt(Volume(array, affine, "a.u.", "MR", "x"))
    assert result.array.shape == (1, 3, 9, 4)
    for k in range(3):
        assert (result.array[:, k, 2 * k : 2 * k + 5] == array[:, k]).all()
    assert result.array[0, 0, 5:].max() == array.min()


def test_untilt_agrees_with_simpleitk_on_the_same_grid() -> None:
    volume = ramp(tilted(18.5, (0.5, 0.6, 4.2)), (6, 40, 30))
    volume.array[:] += np.random.default_rng(1).normal(0, 40, volume.array.shape).astype(np.float32)
    result = untilt(volume)
    # SimpleITK has no sheared images, so the source is given as upright and the shear as a transform
    source = SimpleITK.GetImageFromArray(volume.array[0])
    grid = SimpleITK.Image(*(int(n) for n in result.array.shape[:0:-1]), SimpleITK.sitkFloat32)
    matrix = np.linalg.inv(volume.affine) @ result.affine
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    linear = SimpleITK.sitkLinear
    other = SimpleITK.GetArrayFromImage(SimpleITK.Resample(source, grid, transform, linear, 0.0))
    ones = SimpleITK.GetImageFromArray(np.ones_like(volume.array[0]))
    inside = SimpleITK.GetArrayFromImage(SimpleITK.Resample(ones, grid, transform, linear, 0.0))
    both = (inside == 1.0) & covered(volume)[0]
    assert both.mean() > 0.5
    np.testing.assert_allclose(result.array[0][both], other[both], atol=0.02)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.31, 0.77, 9.0), (3.3, 2.0, 2.5)])
def test_resampled_values_stay_at_their_place_in_the_patient(spacing: tuple[float, float, float]) -> None:
    volume = ramp(tilted(18.5, (0.5, 0.6, 4.2)), (20, 40, 30))
    result = resample(volume, spacing)
    assert result.spacing == pytest.approx(spacing)
    away = result.array[0, 3:-3, 4:-4, 2:-2] if spacing[2] < 4.2 else result.array[0, 2:-2, 4:-4, 4:-4]
    right = expected(result)[0, 3:-3, 4:-4, 2:-2] if spacing[2] < 4.2 else expected(result)[0, 2:-2, 4:-4, 4:-4]
    assert away.size
    np.testing.assert_allclose(away, right, atol=2e-3)
    middle = [(n - 1) / 2 for n in volume.array.shape[:0:-1]], [(n - 1) / 2 for n in result.array.shape[:0:-1]]
    np.testing.assert_allclose(volume.affine @ [*middle[0], 1.0], result.affine @ [*middle[1], 1.0], atol=1e-9)


def test_larger_voxels_keep_the_mean_and_skip_nothing() -> None:
    array = np.zeros((1, 8, 32, 32), np.float32)
    array[0, 3, 10, 21] = 1000.0  # one bright voxel, which picking every fourth would lose
    result = resample(Volume(array, np.eye(4), "a.u.", "MR", "x"), (4.0, 4.0, 2.0))
    assert result.array.shape == (1, 4, 8, 8)
    assert result.array.max() > 0
    assert result.array.mean() == pytest.approx(array.mean(), rel=1e-5)


def test_the_same_size_changes_nothing_and_impossible_sizes_are_refused() -> None:
    volume = ramp(np.diag([0.5, 0.5, 3.0, 1.0]), (3, 4, 5))
    assert (resample(volume, (0.5, 0.5, 3.0)).array == volume.array).all()
    for wrong in ((0.0, 1.0, 1.0), (1.0, -1.0, 1.0), (float("nan"), 1.0, 1.0)):
        with pytest.raises(ScanError, match="voxel size"):
            resample(volume, wrong)
    with pytest.raises(LimitError):
        resample(volume, (0.01, 0.01, 0.01), Limits(max_voxels=1000))


def test_slices_between_two_are_their_mixture() -> None:
    array = np.arange(3, dtype=np.float32).reshape(1, 3, 1, 1) * np.ones((1, 1, 2, 2), np.float32)
    assert between(array, np.array([0.0, 0.25, 1.0, 1.5, 2.0]))[0, :, 0, 0].tolist() == [0.0, 0.25, 1.0, 1.5, 2.0]
