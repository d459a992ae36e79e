"""The sides of `ingest.py`: the series in each syntax, Insula, the codec alone, MONAI and SimpleITK."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from insula.core.recipe import Input
from insula.prep.run import prepare
from insula.scans import attributes, threads, unlocked
from insula.scans.read import read_files
from insula.scans.sandbox import Sandbox
from insula.scans.syntax import CODECS

SERIES, PROCESSES = 4, 2
SIZE = 224
WINDOWS = ((40.0, 80.0), (80.0, 200.0), (600.0, 2800.0))
SYNTAXES = {
    "uncompressed": ExplicitVRLittleEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG lossless": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
    "HTJ2K": HTJ2KLossless,
}
SECTION = Input.model_validate({"modality": "CT", "prep": [{"windows": [list(w) for w in WINDOWS]}, {"resize": SIZE}]})


def source(folder: Path) -> list[Path]:
    """The files of the series that is measured."""
    real = Path(__file__).resolve().parents[2] / "shared/data/ct_dicom/In/GE"
    if real.is_dir():
        return sorted(p for p in real.rglob("*") if p.is_file() and pydicom.misc.is_dicom(p))
    from insula.cohort.phantom.make import make

    made = make("haemorrhage-ct", folder / "phantom", 2, size=512, slices=28)
    return sorted((made / "dicom").iterdir().__next__().iterdir())


def store(files: list[Path], name: str, folder: Path) -> list[Path]:
    """The series again in another transfer syntax; unsigned values, so that every codec takes them."""
    folder.mkdir()
    written = []
    for number, path in enumerate(files):
        dataset = pydicom.dcmread(path)
        stored = dataset.pixel_array
        shift = int(min(0, int(stored.min())))
        dataset.RescaleIntercept = float(dataset.RescaleIntercept) + shift * float(dataset.RescaleSlope)
        values = (stored.astype(np.int32) - shift).astype(np.uint16)
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 16, 15
        dataset.ImageOrientationPatient, dataset.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 5 * number]
        dataset.pop("SmallestImagePixelValue", None)
        dataset.pop("LargestImagePixelValue", None)
        dataset.pop("PixelPaddingValue", None)
        dataset.PixelData = values.tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        encode(dataset, values, SYNTAXES[name])
        place = folder / f"{number:03d}.dcm"
        dataset.save_as(place, enforce_file_format=True)
        written.append(place)
    return written


def encode(dataset: Any, values: np.ndarray, syntax: Any) -> None:
    """Pixel data in the syntax, by encoders that are not ours."""
    if syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        dataset.compress(syntax, generate_instance_uid=False)
        return
    if syntax in (JPEGLosslessSV1, HTJ2KLossless):
        import imagecodecs

        code = imagecodecs.ljpeg_encode if syntax == JPEGLosslessSV1 else imagecodecs.htj2k_encode
        dataset.PixelData = encapsulate([code(values)])
        dataset["PixelData"].is_undefined_length = True
        dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = syntax


def ours(files: list[Path]) -> np.ndarray:
    """Insula; what it remembers of headers is forgotten first, since the same files are read again and again here."""
    attributes.forget()
    return prepare(read_files(files), SECTION)


def task(request: dict[str, Any]) -> tuple[dict[str, Any], tuple[np.ndarray, ...]]:
    """What a decoding process does for the prepared cache (`prep.work`), without hashing the files."""
    return {}, (ours([Path(name) for name in request["names"]]),)


def several(files: list[Path], pool: Sandbox) -> None:
    """The series several times through the pool, as `prep.cache.build` does it."""
    request = {"names": [str(path) for path in files]}
    with ThreadPoolExecutor(pool.workers) as threads:
        list(threads.map(lambda _: pool.run("ingest_sides:task", "series", request), range(SERIES)))


def codec(files: list[Path]) -> np.ndarray:
    """Parsing by pydicom and decoding by Insula's codec, one file after the other."""
    stored = []
    for path in files:
        dataset = pydicom.dcmread(path)
        kind = dataset.file_meta.TransferSyntaxUID
        if decode := unlocked.decoder(kind):
            stored.append(decode(next(generate_frames(dataset.PixelData, number_of_frames=1))))
        else:
            trusted = CODECS.get(kind)
            stored.append(pixel_array(dataset, decoding_plugin=trusted.plugins[0] if trusted else ""))
    return np.stack(stored)


def bare(files: list[Path]) -> Callable[[], object]:
    """The codec alone on all cores, on what the files hold; for uncompressed pixels that is a copy."""
    loaded = [pydicom.dcmread(path) for path in files]
    kind = loaded[0].file_meta.TransferSyntaxUID
    if kind == DeflatedExplicitVRLittleEndian:
        whole = [path.read_bytes() for path in files]
        packed = [data[144 + int.from_bytes(data[140:144], "little") :] for data in whole]
        return lambda: threads.each(lambda data: zlib.decompress(data, -15), packed)
    if kind == ExplicitVRLittleEndian:
        return lambda: threads.each(np.copy, [dataset.pixel_array for dataset in loaded])
    frames = [next(generate_frames(dataset.PixelData, number_of_frames=1)) for dataset in loaded]
    if decode := unlocked.decoder(kind):
        return lambda: threads.each(decode, frames)
    from rle.utils import decode_frame

    count = loaded[0].Rows * loaded[0].Columns
    return lambda: threads.each(lambda frame: decode_frame(frame, count, 16, "<"), frames)


def copies(stored: np.ndarray, made: np.ndarray) -> float:
    values = np.empty(stored.shape, np.float32)
    result = np.empty_like(made)
    np.copyto(values, stored)
    np.copyto(result, made)
    return float(values[0, 0, 0] + result[0, 0, 0, 0])


def simpleitk(files: list[Path]) -> np.ndarray:
    import SimpleITK as sitk  # noqa: N813 - its own documentation's name

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(files[0].parent)))
    image = sitk.Cast(reader.Execute(), sitk.sitkFloat32)
    channels = []
    for centre, width in WINDOWS:
        shown = sitk.IntensityWindowing(image, centre - width / 2, centre + width / 2, 0.0, 1.0)
        ratio = [shown.GetWidth() / SIZE, shown.GetHeight() / SIZE, 1.0]
        spacing = [s * r for s, r in zip(shown.GetSpacing(), ratio, strict=True)]
        grid = [SIZE, SIZE, shown.GetDepth()]
        shown = sitk.Resample(
            shown, grid, sitk.Transform(), sitk.sitkLinear, shown.GetOrigin(), spacing, shown.GetDirection()
        )
        channels.append(sitk.GetArrayFromImage(shown))
    return np.stack(channels, axis=1)


def monai_pipeline() -> Callable[[list[Path]], np.ndarray]:
    from monai.data import PydicomReader
    from monai.transforms import Compose, LoadImage, Resize, ScaleIntensityRange

    load = Compose([LoadImage(reader=PydicomReader(), image_only=True, ensure_channel_first=True)])
    scales = [ScaleIntensityRange(c - w / 2, c + w / 2, 0.0, 1.0, clip=True) for c, w in WINDOWS]
    resize = Resize((SIZE, SIZE, -1), mode="area")

    def run(files: list[Path]) -> np.ndarray:
        volume = load(str(files[0].parent))
        import torch

        shown = resize(torch.cat([scale(volume) for scale in scales]))
        return np.asarray(shown).transpose(3, 0, 2, 1)

    return run
