from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tests.prep.made_heads import MadeHead, dice, made_head

from insula.core.errors import UnsuitableScanError
from insula.core.recipe import PrepStep
from insula.core.types import Volume
from insula.prep.brain import brain_mask, remove_skull
from insula.prep.run import apply

GE = Path(__file__).parents[3] / "shared/data/ct_dicom/In/GE"


@cache
def head(number: int) -> MadeHead:
    return made_head(number, size=160, slices=16)


def check(made: MadeHead, least: float = 0.95) -> None:
    found = brain_mask(made.volume)
    hu = made.volume.array[0]
    assert dice(found, made.inside) >= least, made
    bone = (hu > 350) & ~made.inside
    assert (found & bone).sum() <= 1e-3 * bone.sum()  # the skull is gone
    outside = ~made.inside & (hu < -300)
    assert not (found & outside).any()
    blood = made.lesion & (hu < 150)  # without the voxels that are half bone
    assert (found & blood).sum() >= 0.97 * blood.sum()


@pytest.mark.parametrize("number", [4, 5, 9, 6])  # subdural, epidural, tilted subdural, tilted without a lesion
def test_the_inside_of_the_skull_is_found_and_the_skull_is_not_in_it(number: int) -> None:
    check(head(number))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(40))
def test_forty_heads_of_both_scanners_all_haemorrhages_and_tilts(number: int) -> None:
    check(made_head(number))


@pytest.mark.slow
@pytest.mark.parametrize(("size", "slices"), [(512, 32), (128, 64), (192, 8), (64, 12)])
@pytest.mark.parametrize("kind", ["epidural", "subdural"])
def test_fine_coarse_thin_and_thick_series(size: int, slices: int, kind: str) -> None:
    for number in (0, 1):
        check(made_head(number, size, slices, kind))


@pytest.mark.slow
@pytest.mark.parametrize("device", ["coil", "clip", "shunt"])
def test_metal_and_its_streaks_do_not_empty_it(device: str) -> None:
    from insula.cohort.phantom import devices
    from insula.cohort.phantom.patients import head_ct

    made = made_head(1)
    inner = head_ct(5, 1, 192, 24, False)[2]
    hu = devices.in_ct(made.volume.array[0], inner, device, np.random.default_rng(0))
    assert dice(brain_mask(replace(made.volume, array=hu[None])), made.inside) >= 0.95


@pytest.mark.slow
def test_the_forty_heads_differ_in_what_matters() -> None:
    made = [made_head(n, 64, 8) for n in range(20)]
    assert {m.kind for m in made} == {
        "",
        "epidural",
        "subdural",
        "subarachnoid",
        "intraventricular",
        "intraparenchymal",
    }
    assert {m.tilted for m in made} == {True, False}
    assert len({m.scanner for m in made}) == 2
    assert min(m.atrophy for m in made) < 0.8
    assert max(m.atrophy for m in made) > 1.4


def test_calcifications_inside_stay_and_bone_that_is_skull_goes() -> None:
    made = head(5)
    array = made.volume.array.copy()
    array[0, 9, 78:82, 78:82] = 900.0  # a coil in the middle of the brain
    found = brain_mask(replace(made.volume, array=array))
    assert found[9, 77:83, 77:83].all()


def test_noise_and_a_surgical_gap_in_the_skull_do_not_empty_it() -> None:
    made = head(4)
    noise = np.random.default_rng(0).normal(0, 15, made.volume.array.shape).astype(np.float32)
    assert dice(brain_mask(replace(made.volume, array=made.volume.array + noise)), made.inside) >= 0.95
    z, y, x = np.meshgrid(*(np.arange(n) for n in made.inside.shape), indexing="ij")
    gap = (np.abs(np.degrees(np.arctan2(y - 80, x - 80))) < 30) & (z > 7) & ~made.inside
    array = made.volume.array.copy()
    array[0][gap & (array[0] > 120)] = 40.0
    assert dice(brain_mask(replace(made.volume, array=array)), made.inside) >= 0.93


def test_removal_keeps_what_is_inside_to_the_last_bit_and_fills_the_rest() -> None:
    made = head(9)
    found = brain_mask(made.volume)
    out = apply(made.volume, PrepStep(name="remove_skull", params={"fill": -10.0}))
    assert out.units == "HU"
    np.testing.assert_array_equal(out.array[0][found], made.volume.array[0][found])
    assert set(np.unique(out.array[0][~found])) == {-10.0}
    wide = remove_skull(made.volume, margin=12.0).array[0] > -999
    assert wide[found].all()
    assert wide.sum() > 1.1 * found.sum()


def test_scans_without_hounsfield_units_or_brain_are_refused_by_name() -> None:
    volume = head(5).volume
    with pytest.raises(UnsuitableScanError, match=r"remove_skull.*Hounsfield"):
        remove_skull(replace(volume, units="a.u.", modality="MR"))
    for nothing in (np.full((1, 3, 64, 64), -1000.0), np.full((1, 3, 64, 64), 40.0)):
        with pytest.raises(UnsuitableScanError, match="no brain"):
            remove_skull(Volume(nothing.astype(np.float32), np.diag([2.0, 2, 5, 1]), "HU", "CT", "made"))


@pytest.mark.data
@pytest.mark.skipif(not GE.is_dir(), reason="the real scans for measuring are not here")
def test_a_real_head_keeps_its_brain_and_loses_skull_eyes_and_neck() -> None:
    from insula.scans.read import read

    volume = read(GE)
    found = brain_mask(volume)
    hu = volume.array[0]
    litres = found.sum() * abs(np.linalg.det(volume.affine[:3, :3])) / 1e6
    assert 1.3 < litres < 1.7  # looked at slice by slice: 1.49 l with ventricles and cisterns
    assert (found & (hu > 500)).sum() < 1e-3 * (hu > 500).sum()
    assert np.median(hu[found]) == pytest.approx(35, abs=8)
    lowest = np.flatnonzero(found.any(axis=(1, 2)))[0]
    assert not found[: max(1, lowest)].any()
    assert found[lowest].sum() * volume.spacing[0] * volume.spacing[1] / 100 > 8
