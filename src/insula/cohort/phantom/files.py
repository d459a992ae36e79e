"""Writing a made patient's scans: a CT series, NIfTI with its sidecar, slices as pictures, masks."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from insula.cohort.phantom import mr
from insula.cohort.phantom.anatomy import Field, Mask, Person
from insula.cohort.phantom.ct import Geometry, Scanner
from insula.cohort.phantom.order import Order
from insula.core.provenance import write_json
from insula.core.types import Volume
from insula.scans.write import made_uid, write_ct_series, write_nifti

_BRAIN_WINDOW = (0.0, 80.0)  # HU
_PERSONAL = ("PatientSex", "PatientAge", "Manufacturer", "ManufacturerModelName", "InstitutionName")
_LEAST_BRAIN = 0.1  # of the largest slice's: pictures of slices with less are left out
_QUALITY = 92


@dataclass(frozen=True)
class Place:
    """Where one patient's files go and whose they are."""

    order: Order
    folder: Path
    number: int
    person: Person
    scanner: Scanner
    geometry: Geometry
    missing: bool = False

    @property
    def name(self) -> str:
        """The made patient's id."""
        return name_of(self.number)


def name_of(number: int) -> str:
    """The made patient's id."""
    return f"PH-{number:04d}"


def series(place: Place, hu: Field, g: np.random.Generator) -> Path:
    """Write a CT series under `dicom/` and return its folder; file names do not tell the order of the slices."""
    shuffled = g.permutation(len(hu))
    names = [f"IM{shuffled[k] + 1:04d}.dcm" for k in range(len(hu))]
    seed, number, scanner = place.order.seed, place.number, place.scanner
    header = {
        "PatientID": place.name,
        "PatientName": f"Phantom^{number:04d}",
        "PatientSex": place.person.sex,
        "PatientAge": f"{place.person.age:03d}Y",
        "PatientBirthDate": "",
        "StudyDate": "",
        "StudyTime": "",
        "StudyID": str(number),
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "SeriesNumber": "1",
        "SeriesDescription": "Made head CT",
        "PatientPosition": "HFS",
        "PositionReferenceIndicator": "",
        "BodyPartExamined": "HEAD",
        "Manufacturer": scanner.manufacturer,
        "ManufacturerModelName": scanner.model,
        "InstitutionName": f"Phantom hospital {scanner.site}",
        "KVP": "120",
        "AcquisitionNumber": "1",
        "GantryDetectorTilt": f"{place.geometry.tilt:.4f}",
    }
    if place.order.kind != "haemorrhage-ct":
        header["ConvolutionKernel"] = scanner.kernel
    if place.missing:
        header = {k: v for k, v in header.items() if k not in _PERSONAL} | {"PatientSex": ""}
    uids = made_uid("study", seed, number), made_uid("series", seed, number)
    written = Path("dicom") / place.name
    write_ct_series(hu, place.geometry.affine, place.folder / written, names, uids, header)
    return written


def nifti(place: Place, signal: Field, contrast: str, suffix: str) -> Path:
    """Write an MR volume under `nifti/` with a JSON sidecar beside it, and return its path."""
    written = Path("nifti") / f"{place.name}{suffix}.nii.gz"
    write_nifti(_volume(np.rint(signal), place.geometry), place.folder / written)
    facts = mr.sidecar(contrast) | {"SeriesDescription": f"Made {contrast.upper()}"}
    if not place.missing:
        facts |= {
            "Manufacturer": place.scanner.manufacturer,
            "ManufacturersModelName": place.scanner.model,
            "InstitutionName": f"Phantom hospital {place.scanner.site}",
            "PatientSex": place.person.sex,
            "PatientAge": place.person.age,
        }
    write_json(place.folder / "nifti" / f"{place.name}{suffix}.json", facts)
    return written


def mask(place: Place, found: Mask) -> Path:
    """Write a lesion mask under `masks/` and return its path."""
    written = Path("masks") / f"{place.name}.nii.gz"
    write_nifti(_volume(found, place.geometry), place.folder / written)
    return written


def pictures(place: Place, array: Field, brain: Mask, lesion: Mask | None, label: str, colour: bool) -> Path:
    """Write the slices that show brain as `LABEL/patient/patient_NN.jpg` (or .png), and the masks as PNG likewise.

    array: HU, shown in the brain window, or MR signal (modality MR), shown up to its brightest 0.5%. colour: three
    equal channels in place of one. Returns the patient's folder.
    """
    is_ct = place.order.kind != "brain-tumour" or place.order.options.modality == "ct"
    low, high = _BRAIN_WINDOW if is_ct else (0.0, float(np.quantile(array, 0.995)))
    shown = np.rint(np.clip((array - low) / (high - low), 0.0, 1.0) * 255).astype(np.uint8)
    areas = brain.sum((1, 2))
    kept = np.flatnonzero(areas >= _LEAST_BRAIN * areas.max())
    written = Path(label) / place.name
    (place.folder / written).mkdir(parents=True, exist_ok=True)
    if lesion is not None:
        (place.folder / "masks" / written).mkdir(parents=True, exist_ok=True)
    for z in kept:
        image = Image.fromarray(shown[z]).convert("RGB" if colour else "L")
        stem = written / f"{place.name}_{z:02d}"
        path = place.folder / f"{stem}.{extension(place.order)}"
        path.write_bytes(encoded(image, place.order.options.form))
        if lesion is not None:
            drawn = Image.fromarray((lesion[z] * 255).astype(np.uint8))
            (place.folder / "masks" / f"{stem}.png").write_bytes(encoded(drawn, "png"))
    return written


def extension(order: Order) -> str:
    """The file name extension of pictures."""
    return "png" if order.options.form == "png" else "jpg"


def encoded(image: Image.Image | NDArray[np.uint8], form: str, quality: int = _QUALITY) -> bytes:
    """A picture as PNG or JPEG bytes."""
    stream = io.BytesIO()
    opened = image if isinstance(image, Image.Image) else Image.fromarray(image)
    if form == "png":
        opened.save(stream, "PNG")
    else:
        opened.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def _volume(array: np.ndarray, place: Geometry) -> Volume:
    return Volume(array[None].astype(np.float32), place.affine, "a.u.", "", "phantom")
