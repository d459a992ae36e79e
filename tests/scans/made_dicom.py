"""DICOM files written with pydicom alone, for the readers to be tried on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def dataset(pixels: NDArray[np.int16], **fields: Any) -> Dataset:
    """A CT slice of signed 16-bit values with rescale intercept -1024; fields replace or, when None, remove."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = CTImageStorage
    made.SOPClassUID = CTImageStorage
    made.SOPInstanceUID = generate_uid()
    made.PatientID = "P1"
    made.StudyInstanceUID = "1.2.3"
    made.SeriesInstanceUID = "1.2.3.4"
    made.Modality = "CT"
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.ImagePositionPatient = [0.0, 0.0, 0.0]
    made.ImageOrientationPatient = list(AXIAL)
    made.PixelSpacing = [0.5, 0.25]
    made.SliceThickness = 5.0
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel = 1
    made.PhotometricInterpretation = "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.PixelRepresentation = 1
    made.RescaleSlope, made.RescaleIntercept = 1.0, -1024.0
    made.PixelData = pixels.astype("<i2").tobytes()
    for name, value in fields.items():
        if value is None:
            delattr(made, name)
        else:
            setattr(made, name, value)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


def write(path: Path, pixels: NDArray[np.int16], **fields: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset(pixels, **fields).save_as(path, enforce_file_format=True)
    return path


def series(
    folder: Path, positions: Sequence[Sequence[float]], orientation: Sequence[float] = AXIAL, **fields: Any
) -> list[Path]:
    """One file per position, in random-looking name order; slice k is filled with the value 1024 + k."""
    paths = []
    for k, position in enumerate(positions):
        pixels = np.full((6, 4), 1024 + k, np.int16)
        pixels[0, 0] = 2000
        name = f"{(k * 7) % 97:02d}.dcm"
        paths.append(
            write(
                folder / name,
                pixels,
                ImagePositionPatient=list(position),
                ImageOrientationPatient=list(orientation),
                InstanceNumber=100 - k,
                **fields,
            )
        )
    return paths
