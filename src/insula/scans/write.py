"""Writing scans: NIfTI in its own frame, and a CT series as DICOM."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from insula.core.provenance import write_bytes
from insula.core.types import Volume

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_ROOT = "2.25."


def write_nifti(volume: Volume, path: Path) -> None:
    """Write a volume as .nii or .nii.gz, as `nifti_bytes` gives it."""
    write_bytes(path, nifti_bytes(volume, compressed=path.name.endswith(".gz")))


def nifti_bytes(volume: Volume, compressed: bool = True) -> bytes:
    """A volume as NIfTI, one channel as 3-D and several as 4-D, its affine turned from LPS to RAS.

    The compressed bytes carry no time and no name, so that equal volumes give equal files.
    """
    data = volume.array.transpose(3, 2, 1, 0)
    image: Any = nibabel.Nifti1Image(data[..., 0] if data.shape[3] == 1 else data, _LPS_TO_RAS @ volume.affine)
    image.header.set_xyzt_units("mm")
    raw = bytes(image.to_bytes())
    return gzip.compress(raw, 6, mtime=0) if compressed else raw


def made_uid(*parts: object) -> UID:
    """A UID under 2.25 (PS3.5 B.2) made from the parts: the same parts give the same UID."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return UID(_ROOT + str(int.from_bytes(digest[:16], "big") >> 6))


def write_ct_series(
    hu: NDArray[np.floating[Any]],
    affine: NDArray[np.float64],
    folder: Path,
    names: list[str],
    uids: tuple[str, str],
    header: Mapping[str, Any],
) -> list[Path]:
    """Write HU (Z, Y, X) as one CT file a slice, signed 16 bit, explicit little endian, intercept -1024.

    affine: voxel index (x, y, z) → LPS mm. names: one file name a slice. uids: study and series. header: further
    attributes by keyword, the same in every file.
    """
    study, series = uids
    steps = [affine[:3, i] for i in range(3)]
    spacing = [float(np.linalg.norm(s)) for s in steps]
    orientation = [float(v) for s, n in zip(steps[:2], spacing[:2], strict=True) for v in s / n]
    stored = np.clip(np.rint(hu + 1024.0), -32768, 32767).astype("<i2")
    written = []
    for k, name in enumerate(names):
        instance = made_uid(series, k)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = instance
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        for keyword, value in header.items():
            setattr(dataset, keyword, value)
        dataset.SOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = instance
        dataset.StudyInstanceUID = study
        dataset.SeriesInstanceUID = series
        dataset.FrameOfReferenceUID = made_uid(series, "frame")
        dataset.Modality = "CT"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.InstanceNumber = k + 1
        dataset.ImageOrientationPatient = [f"{v:.8g}" for v in orientation]
        dataset.ImagePositionPatient = [f"{v:.8g}" for v in affine[:3, 3] + k * steps[2]]
        dataset.PixelSpacing = [f"{spacing[1]:.8g}", f"{spacing[0]:.8g}"]
        dataset.SliceThickness = f"{spacing[2]:.8g}"
        dataset.Rows, dataset.Columns = stored.shape[1:]
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit = 15
        dataset.PixelRepresentation = 1
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
        dataset.WindowCenter, dataset.WindowWidth = "40", "80"
        dataset.PixelData = stored[k].tobytes()
        path = folder / name
        stream = BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stream.getvalue())
        written.append(path)
    return written
