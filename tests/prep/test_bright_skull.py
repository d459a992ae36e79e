"""The brain in CT pictures, found by the white ring around it: made heads saved as JPEG, with the truth."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.prep.made_heads import MadeHead, dice, made_head

from insula.core.errors import UnsuitableScanError
from insula.core.recipe import Input, PrepStep
from insula.core.types import FloatArray, Volume
from insula.prep.bright_skull import bright_brain, without_bright_skull
from insula.prep.check import check_input
from insula.prep.run import apply, prepare
from insula.scans.read import read

REAL = Path(__file__).parents[3] / "shared/data/stroke_ct"
BRAIN = (0.0, 80.0)  # HU shown as black and as white


@cache
def head(number: int, kind: str = "") -> MadeHead:
    return made_head(number, size=192, slices=12, kind=kind or None)


def saved(hu: FloatArray, folder: Path, shown: tuple[float, float] = BRAIN, quality: int = 92) -> Volume:
    """One slice as a JPEG across 240 mm, as it is read again."""
    low, high = shown
    grey = np.round(np.clip((hu - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    Image.fromarray(grey).save(folder / "slice.jpg", quality=quality)
    return read(folder / "slice.jpg")


@pytest.mark.parametrize("quality", [92, 60])
@pytest.mark.parametrize("number", [6, 13])  # without a lesion
def test_the_inside_of_the_skull_is_found_in_every_slice_of_a_head(number: int, quality: int, tmp_path: Path) -> None:
    made = head(number)
    assert made.kind == ""
    for z in range(4, 10):
        volume = saved(made.volume.array[0, z], tmp_path, quality=quality)
        assert dice(bright_brain(volume)[0], made.inside[z]) >= 0.95, z


def test_everything_else_is_black_and_the_brain_is_kept_to_the_last_bit(tmp_path: Path) -> None:
    made = head(6)
    volume = saved(made.volume.array[0, 7], tmp_path)
    found, out = bright_brain(volume), without_bright_skull(volume)
    np.testing.assert_array_equal(out.array[0][found], volume.array[0][found])
    assert set(np.unique(out.array[0][~found])) == {0.0}
    assert (out.array >= 250).sum() < 1e-3 * (volume.array >= 250).sum()  # the skull is gone
    assert (out.units, out.full_scale) == (volume.units, 255.0)


def test_a_recipe_takes_the_skull_from_pictures_as_the_audit_does_where_it_says_so(tmp_path: Path) -> None:
    volume = saved(head(6).volume.array[0, 7], tmp_path)
    asked = PrepStep(name="remove_skull", params={"pictures": "by_brightness"})
    out = apply(volume, asked)
    assert (out.array == without_bright_skull(volume).array).all()
    wide = apply(volume, PrepStep(name="remove_skull", params={**asked.params, "margin": 12.0}))
    found, wider = bright_brain(volume)[0], wide.array[0, 0] > 0
    kept = wide.array[0, 0] == volume.array[0, 0]
    assert kept[found].all()
    assert wider.sum() > 1.1 * (out.array[0, 0] > 0).sum()
    section = Input(
        modality="CT",
        unit="image",
        prep=(asked, PrepStep(name="windows", params={"value": [[40, 80]], "pictures": "as_shown"})),
    )
    check_input(section)
    slices = prepare(volume, section)
    assert slices.shape == (1, 1, 192, 192)
    np.testing.assert_allclose(slices[0, 0], out.array[0, 0] / 255)
    with pytest.raises(UnsuitableScanError, match=r"needs Hounsfield units.*pictures: by_brightness"):
        apply(volume, PrepStep(name="remove_skull"))


def test_a_stack_and_a_colour_copy_give_the_same_as_the_single_grey_picture(tmp_path: Path) -> None:
    volume = saved(head(6).volume.array[0, 7], tmp_path)
    one = bright_brain(volume)
    stack = replace(volume, array=np.repeat(volume.array, 3, axis=1))
    assert (bright_brain(stack) == one).all()
    colour = replace(volume, array=np.repeat(volume.array, 3, axis=0), units="RGB")
    assert (bright_brain(colour) == one).all()
    assert (without_bright_skull(colour).array == without_bright_skull(volume).array).all()


@pytest.mark.parametrize("kind", ["epidural", "subdural"])
def test_blood_against_the_skull_goes_with_the_bone_in_a_brain_window(kind: str, tmp_path: Path) -> None:
    made = head(1, kind)
    z = int(made.lesion.sum(axis=(1, 2)).argmax())
    lesion = made.lesion[z]
    kept = bright_brain(saved(made.volume.array[0, z], tmp_path))[0] & lesion
    assert kept.sum() < 0.95 * lesion.sum()  # why a loss is no failure of the model
    wide = bright_brain(saved(made.volume.array[0, z], tmp_path, (-20.0, 180.0)))[0] & lesion
    assert wide.sum() > 0.9 * lesion.sum()


def test_what_is_no_brain_in_a_ring_of_white_is_refused(tmp_path: Path) -> None:
    hu = head(6).volume.array[0, 7]
    with pytest.raises(UnsuitableScanError, match="no brain enclosed by bone"):
        bright_brain(saved(hu, tmp_path, (-200.0, 3000.0)))  # a bone window: brain is nearly black, bone not white
    with pytest.raises(UnsuitableScanError, match="no brain enclosed by bone"):
        bright_brain(saved(np.full((192, 192), 40.0, np.float32), tmp_path))
    y, x = np.mgrid[:192, :192] - 95.5
    r, angle = np.hypot(y, x), np.degrees(np.arctan2(y, x))
    jaw = np.where(r < 60, 40.0, -1000.0)
    jaw[(r >= 48) & (r < 60) & (np.abs(angle) > 55)] = 900.0  # a horseshoe open to one side
    with pytest.raises(UnsuitableScanError, match=r"beside \d+% of the border"):
        bright_brain(saved(jaw.astype(np.float32), tmp_path))


def test_hounsfield_units_and_scans_without_a_bit_depth_are_refused() -> None:
    volume = head(6).volume
    for wrong in (volume, replace(volume, units="a.u.")):
        with pytest.raises(UnsuitableScanError, match="pictures alone"):
            bright_brain(wrong)


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="the real scans for measuring are not here")
@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("normal/patient_062/062_02.jpg", 0.067),
        ("normal/patient_062/062_06.jpg", 0.245),
        ("normal/patient_062/062_10.jpg", 0.340),
        ("normal/patient_062/062_22.jpg", 0.093),
        ("stroke/patient_080/080_02.jpg", None),  # the mouth
        ("stroke/patient_080/080_18.jpg", 0.243),
        ("stroke/patient_080/080_33.jpg", 0.245),
    ],
)
def test_real_slices_as_they_were_looked_at(name: str, share: float | None) -> None:
    volume = read(REAL / name)
    if share is None:
        with pytest.raises(UnsuitableScanError):
            bright_brain(volume)
    else:
        assert bright_brain(volume).mean() == pytest.approx(share, abs=0.01)
