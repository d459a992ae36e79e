"""One made patient's files and row of `labels.csv`; the number and the seed decide everything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from insula.cohort.phantom import ct, lesions, mr
from insula.cohort.phantom.anatomy import Head, Person, build_head, draw_person
from insula.cohort.phantom.clot import clot
from insula.cohort.phantom.ct import SCANNERS, Geometry, Scanner
from insula.cohort.phantom.lesions import HAEMORRHAGES, Lesion
from insula.core.types import Volume
from insula.scans.write import made_uid, write_ct_series, write_nifti

Row = dict[str, str]
_TILTED = 0.25
_TWO_KINDS = 0.2


def patient(kind: str, folder: Path, seed: int, size: int, slices: int, number: int) -> list[Row]:
    """Write one patient's files under folder and return its rows (several for a patient of several pictures)."""
    makers: dict[str, Callable[[Path, int, int, int, int], list[Row]]] = {
        "haemorrhage-ct": _haemorrhage,
        "stroke-ct": _stroke,
        "brain-tumour": _tumour,
        "clot-origin": _clot,
    }
    return makers[kind](folder, seed, size, slices, number)


def name_of(number: int) -> str:
    """The made patient's id."""
    return f"PH-{number:04d}"


def head_ct(
    seed: int, number: int, size: int, slices: int, tilted: bool
) -> tuple[Person, Geometry, Head, Scanner, np.random.Generator]:
    """A patient's head on a series' grid, its scanner, and the generator for what lies in it."""
    g = np.random.default_rng((seed, number, 41))
    person = draw_person(number, seed)
    place = ct.geometry(g, size, slices, tilted)
    scanner = SCANNERS[int(g.integers(len(SCANNERS)))]
    return person, place, build_head(person, ct.points(place)), scanner, g


def _haemorrhage(folder: Path, seed: int, size: int, slices: int, number: int) -> list[Row]:
    draw = np.random.default_rng((seed, number, 43))
    person, place, head, scanner, g = head_ct(seed, number, size, slices, bool(draw.random() < _TILTED))
    kinds: list[str] = []
    if number % 2:  # every second patient bleeds, the kinds in turn
        kinds.append(HAEMORRHAGES[(number // 2) % len(HAEMORRHAGES)])
        if draw.random() < _TWO_KINDS:
            kinds.append(str(draw.choice([k for k in HAEMORRHAGES if k not in kinds])))
    found = [lesions.haemorrhage(head, k, g) for k in kinds]
    row = _ct_row(folder, seed, number, person, place, head, scanner, found, g, Path("dicom") / name_of(number))
    row |= {"any": str(int(bool(kinds)))} | {k: str(int(k in kinds)) for k in HAEMORRHAGES}
    return [row]


def _stroke(folder: Path, seed: int, size: int, slices: int, number: int) -> list[Row]:
    draw = np.random.default_rng((seed, number, 43))
    person, place, head, scanner, g = head_ct(seed, number, size, slices, bool(draw.random() < _TILTED))
    kind, found = "", []
    if number % 2:
        kind = "haemorrhage" if draw.random() < 0.3 else "infarct"
        lesion = lesions.infarct(head, g) if kind == "infarct" else lesions.haemorrhage(head, "intraparenchymal", g)
        found = [lesion]
    label = "stroke" if kind else "normal"
    row = _ct_row(folder, seed, number, person, place, head, scanner, found, g, Path("dicom") / name_of(number))
    return [row | {"label": label, "kind": kind}]


def _tumour(folder: Path, seed: int, size: int, slices: int, number: int) -> list[Row]:
    person, place, head, scanner, g = head_ct(seed, number, size, slices, False)
    label = ("healthy", "benign", "malignant")[number % 3]
    found = [] if label == "healthy" else [lesions.tumour(head, label, g)]
    signal = mr.t1_contrast(head, found, ct.FIELD_MM / size, g)
    scan = Path("nifti") / f"{name_of(number)}.nii.gz"
    write_nifti(_volume(np.rint(signal), place), folder / scan)
    return [
        {
            **_who(person, number),
            "label": label,
            "scanner": scanner.model,
            "site": scanner.site,
            "mask": _mask(folder, number, found, place),
            "scan": scan.as_posix(),
        }
    ]


def _clot(folder: Path, seed: int, size: int, slices: int, number: int) -> list[Row]:
    g = np.random.default_rng((seed, number, 47))
    label = ("CE", "LAA")[number % 2]
    person = draw_person(number, seed)
    home = int(g.integers(len(SCANNERS)))
    rows = []
    for piece in range(int(g.integers(1, 4))):
        scan = Path("pictures") / f"{name_of(number)}_{piece}.png"
        (folder / scan).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(clot(label, size, g)).save(folder / scan)
        site = SCANNERS[home].site
        rows.append({**_who(person, number), "label": label, "site": site, "scan": scan.as_posix()})
    return rows


def _ct_row(
    folder: Path,
    seed: int,
    number: int,
    person: Person,
    place: Geometry,
    head: Head,
    scanner: Scanner,
    found: list[Lesion],
    g: np.random.Generator,
    series: Path,
) -> Row:
    hu = ct.hounsfield(head, place, found, scanner, g)
    order = g.permutation(len(hu))  # file names do not tell the order of the slices
    names = [f"IM{order[k] + 1:04d}.dcm" for k in range(len(hu))]
    uids = made_uid("study", seed, number), made_uid("series", seed, number)
    header = {
        "PatientID": name_of(number),
        "PatientName": f"Phantom^{number:04d}",
        "PatientSex": person.sex,
        "PatientAge": f"{person.age:03d}Y",
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
        "GantryDetectorTilt": f"{place.tilt:.4f}",
    }
    write_ct_series(hu, place.affine, folder / series, names, uids, header)
    return {
        **_who(person, number),
        "scanner": scanner.model,
        "site": scanner.site,
        "tilt": f"{place.tilt:.1f}",
        "mask": _mask(folder, number, found, place),
        "scan": series.as_posix(),
    }


def _who(person: Person, number: int) -> Row:
    return {"patient_id": name_of(number), "age": str(person.age), "sex": person.sex}


def _mask(folder: Path, number: int, found: list[Lesion], place: Geometry) -> str:
    if not found:
        return ""
    path = Path("masks") / f"{name_of(number)}.nii.gz"
    mask = np.any([lesion.mask for lesion in found], axis=0)
    write_nifti(_volume(mask, place), folder / path)
    return path.as_posix()


def _volume(array: np.ndarray, place: Geometry) -> Volume:
    return Volume(array[None].astype(np.float32), place.affine, "a.u.", "", "phantom")
