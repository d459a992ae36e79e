"""From a DICOM series to model-ready windows, against straightforward MONAI and SimpleITK pipelines and the codec.

The series: 28 slices of 512², the real head of the measuring data where it is there (its slices put on an even grid, so
that no side has to resample), a phantom otherwise, stored in every transfer syntax that can be written here. The goal
of each pipeline: three CT windows as float32 (28, 3, 224, 224). The floor: decoding the stored values by the same codec
through pydicom, plus one copy to float32 and one of the result. Insula is measured twice: `alone`, in this process, and
`cache`, as the prepared cache runs it, four series through two decoding processes (the hashing of the files left out),
per series. The codecs hold Python's lock, so one process cannot use two cores. All sides are interleaved. Needs the
extra `bench` (MONAI, SimpleITK, imagecodecs); a side that is not installed, or cannot read a syntax, is said to be
missing.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.encaps import encapsulate
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
from insula.prep.cache import Prepared, build
from insula.prep.run import prepare
from insula.scans.read import read_files
from insula.scans.sandbox import Sandbox

ROUNDS = 7
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
GOALS = {"least_times_faster": 3.0, "most_times_floor": 1.5, "windows_times_copy": 2.0, "epoch_times_decode": 50.0}
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
    return prepare(read_files(files), SECTION)


def task(request: dict[str, Any]) -> tuple[dict[str, Any], tuple[np.ndarray, ...]]:
    """What a decoding process does for the prepared cache (`prep.work`), without hashing the files."""
    return {}, (ours([Path(name) for name in request["names"]]),)


def several(files: list[Path], pool: Sandbox) -> None:
    """The series several times through the pool, as `prep.cache.build` does it."""
    request = {"names": [str(path) for path in files]}
    with ThreadPoolExecutor(pool.workers) as threads:
        list(threads.map(lambda _: pool.run("ingest:task", "series", request), range(SERIES)))


def codec(files: list[Path]) -> np.ndarray:
    from insula.scans.syntax import CODECS

    stored = []
    for path in files:
        dataset = pydicom.dcmread(path)
        trusted = CODECS.get(dataset.file_meta.TransferSyntaxUID)
        plugin = trusted.plugins[0] if trusted else ""
        stored.append(pixel_array(dataset, decoding_plugin=plugin))
    return np.stack(stored)


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


def interleaved(sides: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Seconds of each side, taken in turn; one round before counts for nothing."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            if turn:
                times[name].append(time.perf_counter() - start)
    return times


def series(files: list[Path], name: str, folder: Path, pool: Sandbox) -> dict[str, float] | None:
    """One syntax: prints its line, returns the ratios."""
    try:
        stored = store(files, name, folder / name.replace(" ", "-"))
    except Exception as error:  # whatever an encoder raises: the syntax cannot be written here
        print(f"{name:<14} cannot be written here ({type(error).__name__}: {str(error)[:80]})")
        return None
    reference = ours(stored)
    raw = codec(stored)
    sides: dict[str, Callable[[], object]] = {
        "alone": lambda: ours(stored),
        "cache": lambda: several(stored, pool),
        "codec": lambda: codec(stored),
        "copy": lambda: copies(raw, reference),
    }
    missing = []
    for label, make in (("MONAI", monai_pipeline), ("SimpleITK", lambda: simpleitk)):
        try:
            run = make()
            if run(stored).shape != reference.shape:
                raise ValueError("another shape")
            sides[label] = lambda run=run: run(stored)  # type: ignore[misc]
        except Exception as error:  # a side that is not installed, or cannot read the syntax
            missing.append(f"{label}: {type(error).__name__}")
    times = {label: statistics.median(values) * 1000 for label, values in interleaved(sides).items()}
    times["cache"] /= SERIES
    floor = times["codec"] + times["copy"]
    ratios = {"floor_alone": times["alone"] / floor, "floor": times["cache"] / floor}
    cells = [f"{times[side]:>8.1f}" for side in ("alone", "cache", "codec", "copy")]
    cells += [f"{ratios['floor_alone']:>8.2f}", f"{ratios['floor']:>8.2f}"]
    for label in ("MONAI", "SimpleITK"):
        if label in times:
            ratios[label] = times[label] / times["cache"]
            ratios[f"{label}_alone"] = times[label] / times["alone"]
            cells += [f"{times[label]:>9.1f}", f"{ratios[f'{label}_alone']:>7.1f}", f"{ratios[label]:>7.1f}"]
        else:
            cells += [f"{'-':>9}", f"{'-':>7}", f"{'-':>7}"]
    print(f"{name:<14}" + " ".join(cells) + ("   missing: " + ", ".join(missing) if missing else ""))
    return ratios


def windowing(files: list[Path]) -> float:
    """Windows alone against writing their result once (no resize)."""
    from insula.prep.run import apply

    volume = read_files(files)
    step = SECTION.prep[0]
    made = apply(volume, step).array
    out = np.empty_like(made)
    times = interleaved({"windows": lambda: apply(volume, step), "copy": lambda: np.copyto(out, made)})
    fresh = interleaved({"copy": lambda: made.copy()})
    window, copy = statistics.median(times["windows"]), statistics.median(fresh["copy"])
    print(f"windows {window * 1000:.1f} ms, copy of their result {copy * 1000:.1f} ms: {window / copy:.2f} times")
    return window / copy


def epoch(files: list[Path], folder: Path) -> float:
    """Reading every slice of a prepared cache in random order against decoding the series again."""
    from insula.core.types import Case, Scan

    case = Case("a", "a", {"ct": Scan(tuple(p.name for p in files), "dicom")}, {})
    prepared: Prepared = build([case], files[0].parent, "ct", SECTION, folder / "cache")
    order = np.random.default_rng(0).permutation(len(prepared.slices))

    def cached() -> float:
        return float(sum(np.array(prepared.slices[i])[0, 0, 0] for i in order))

    times = interleaved({"cache": cached, "decode": lambda: ours(files)})
    ratio = statistics.median(times["decode"]) / statistics.median(times["cache"])
    print(f"an epoch from the cache is {ratio:.0f} times as fast as decoding again")
    return ratio


def main() -> int:
    warnings.simplefilter("ignore")
    print(f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {ROUNDS} rounds, interleaved")
    print("medians in ms for 28 slices of 512²")
    print("faster and × floor: first alone, then as the cache runs it")
    heads = ("alone", "cache", "codec", "copy", "× floor", "× floor")
    others = f"{'MONAI':>9} {'faster':>7} {'faster':>7} {'SimpleITK':>9} {'faster':>7} {'faster':>7}"
    print(f"{'syntax':<14}" + " ".join(f"{head:>8}" for head in heads) + f" {others}")
    with tempfile.TemporaryDirectory() as name, Sandbox(PROCESSES).start(PROCESSES) as pool:
        folder = Path(name)
        files = source(folder)
        rows = {syntax: found for syntax in SYNTAXES if (found := series(files, syntax, folder, pool)) is not None}
        plain = sorted((folder / "uncompressed").iterdir())
        copy_ratio, cache_ratio = windowing(plain), epoch(plain, folder)
    speeds = [row[label] for row in rows.values() for label in ("MONAI", "SimpleITK") if label in row]
    figures = {
        "least_times_faster": round(min(speeds), 2) if speeds else None,
        "most_times_floor": round(max(row["floor"] for row in rows.values()), 2),
        "windows_times_copy": round(copy_ratio, 2),
        "epoch_times_decode": round(cache_ratio, 1),
        "by_syntax": {k: {n: round(v, 2) for n, v in row.items()} for k, row in rows.items()},
    }
    holds = (
        bool(speeds)
        and figures["least_times_faster"] >= GOALS["least_times_faster"]  # type: ignore[operator]
        and figures["most_times_floor"] <= GOALS["most_times_floor"]  # type: ignore[operator]
        and copy_ratio <= GOALS["windows_times_copy"]
        and cache_ratio >= GOALS["epoch_times_decode"]
    )
    print(json.dumps({"bench": "ingest", "figures": figures, "goals": GOALS, "holds": holds}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
