"""What people send in place of a scan: photographs, screen copies, scanned letters, as files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage
from tests.faults.made_series import Files, put, said, stored
from tests.infer import made_strangers as strangers

Send = Callable[[Files, int, Path], Path]
Picture = NDArray[np.uint8]


def _seen(one: Dataset) -> Picture:
    """A slice in the window of a brain, as a screen shows it (rows, columns)."""
    return np.clip(np.round((stored(one) - 1024.0) / 80.0 * 255.0), 0, 255).astype(np.uint8)


def _screen(files: Files, number: int) -> Picture:
    """A viewer: four slices, a coloured frame about one of them, words and numbers beside."""
    tiles = [cv2.resize(_seen(one), (192, 192)) for one in files[2:6]]
    grey = np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])])
    screen = np.full((420, 640, 3), 40, np.uint8)
    screen[18:402, 20:404] = grey[..., None]
    cv2.rectangle(screen, (20, 18), (212, 210), (0, 160, 255), 2)
    for k, words in enumerate(strangers.WORDS):
        cv2.putText(screen, f"{words} {number}", (420, 40 + 30 * k), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (220, 220, 220), 1)
    return screen


def _save(picture: Picture, path: Path) -> Path:
    path.parent.mkdir(parents=True)
    Image.fromarray(picture).save(path)
    return path


def _photograph(files: Files, number: int, folder: Path) -> Path:
    array = strangers.photograph(number).array[:, 0].transpose(1, 2, 0)
    return _save(np.ascontiguousarray(array, np.uint8), folder / "photograph.jpg")


def _grey_photograph(files: Files, number: int, folder: Path) -> Path:
    return _save(strangers.photograph(number, grey=True).array[0, 0].astype(np.uint8), folder / "photograph.jpg")


def _letter(files: Files, number: int, folder: Path) -> Path:
    return _save(strangers.page(number).array[0, 0].astype(np.uint8), folder / "letter.png")


def _copy(files: Files, number: int, folder: Path) -> Path:
    return _save(_screen(files, number), folder / "screen.png")


def _grey_copy(files: Files, number: int, folder: Path) -> Path:
    return _save(_seen(files[4]), folder / "slice.png")


def _capture(files: Files, number: int, folder: Path, grey: bool) -> Path:
    """A screen copy as a scanner or archive stores it: a secondary capture among the scan's own series."""
    (one,) = said(SOPClassUID=SecondaryCaptureImageStorage, ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"])(
        files[4:5], number
    )
    one.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    picture = _screen(files, number)
    if grey:
        put(one, picture[..., 0].astype(np.float64))
    else:
        one.SamplesPerPixel, one.PhotometricInterpretation, one.PlanarConfiguration = 3, "RGB", 0
        one.BitsAllocated = one.BitsStored = 8
        one.HighBit, one.PixelRepresentation = 7, 0
        one.Rows, one.Columns = picture.shape[:2]
        one.PixelData = picture.tobytes()
        for name in ("RescaleSlope", "RescaleIntercept", "RescaleType"):
            delattr(one, name)
    folder.mkdir(parents=True)
    one.save_as(folder / "capture.dcm", enforce_file_format=True)
    return folder / "capture.dcm"


KINDS: Mapping[str, Send] = {
    "photograph in colour": _photograph,
    "photograph in grey": _grey_photograph,
    "scanned letter": _letter,
    "screen copy with four slices": _copy,
    "one slice saved as a picture": _grey_copy,
    "screen copy as DICOM, in colour": lambda files, n, folder: _capture(files, n, folder, grey=False),
    "screen copy as DICOM, in grey": lambda files, n, folder: _capture(files, n, folder, grey=True),
}
