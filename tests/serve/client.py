"""What the service's tests share: an application over a tiny bundle, and scans as bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from fastapi.testclient import TestClient
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from insula.bundle.types import Bundle
from insula.serve.app import create_app
from insula.serve.settings import Settings

KEY = "k" * 32


def client(bundle: Bundle | None, **options: Any) -> TestClient:
    """A client of the service as a browser on this machine would be."""
    settings = Settings(bundle=bundle.path if bundle else None, threads=1, **options)
    return TestClient(create_app(settings), base_url="http://127.0.0.1:8000", raise_server_exceptions=False)


def dicom(
    modality: str = "CT",
    number: int = 1,
    series: str = "1.2.3.4",
    seed: int = 0,
    name: str = "Doe^Jane",
    patient: str = "ID-4711",
) -> bytes:
    """One slice of noise as a DICOM file that names a patient."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.PatientName, file.PatientID = name, patient
    file.StudyInstanceUID, file.SeriesInstanceUID = "1.2.3", series
    file.Modality = modality
    file.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    file.Rows = file.Columns = 24
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 12, 11, 0
    file.RescaleSlope, file.RescaleIntercept = "1", "-1024"
    file.RescaleType = "HU"
    file.PixelSpacing, file.SliceThickness = ["1", "1"], "3"
    file.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    file.ImagePositionPatient = ["0", "0", str(3 * number)]
    file.InstanceNumber = number
    g = np.random.default_rng(seed + number)
    file.PixelData = np.clip(g.normal(1064, 25, (24, 24)), 0, 4095).astype(np.uint16).tobytes()
    stream = io.BytesIO()
    file.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def png() -> bytes:
    """A grey picture: no HU, so a CT recipe of windows refuses it."""
    stream = io.BytesIO()
    Image.fromarray(np.full((20, 20), 99, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def nifti(folder: Path) -> bytes:
    """A volume without a unit."""
    path = folder / "v.nii.gz"
    image: Any = nib.Nifti1Image(np.zeros((8, 8, 3), np.float32), np.eye(4))
    nib.save(image, path)
    return path.read_bytes()
