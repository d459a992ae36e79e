"""From a Volume to the network's input: the one way, for training, evaluation and service alike."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import RecipeError, UnsuitableScanError
from insula.core.recipe import Input, PrepStep
from insula.core.types import FloatArray, Volume
from insula.prep.check import check_step
from insula.prep.masks import moved, onto
from insula.prep.steps import GEOMETRIC, LED_BY_PICTURE, SLICEWISE, STEPS
from insula.prep.windows_resize import windows_resize
from insula.scans import threads

_PART = 2  # slices at a time


def prepare(volume: Volume, section: Input) -> FloatArray:
    """Run the input's steps and return slices for the network: float32 (S, C, H, W), values in about [0, 1].

    Raises UnsuitableScanError when the scan's modality is known and is another than the recipe's, when a step cannot
    take the scan, or when the result holds values that are not finite.
    """
    return slices(prepared_volume(volume, section))


def slices(prepared: Volume) -> FloatArray:
    """What `prepared_volume` gave as slices for the network (S, C, H, W); UnsuitableScanError for infinite values."""
    array = np.ascontiguousarray(prepared.array.transpose(1, 0, 2, 3), dtype=np.float32)
    if not np.isfinite(array).all():
        raise UnsuitableScanError("The scan holds values that are not finite; export it again from its source.")
    return array


def prepared_volume(volume: Volume, section: Input) -> Volume:
    """The scan after all of the input's steps, with its place in mm: array (C, S, H, W)."""
    check_modality(volume, section)
    for alone, steps in groupby(section.prep, key=lambda step: step.name in SLICEWISE):
        volume = (_by_parts if alone else _whole)(volume, tuple(steps))
    return volume


def _whole(volume: Volume, steps: tuple[PrepStep, ...]) -> Volume:
    for step in steps:
        volume = apply(volume, step)
    return volume


def _by_parts(volume: Volume, steps: tuple[PrepStep, ...]) -> Volume:
    """Steps that treat every slice by itself, a few slices at a time in each of several threads.

    What lies between two steps stays in the processor's cache, and no whole volume of it is ever allocated. The result
    lies in memory as `slices` gives it, so that it has no need of a copy.
    """
    count = volume.array.shape[1]
    if [step.name for step in steps] == ["windows", "resize"]:
        for step in steps:
            check_step(step)
        return windows_resize(volume, steps[0].params, steps[1].params)
    if len(steps) < 2 or count <= _PART:
        return _whole(volume, steps)
    made: list[FloatArray] = []
    lock = Lock()

    def part(start: int) -> Volume:
        done = _whole(replace(volume, array=volume.array[:, start : start + _PART]), steps)
        c, _, h, w = done.array.shape
        with lock:
            if not made:
                made.append(np.empty((count, c, h, w), done.array.dtype).transpose(1, 0, 2, 3))
        made[0][:, start : start + _PART] = done.array
        return done

    parts = threads.each(part, range(0, count, _PART))
    return replace(parts[0], array=made[0])


def prepare_mask(mask: Volume, section: Input, scan: Volume) -> NDArray[np.bool_]:
    """The mask on the slices and grid that `prepare` gives its scan: bool (S, H, W); a pixel counts from half cover.

    The mask is first put onto the scan's own voxels (`masks.onto`, which raises UnsuitableScanError where it cannot).
    Steps that choose their grid by the picture are followed; all other geometric steps treat mask and scan alike.
    """
    mask = replace(onto(mask, scan), units="a.u.", modality="", window=None)
    follows = any(step.name in LED_BY_PICTURE for step in section.prep)
    for step in section.prep:
        if follows:
            scan = apply(scan, step)
        if step.name in LED_BY_PICTURE:
            mask = moved(mask, scan)
        elif step.name in GEOMETRIC:
            mask = apply(mask, step)
    inside: NDArray[np.bool_] = mask.array[0] >= 0.5
    return inside


def apply(volume: Volume, step: PrepStep) -> Volume:
    """Run one step by its name; RecipeError when the name, a parameter or a value is impossible."""
    check_step(step)
    result: Volume = STEPS.get(step.name)(volume, **step.params)
    return result


def channels(section: Input) -> int:
    """How many channels the steps give, read off by running them on a small made scan."""
    for probe in _probes(section):
        try:
            return int(prepare(probe, section).shape[1])
        except UnsuitableScanError:
            continue
    raise RecipeError("The preparation steps refuse every kind of scan; check the order of the steps.")


def check_modality(volume: Volume, section: Input) -> None:
    """Refuse a scan that says it is of another modality than the recipe's; one that says nothing is let through."""
    if volume.modality and volume.modality != section.modality:
        raise UnsuitableScanError(
            f"The scan's modality is {volume.modality}, and the recipe takes {section.modality}; "
            "give another scan or another recipe."
        )
    if section.modality == "SM" and volume.units != "RGB":
        raise UnsuitableScanError(
            f"The recipe takes colour pictures of slides, and this scan holds '{volume.units}'; give an RGB picture."
        )


def _probes(section: Input) -> list[Volume]:
    eye = np.eye(4)
    ramp = np.linspace(0, 255, 16 * 16, dtype=np.float32).reshape(1, 1, 16, 16)
    return [
        Volume(ramp, eye, "HU", "", "probe"),
        Volume(ramp, eye, "a.u.", "", "probe", full_scale=255.0),
        Volume(np.repeat(ramp, 3, axis=0), eye, "RGB", "", "probe", full_scale=255.0),
    ]
