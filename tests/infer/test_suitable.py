from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.scans.made_dicom import write
from tests.tiny_bundle import make, recipe, volume

from insula.core.recipe import Input
from insula.core.recipe_policy import Refuse
from insula.core.types import Volume
from insula.infer.predict import Predictor
from insula.infer.suitable import NoSuchScanError, after, before
from insula.prep.run import prepare

CT = recipe().input
RULES = Refuse()
SHAPE = (1, 16, 16)


def told(volume: Volume, section: Input = CT, rules: Refuse = RULES, shape: tuple[int, int, int] = SHAPE) -> str:
    """The check that refuses the scan, or ""."""
    try:
        before(volume, section, shape, rules)
    except NoSuchScanError as error:
        return error.check
    return ""


def sized(height: int, width: int, spacing: tuple[float, float] = (1.0, 1.0)) -> Volume:
    array = np.random.default_rng(0).normal(40, 20, (1, 2, height, width)).astype(np.float32)
    return replace(volume(), array=array, affine=np.diag([spacing[0], spacing[1], 3.0, 1.0]))


def picture(grey: bool) -> Volume:
    g = np.random.default_rng(1)
    array = g.integers(0, 255, (1 if grey else 3, 1, 30, 30)).astype(np.float32)
    return Volume(array, np.eye(4), "a.u." if grey else "RGB", "", "made", full_scale=255.0)


def section(modality: str, *steps: str) -> Input:
    return Input.model_validate({"modality": modality, "prep": [*steps, {"resize": 16}]})


def test_a_fit_scan_passes_without_a_word() -> None:
    assert before(volume(), CT, SHAPE, RULES) == ()
    after(prepare(volume(), CT), RULES)


@pytest.mark.parametrize(
    ("takes", "check"),
    [
        (section("CT", "full_scale"), "colour"),
        (section("MR", "percentile"), "colour"),
        (section("MR", "colour"), ""),
        (section("OT", "full_scale"), ""),
        (section("SM", "colour"), ""),
    ],
)
def test_colour_is_refused_where_the_recipe_takes_grey(takes: Input, check: str) -> None:
    assert told(picture(grey=False), takes) == check
    assert told(picture(grey=True), takes) == ""


def test_a_thumbnail_is_refused_and_a_small_scan_is_not() -> None:
    assert told(sized(55, 300), shape=(1, 224, 224)) == "size"
    assert told(sized(56, 56), shape=(1, 224, 224)) == ""
    assert told(sized(20, 20), rules=Refuse(shrink=None), shape=(1, 224, 224)) == ""
    with pytest.raises(NoSuchScanError, match=r"has 300 × 55 pixels, and the network takes 224 × 224: .*4th"):
        before(sized(55, 300), CT, (1, 224, 224), RULES)


def test_a_strip_is_refused_by_its_millimetres_not_by_its_pixels() -> None:
    assert told(sized(40, 130)) == "aspect"
    assert told(sized(130, 40)) == "aspect"
    assert told(sized(40, 120)) == ""
    assert told(sized(40, 130, (0.5, 1.0))) == ""  # 65 mm by 40 mm
    assert told(sized(40, 60, (4.0, 1.0))) == "aspect"
    assert told(sized(20, 200), rules=Refuse(aspect=None)) == ""


@pytest.mark.parametrize("value", [0.0, -1000.0, 255.0])
def test_one_value_throughout_is_blank(value: float) -> None:
    assert told(replace(volume(), array=np.full((1, 3, 24, 24), value, np.float32))) == "blank"
    assert told(
        Volume(np.full((3, 1, 24, 24), value, np.float32), np.eye(4), "RGB", "SM", "t"), section("SM", "colour")
    )


@pytest.mark.parametrize(
    ("said", "check", "word"),
    [
        ("", "", ""),
        ("HEAD", "", ""),
        ("head", "", ""),
        ("HEADNECK", "", ""),
        ("BRAIN^ROUTINE", "", ""),
        ("CSPINE\\HEAD", "", ""),
        ("KNEE", "body part", ""),
        ("CHEST", "body part", ""),
        ("LEFT KNEE", "body part", ""),
        ("CHESTABDPELVIS", "body part", ""),
        ("NECK", "body part", ""),
        ("SCHAEDEL", "", "SCHAEDEL"),
        ("WHOLEBODY", "", "WHOLEBODY"),
        ("LEGACY", "", "LEGACY"),
    ],
)
def test_another_body_part_is_refused_and_an_unknown_word_is_said(said: str, check: str, word: str) -> None:
    scan = replace(volume(), attributes={"body_part": said})
    assert told(scan) == check
    if not check:
        assert [word in note for note in before(scan, CT, SHAPE, RULES)] == ([True] if word else [])


def test_the_recipe_says_which_body_part_it_takes() -> None:
    knee = replace(volume(), attributes={"body_part": "KNEE"})
    assert told(knee, rules=Refuse(body_parts=("knee",))) == ""
    assert told(knee, rules=Refuse(body_parts=())) == ""
    head = replace(knee, attributes={"body_part": "HEAD"})
    assert told(head, rules=Refuse(body_parts=("KNEE",))) == "body part"


@pytest.mark.parametrize(
    ("share", "refused"), [(0.0, "blank"), (0.0001, "saturated"), (0.009, "saturated"), (0.02, ""), (1.0, "")]
)
def test_a_prepared_scan_needs_some_grey(share: float, refused: str) -> None:
    x = np.zeros((4, 1, 100, 100), np.float32)
    if share:
        x[:, :, :50] = 1.0
        flat = x[..., ::2, ::2].reshape(-1)
        flat[: round(share * flat.size)] = np.linspace(0.2, 0.8, round(share * flat.size))
        x[..., ::2, ::2] = flat.reshape(4, 1, 50, 50)
    check = ""
    try:
        after(x, RULES)
    except NoSuchScanError as error:
        check = error.check
    assert check == refused
    after(x, Refuse(varied=None))


def test_one_channel_with_grey_is_enough() -> None:
    x = np.zeros((2, 3, 32, 32), np.float32)
    x[:, 0, 16:] = 1.0
    with pytest.raises(NoSuchScanError, match="black and white"):
        after(x, RULES)
    x[:, 2] = np.linspace(0, 1, 32)
    after(x, RULES)


def test_a_contrast_agent_in_the_header_of_a_ct_is_said(tmp_path: Path) -> None:
    predictor = Predictor(make(tmp_path), threads=1)
    said = "the header names a contrast agent: that the model was made for scans with one was not checked"
    agents = {"OMNIPAQUE 300": True, "NONE": False, "no contrast": False, "": False, "NON-CONTRAST": False}
    for number, (agent, expected) in enumerate(agents.items()):
        path = write(tmp_path / f"{number}.dcm", pixels(), ContrastBolusAgent=agent)
        assert (said in predictor.path(path).warnings) == expected


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(900, 1100, (24, 24)).astype(np.int16)
