"""Faults planted into a finished folder: copies under other patient ids, damaged files, files of another modality."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
from PIL import Image
from pydicom.uid import JPEGLSNearLossless, MRImageStorage

from insula.cohort.phantom.clot import clot
from insula.cohort.phantom.fate import chosen
from insula.cohort.phantom.files import encoded, name_of
from insula.cohort.phantom.order import Order
from insula.core.provenance import write_bytes, write_text
from insula.core.types import Volume
from insula.scans.write import made_uid, write_ct_series, write_nifti

Row = dict[str, str]
COPIES = ("exact", "recompressed", "flipped", "cropped")
DAMAGES = ("truncated", "empty", "garbage")
STRANGER = "modality"
SPLITS = "splits"
_COPY, _DAMAGE, _BESIDE, _SPLIT = 71, 72, 73, 74
_CROP = 0.05  # of the side, on each border
_COARSE = 64  # grey levels left of a volume that was saved with loss
_QUALITY = 60
_NEAR = 3  # HU that JPEG-LS may err in a recompressed CT


def duplicates(order: Order, folder: Path, rows: Sequence[Row]) -> list[Row]:
    """Copy patients under new ids, in four ways in turn, and return the new rows.

    exact: the same bytes. recompressed: JPEG at quality 60, JPEG-LS with 3 HU of error, or 64 grey levels (NIfTI).
    flipped: left and right swapped. cropped: 5% less at each border. New UIDs and names in all but the exact copies.
    """
    sources = sorted(chosen(order, _COPY, order.plants.duplicates))
    made: list[Row] = []
    for turn, number in enumerate(sources):
        how, name = COPIES[turn % len(COPIES)], name_of(order.count + turn)
        for row in (r for r in rows if r["patient_id"] == name_of(number)):
            new = row | {"patient_id": name, "copy_of": name_of(number), "copy": how}
            new["scan"] = _copy(folder, row["scan"], name_of(number), name, how)
            if row.get("true_mask"):
                new["true_mask"] = _copy_mask(folder, row["true_mask"], name_of(number), name, how)
                new["mask"] = new["true_mask"] if row.get("mask") else ""
            made.append(new)
    return made


def split_lists(order: Order, folder: Path, rows: Sequence[Row]) -> None:
    """Write `splits/train.txt`, `val.txt`, `test.txt`: every copied patient in train, its copies in test.

    The others fill up 60, 15 and 25 in a hundred, class by class; damaged patients stand in none, since the index may
    not find them.
    """
    damaged = {row["patient_id"] for row in rows if row.get("damage")}
    given = {row["patient_id"]: row["given_label"] for row in rows if row["patient_id"] not in damaged}
    copies = {p: row["copy_of"] for row in rows if row.get("copy_of") and (p := row["patient_id"]) in given}
    where = dict.fromkeys(copies, "test") | dict.fromkeys((p for p in copies.values() if p in given), "train")
    g = np.random.default_rng((order.seed, _SPLIT))
    for label in sorted(set(given.values())):
        of_class = [p for p in given if given[p] == label]
        wanted = {"train": 0.6 * len(of_class), "val": 0.15 * len(of_class), "test": 0.25 * len(of_class)}
        for patient in of_class:
            wanted[where.get(patient, "train")] -= patient in where
        for patient in g.permutation([p for p in of_class if p not in where]):
            place = max(wanted, key=lambda name: wanted[name])
            where[str(patient)] = place
            wanted[place] -= 1
    for name in ("train", "val", "test"):
        units = sorted(p for p, place in where.items() if place == name)
        write_text(folder / SPLITS / f"{name}.txt", "".join(f"{unit}\n" for unit in units))


def damage(order: Order, folder: Path, rows: Sequence[Row]) -> None:
    """Damage one file each of some patients, in three ways in turn, and note it in their first row.

    Patients who were copied are spared as long as there are others, so that the two faults stay apart.
    """
    copied = {row["copy_of"] for row in rows if row.get("copy_of")}
    drawn = np.random.default_rng((order.seed, _DAMAGE)).permutation(order.count)
    numbers = sorted((int(n) for n in drawn), key=lambda n: name_of(n) in copied)[: order.plants.unreadable]
    for turn, number in enumerate(sorted(numbers)):
        row = next(r for r in rows if r["patient_id"] == name_of(number))
        place = folder / row["scan"]
        files = sorted(place.iterdir()) if place.is_dir() else [place]
        path = files[len(files) // 2]
        how = DAMAGES[turn % len(DAMAGES)]
        data = path.read_bytes()
        g = np.random.default_rng((order.seed, number, _DAMAGE))
        damaged = {"truncated": data[: int(0.6 * len(data))], "empty": b"", "garbage": g.bytes(len(data))}[how]
        path.write_bytes(damaged)
        row |= {"damage": how, "damaged_file": path.relative_to(folder).as_posix()}


def strangers(order: Order, folder: Path, rows: Sequence[Row]) -> list[Row]:
    """Lay a file of another modality beside some patients' scans, and return what lies there as rows of the truth.

    An MR slice beside a CT series, a CT slice beside an MR volume, a volume beside clots, a clot among CT pictures.
    """
    made = []
    for number in sorted(chosen(order, _BESIDE, order.plants.wrong_modality)):
        row = next(r for r in rows if r["patient_id"] == name_of(number))
        g = np.random.default_rng((order.seed, number, _BESIDE))
        place = folder / row["scan"]
        beside = place if place.is_dir() else place.parent
        if order.options.pictures:
            path = beside / f"{name_of(number)}_99.png"
            write_bytes(path, encoded(clot("CE", order.size, g), "png"))
        elif order.kind == "clot-origin":
            path = beside / f"{name_of(number)}_volume.nii.gz"
            write_nifti(Volume(_noise(g, order.size)[None], np.eye(4), "a.u.", "MR", "phantom"), path)
        else:
            path = beside / f"{name_of(number)}_other.dcm"
            _slice(path, _noise(g, order.size), number, order.seed, mr=place.is_dir())
        made.append({"patient_id": name_of(number), "scan": path.relative_to(folder).as_posix(), "damage": STRANGER})
    return made


def _copy(folder: Path, scan: str, old: str, new: str, how: str) -> str:
    source = folder / scan
    target = Path(scan.replace(old, new))
    if source.is_dir():
        for number, path in enumerate(sorted(source.iterdir())):
            _copy_file(path, folder / target / path.name.replace(old, new), new, how, number)
    else:
        written = _copy_file(source, folder / target, new, how, 0)
        target = target.with_name(written.name)
        beside = source.with_name(source.name.removesuffix(".nii.gz") + ".json")
        if beside.is_file() and scan.endswith(".nii.gz"):
            shutil.copyfile(beside, folder / Path(beside.relative_to(folder).as_posix().replace(old, new)))
    return target.as_posix()


def _copy_mask(folder: Path, mask: str, old: str, new: str, how: str) -> str:
    return _copy(folder, mask, old, new, "exact" if how == "recompressed" else how)


def _copy_file(source: Path, target: Path, patient: str, how: str, number: int) -> Path:
    if how == "recompressed" and source.suffix == ".png":
        target = target.with_suffix(".jpg")
    target.parent.mkdir(parents=True, exist_ok=True)
    if how == "exact":
        shutil.copyfile(source, target)
    elif source.suffix == ".dcm":
        _copy_dicom(source, target, patient, how, number)
    elif source.name.endswith(".nii.gz"):
        _copy_nifti(source, target, how)
    else:
        with Image.open(source) as opened:
            changed = _changed(np.asarray(opened), how, across=1)
        form = "png" if target.suffix == ".png" else "jpeg"
        write_bytes(target, encoded(changed, form, _QUALITY if how == "recompressed" else 92))
    return target


def _changed(array: np.ndarray, how: str, across: int) -> np.ndarray:
    """An array flipped along its axis `across` the patient, or cropped along the first two axes."""
    if how == "flipped":
        return np.ascontiguousarray(np.flip(array, across))
    if how == "cropped":
        a, b = (max(1, round(_CROP * n)) for n in array.shape[:2])
        return np.ascontiguousarray(array[a:-a, b:-b])
    return array


def _copy_dicom(source: Path, target: Path, patient: str, how: str, number: int) -> None:
    dataset = pydicom.dcmread(source)
    dataset.PatientID, dataset.PatientName = patient, f"Phantom^{patient[3:]}"
    dataset.StudyInstanceUID = made_uid("study", patient, how)
    dataset.SeriesInstanceUID = made_uid("series", patient, how)
    dataset.FrameOfReferenceUID = made_uid("frame", patient, how)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = made_uid("copy", patient, number)
    pixels = _changed(dataset.pixel_array, how, across=1)
    if how == "cropped":
        rows, columns = ((a - b) // 2 for a, b in zip(dataset.pixel_array.shape, pixels.shape, strict=True))
        corner = np.array(dataset.ImagePositionPatient, float)
        along, down = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
        corner = (
            corner + along * columns * float(dataset.PixelSpacing[1]) + down * rows * float(dataset.PixelSpacing[0])
        )
        dataset.ImagePositionPatient = [f"{v:.8g}" for v in corner]
        dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelData = pixels.tobytes()
    if how == "recompressed":
        dataset.compress(JPEGLSNearLossless, jls_error=_NEAR, generate_instance_uid=False)
        dataset.LossyImageCompression, dataset.LossyImageCompressionMethod = "01", "ISO_14495_1"
        dataset.LossyImageCompressionRatio = f"{pixels.nbytes / max(1, len(dataset.PixelData)):.1f}"
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    target.write_bytes(stream.getvalue())


def _copy_nifti(source: Path, target: Path, how: str) -> None:
    image: Any = nibabel.load(source)
    data, affine = np.asarray(image.dataobj, np.float32), np.array(image.affine)
    if how == "recompressed":
        step = float(data.max()) / _COARSE
        changed = np.rint(data / step) * step
    else:
        changed = _changed(data, how, across=0)
    if how == "cropped":
        cut = [(a - b) // 2 for a, b in zip(data.shape, changed.shape, strict=True)]
        affine[:3, 3] += affine[:3, :3] @ np.array(cut)
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    write_nifti(Volume(changed.transpose(2, 1, 0)[None], to_lps @ affine, "a.u.", "", "phantom"), target)


def _noise(g: np.random.Generator, size: int) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(g.standard_normal((3, size, size)), (0, 4, 4))
    out: np.ndarray = (400 + 300 * smooth / np.abs(smooth).max()).astype(np.float32)
    return out


def _slice(path: Path, array: np.ndarray, number: int, seed: int, mr: bool) -> None:
    """One slice as a DICOM file, MR or CT."""
    uids = made_uid("other study", seed, number), made_uid("other series", seed, number)
    header = {"PatientID": name_of(number), "SeriesDescription": "Made slice of another modality", "PatientName": ""}
    written = write_ct_series(array[:1], np.eye(4), path.parent, [path.name], uids, header)[0]
    if not mr:
        return
    dataset = pydicom.dcmread(written)
    dataset.Modality, dataset.SOPClassUID = "MR", MRImageStorage
    dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    for keyword in ("RescaleIntercept", "RescaleSlope", "RescaleType"):
        delattr(dataset, keyword)
    dataset.ScanningSequence, dataset.SequenceVariant = "SE", "NONE"
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    written.write_bytes(stream.getvalue())
