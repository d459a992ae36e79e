"""The brain of a CT, the head of anything else, on the network's grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.prep import made_heads

from insula.core.recipe import Input
from insula.core.types import Volume
from insula.evaluate import region
from insula.prep.brain import brain_mask

CT = Input(modality="CT", prep=[{"windows": {"value": [[40, 80]], "pictures": "as_shown"}}, {"resize": 48}])
MR = Input(modality="MR", prep=[{"percentile": [1, 99]}, {"resize": 32}])


def head() -> Volume:
    return made_heads.made_head(3, size=96, slices=12).volume


def test_a_ct_has_a_brain_on_the_prepared_grid() -> None:
    scan = head()
    found = region.of_scan(scan, CT)
    assert found is not None
    assert (found.name, found.mask.shape) == ("brain", (12, 48, 48))
    assert found.mask.mean() == pytest.approx(brain_mask(scan).mean(), rel=0.03)


def test_a_ct_as_a_picture_and_an_mr_have_a_head_with_what_is_dark_in_it() -> None:
    scan = head()
    shown = np.clip(scan.array / 80.0, 0, 1) * 255
    picture = replace(scan, array=shown.astype(np.float32), units="a.u.", full_scale=255.0, modality="")
    for section in (CT, MR):
        found = region.of_scan(picture, section)
        assert found is not None
        assert found.name == "head"
        middle = found.mask[6]
        rows, columns = np.nonzero(middle)
        assert middle[int(rows.mean()), int(columns.mean())]  # ventricles are as dark as air in this window
        assert 0.15 < middle.mean() < 0.8


def test_a_ct_without_bone_falls_back_to_its_head() -> None:
    scan = head()
    bare = replace(scan, array=np.where(scan.array > 100, 20.0, scan.array).astype(np.float32))
    found = region.of_scan(bare, CT)
    assert found is not None
    assert found.name == "head"


def test_slides_other_pictures_and_blank_scans_have_none() -> None:
    scan = head()
    assert region.of_scan(scan, Input(modality="OT", prep=[{"resize": 32}])) is None
    blank = replace(scan, array=np.full_like(scan.array, -1000.0))
    assert region.of_scan(blank, CT) is None
