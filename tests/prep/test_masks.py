from dataclasses import replace

import numpy as np
import pytest
from tests.prep.made_heads import made_head

from insula.core.errors import UnsuitableScanError
from insula.core.recipe import Input, PrepStep
from insula.core.types import FloatArray, Volume
from insula.prep.masks import onto
from insula.prep.run import prepare, prepare_mask, prepared_volume

PLACE = np.diag([2.0, 3.0, 5.0, 1.0])


def volume(array: np.ndarray, affine: np.ndarray = PLACE, units: str = "HU") -> Volume:
    return Volume(array.astype(np.float32), affine, units, "CT", "made")  # type: ignore[arg-type]


def steps(*named: tuple[str, object]) -> Input:
    made = (PrepStep.model_validate({name: params} if params is not None else name) for name, params in named)
    return Input(modality="CT", prep=tuple(made))


def blocks(shape: tuple[int, ...]) -> FloatArray:
    """A mask with nothing alike on any two sides."""
    array = np.zeros((1, *shape), np.float32)
    z, y, x = shape
    array[0, z // 4 : z // 2, y // 2 : y - 3, x // 8 : x // 3] = 1
    return array


def test_a_mask_goes_through_the_geometric_steps_alone() -> None:
    section = steps(("pick_slices", 2), ("windows", [[40, 80]]), ("resize", 16))
    array = np.zeros((1, 4, 32, 32))
    array[0, 3, 8:16, 8:16] = 1
    mask = prepare_mask(volume(array), section, volume(np.zeros((1, 4, 32, 32))))
    assert mask.shape == (2, 16, 16)
    assert mask[1, 4:8, 4:8].all()
    assert mask.sum() == 16


@pytest.mark.parametrize(
    "chain",
    [
        [("crop_to_head", None), ("windows", {"value": [[40, 80]]}), ("resize", 96)],
        [("remove_skull", None), ("crop_to_head", {"margin": 0.0}), ("pick_slices", 7), ("resize", [80, 64])],
        [("untilt", None), ("resample", [2.0, 2.0, 5.0]), ("crop_to_head", None)],
        [("clip_hu", [-100, 300]), ("denoise", {"method": "median"}), ("resample", 3.0)],
    ],
)
def test_a_bright_lesion_and_its_mask_end_on_the_same_pixels(chain: list[tuple[str, object]]) -> None:
    made = made_head(9, size=128, slices=16)  # a tilted series
    blob = np.zeros_like(made.inside)
    blob[6:10, 50:70, 40:56] = True
    scan = replace(made.volume, array=np.where(blob, 290.0, made.volume.array).astype(np.float32))
    section = steps(*chain)
    mask = prepare_mask(volume(blob[None], made.volume.affine), section, scan)
    before = prepared_volume(made.volume, section).array[0]
    changed = np.abs(prepared_volume(scan, section).array[0] - before) > 0.5 * np.abs(290.0 - 35.0)
    if any(name == "windows" for name, _ in chain):
        changed = prepare(scan, section)[:, 0] - prepare(made.volume, section)[:, 0] > 0.3
    assert mask.shape == changed.shape
    assert mask.any()
    assert 2 * (mask & changed).sum() / (mask.sum() + changed.sum()) > 0.9


def test_a_mask_on_another_grid_is_put_onto_the_scan_by_millimetres() -> None:
    scan = volume(np.zeros((1, 8, 24, 30)))
    fine = blocks((16, 48, 60))
    half = np.diag([0.5, 0.5, 0.5, 1.0])
    half[:3, 3] = -0.25  # two fine voxels lie evenly about the middle of a coarse one
    moved = onto(volume(fine, PLACE @ half), scan)
    assert moved.array.shape == (1, 8, 24, 30)
    np.testing.assert_array_equal(moved.array[0, 2:4, 12:22, 4:10], 1.0)  # fine 4:8, 24:45, 7:20, nearest
    assert moved.array.sum() == pytest.approx(fine.sum() / 8, rel=0.15)
    np.testing.assert_array_equal(moved.affine, PLACE)


def test_a_mask_with_its_slices_counted_from_the_other_end_is_turned() -> None:
    mask = blocks((8, 24, 30))
    flip = np.diag([1.0, 1.0, -1.0, 1.0])
    flip[2, 3] = 7
    moved = onto(volume(mask[:, ::-1], PLACE @ flip), volume(np.zeros((1, 8, 24, 30))))
    np.testing.assert_array_equal(moved.array, mask)


def test_a_sheared_scan_gets_an_upright_mask_where_it_lies_in_the_patient() -> None:
    sheared = PLACE.copy()
    sheared[1, 2] = 6.0  # each slice stands two rows further back
    mask = blocks((8, 48, 30))
    moved = onto(volume(mask), volume(np.zeros((1, 8, 32, 30)), sheared))
    for z in range(8):
        np.testing.assert_array_equal(moved.array[0, z], mask[0, z, 2 * z : 2 * z + 32])


def test_masks_that_cannot_belong_are_refused_with_the_reason() -> None:
    scan = volume(np.zeros((1, 8, 24, 30)))
    away = PLACE.copy()
    away[0, 3] = 500.0
    with pytest.raises(UnsuitableScanError, match="100% of the mask lies outside the scan"):
        onto(volume(blocks((8, 24, 30)), away), scan)
    with pytest.raises(UnsuitableScanError, match=r"8 × 48 × 60.*8 × 24 × 30.*do not both say where they lie"):
        onto(volume(blocks((8, 48, 60)), np.eye(4)), scan)


def test_one_slice_takes_its_part_of_the_mask_of_its_series() -> None:
    mask = blocks((8, 24, 30))
    for z in range(8):
        place = PLACE.copy()
        place[:3, 3] = (PLACE @ np.array([0, 0, z, 1]))[:3]
        moved = onto(volume(mask), volume(np.zeros((1, 1, 24, 30)), place))
        np.testing.assert_array_equal(moved.array[0, 0], mask[0, z])


def test_a_mask_without_a_place_fits_voxel_by_voxel() -> None:
    mask = blocks((8, 24, 30))
    moved = onto(volume(mask, np.eye(4)), volume(np.zeros((1, 8, 24, 30))))
    np.testing.assert_array_equal(moved.array, mask)
    np.testing.assert_array_equal(moved.affine, PLACE)
