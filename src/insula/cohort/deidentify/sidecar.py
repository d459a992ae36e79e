"""A JSON sidecar (as BIDS and dcm2niix write it) cut to what describes the imaging."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from insula.cohort.deidentify.tally import Tally
from insula.core.errors import ScanError

_MOST_BYTES = 8 << 20
_NUMBER_KEYS = """
EchoTime EchoTime1 EchoTime2 RepetitionTime RepetitionTimeExcitation InversionTime FlipAngle SliceThickness
SpacingBetweenSlices MagneticFieldStrength ImagingFrequency PixelBandwidth EchoTrainLength EchoNumber
AcquisitionMatrixPE ReconMatrixPE PercentPhaseFOV PercentSampling PhaseResolution DwellTime EffectiveEchoSpacing
TotalReadoutTime ParallelReductionFactorInPlane MultibandAccelerationFactor NumberOfVolumesDiscardedByScanner
SliceTiming ImageOrientationPatientDICOM SAR KVP XRayExposure XRayTubeCurrent ExposureTime GantryTilt
ReconstructionDiameter DistanceSourceToDetector DistanceSourceToPatient TableHeight CTDIvol SpiralPitchFactor
RescaleSlope RescaleIntercept PhilipsRescaleSlope PhilipsRescaleIntercept PhilipsScaleSlope Dimensions
"""
NUMBERS = frozenset(_NUMBER_KEYS.split())
_CODE_KEYS = """
Modality Units MRAcquisitionType ScanningSequence SequenceVariant ScanOptions ImageType PhaseEncodingDirection
PhaseEncodingAxis SliceEncodingDirection PatientPosition BodyPartExamined ContrastBolusIngredient ConvolutionKernel
RawImage
"""
CODES = frozenset(_CODE_KEYS.split())
DEVICE = frozenset({"Manufacturer", "ManufacturersModelName", "SoftwareVersions", "DeviceSerialNumber", "StationName"})
_LONGEST = 24


def clean(path: Path, options: frozenset[str], tally: Tally) -> bytes:
    """The sidecar with the keys that hold numbers or short codes of the imaging; every other key is dropped.

    `retain-device` keeps maker, model, software, serial number and station. Raises ScanError for what is no object of
    JSON.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ScanError("The sidecar is too long to be one.")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ScanError("The sidecar is no JSON.") from error
    if not isinstance(content, dict):
        raise ScanError("The sidecar is no JSON object.")
    kept: dict[str, Any] = {}
    for name, value in content.items():
        if (name in NUMBERS and _numbers(value)) or (name in CODES and _codes(value)):
            kept[name] = value
        elif name in DEVICE and "retain-device" in options and isinstance(value, str):
            kept[name] = value
            tally.kept[name] += 1
        else:
            tally.removed["key of a sidecar"] += 1
    return (json.dumps(kept, indent=2, ensure_ascii=False) + "\n").encode()


def _numbers(value: Any) -> bool:
    if isinstance(value, list):
        return all(_numbers(part) for part in value)
    return isinstance(value, int | float)


def _codes(value: Any) -> bool:
    if isinstance(value, list):
        return all(_codes(part) for part in value)
    return isinstance(value, bool) or (isinstance(value, str) and len(value) <= _LONGEST and value.isascii())
