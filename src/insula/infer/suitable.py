"""Is this such a scan at all? Checks of header and picture before the model is asked, each with its reason."""

from __future__ import annotations

import math
import re
from typing import Final, Literal

import numpy as np

from insula.core.errors import UnsuitableScanError
from insula.core.recipe import Input
from insula.core.recipe_policy import Refuse
from insula.core.types import FloatArray, Volume

Check = Literal["colour", "size", "aspect", "body part", "blank", "saturated"]
# Words for parts of the body (after DICOM PS3.16, Annex L); one that is neither here nor in the recipe is not judged.
_WORDS: Final = """
ABD ABDOMEN ABDOMENPELVIS ADRENAL ANKLE AORTA ARM AXILLA BLADDER BRAIN BREAST BRONCHUS CALCANEUS CALF CARDIAC CERVIX
CHEST CHESTABDOMEN CHESTABDPELVIS CLAVICLE COCCYX COLON CSPINE CTSPINE DUODENUM ELBOW ESOPHAGUS EXTREMITY FEMUR
FIBULA FINGER FOOT FOREARM GALLBLADDER GROIN HAND HEAD HEART HIP HUMERUS ILIUM INTESTINE KIDNEY KNEE LEG LIVER
LSPINE LSSPINE LUMBAR LUNG MEDIASTINUM NECK OVARY PANCREAS PATELLA PELVIS PROSTATE RADIUS RECTUM RIB RIBS SACRUM
SCAPULA SCROTUM SHOULDER SIJOINT SKULL SPINE SPLEEN SSPINE STERNUM STOMACH TESTIS THIGH THORAX THUMB THYROID TIBIA
TOE TRACHEA TSPINE ULNA URETER UTERUS VAGINA WRIST
"""
_KNOWN: Final = frozenset(_WORDS.split())


class NoSuchScanError(UnsuitableScanError):
    """A readable scan that one of the checks refused; check: which."""

    def __init__(self, check: Check, message: str) -> None:
        super().__init__(message)
        self.check: Check = check


def before(volume: Volume, section: Input, shape: tuple[int, int, int], rules: Refuse) -> tuple[str, ...]:
    """Check a scan as it was read, for a network that takes (C, H, W); what could not be checked is given back.

    Raises NoSuchScanError for colour where the recipe takes grey scans, for too small or too long a picture, for one
    value throughout, and for a header that names another part of the body. Slides are cut to tiles and have no body
    part, so that only the blank one is refused here.
    """
    value = float(volume.array.flat[0])
    if math.isnan(value) and np.isnan(volume.array).all():
        raise NoSuchScanError("blank", "The scan is blank: not one pixel is a number; export it again from its source.")
    if (volume.array[..., ::8, ::8] == value).all() and (volume.array == value).all():  # of most scans a few pixels say
        raise NoSuchScanError("blank", f"The scan is blank: every pixel is {value:g}; export it again from its source.")
    if section.modality == "SM":
        return ()
    coloured = section.modality == "OT" or any(step.name == "colour" for step in section.prep)
    if volume.units == "RGB" and not coloured:
        raise NoSuchScanError(
            "colour",
            f"The picture is in colour, and the recipe takes grey {section.modality} scans; give the scan itself, no "
            "photograph or screen copy of it.",
        )
    _check_size(volume, shape, rules)
    return _check_body_part(volume, section, rules)


def after(prepared: FloatArray, rules: Refuse) -> None:
    """Check prepared slices (S, C, H, W): NoSuchScanError where hardly a pixel lies between darkest and brightest.

    One pixel in four is looked at. In several channels a pixel counts that lies between them in any.
    """
    if rules.varied is None:
        return
    seen = np.ascontiguousarray(prepared[..., ::2, ::2])
    low, high = seen.min(), seen.max()
    if low == high:
        raise NoSuchScanError(
            "blank",
            f"The prepared scan is blank: every pixel is {float(low):g} after the recipe's steps; give a scan of what "
            "the recipe asks for.",
        )
    between = np.zeros((len(seen), *seen.shape[2:]), np.bool_)
    for channel in np.moveaxis(seen, 1, 0):
        between |= (channel > low) & (channel < high)
    share = float(between.mean())
    if share < rules.varied:
        raise NoSuchScanError(
            "saturated",
            f"The prepared scan is black and white: {share:.1%} of its pixels lie between its darkest and its "
            f"brightest value, and the recipe asks for {rules.varied:.1%}; check the scan's window and units.",
        )


def _check_size(volume: Volume, shape: tuple[int, int, int], rules: Refuse) -> None:
    height, width = volume.array.shape[-2:]
    if rules.shrink is not None and min(height, width) * rules.shrink < min(shape[1:]):
        raise NoSuchScanError(
            "size",
            f"The scan has {width} × {height} pixels, and the network takes {shape[2]} × {shape[1]}: at least a "
            f"{rules.shrink:g}th of that a side is the rule; give the scan in its own size, no thumbnail.",
        )
    x, y, _ = volume.spacing
    sides = sorted((width * x, height * y))
    if rules.aspect is not None and sides[1] > rules.aspect * sides[0]:
        raise NoSuchScanError(
            "aspect",
            f"The picture is {sides[1] / sides[0]:.1f} times as long as it is wide, and {rules.aspect:g} times is the "
            "most; give whole slices.",
        )


def _check_body_part(volume: Volume, section: Input, rules: Refuse) -> tuple[str, ...]:
    said = volume.attributes.get("body_part", "").upper()
    if section.modality == "OT" or not said or not rules.body_parts or any(w.upper() in said for w in rules.body_parts):
        return ()
    if _KNOWN & set(re.findall(r"[A-Z]+", said)):
        raise NoSuchScanError(
            "body part",
            f"The header says that the scan shows '{said[:40]}', and the recipe takes {', '.join(rules.body_parts)}; "
            "give another scan or another recipe.",
        )
    return (f"the header's body part '{said[:40]}' is not known: that it is the right one was not checked",)
