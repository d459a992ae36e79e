"""One made patient's files and rows; the number and the order decide everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from insula.cohort.phantom import ct, devices, fate, files, infarcts, lesions, marks, mr, slide
from insula.cohort.phantom.anatomy import Head, Person, build_head, draw_person
from insula.cohort.phantom.clot import clot
from insula.cohort.phantom.ct import SCANNERS, Geometry, Scanner
from insula.cohort.phantom.fate import Fate
from insula.cohort.phantom.files import Place, name_of
from insula.cohort.phantom.lesions import HAEMORRHAGES, Lesion
from insula.cohort.phantom.order import Order
from insula.cohort.phantom.outcome import outcome

Row = dict[str, str]
_TILTED = 0.25
_TWO_KINDS = 0.2
_TEXT_HU, _TEXT_MR = 1500.0, 1500.0
_DEVICE = 68  # numbers of generator streams of their own: what is drawn elsewhere does not move
_CT_OF_TUMOUR = 55
_CONTRAST = 56
_LACKING = 69


def patient(order: Order, folder: Path, number: int) -> list[Row]:
    """Write one patient's files under folder and return a row per scan, with what is known for certain about it."""
    makers: dict[str, Callable[[Order, Path, int], list[Row]]] = {
        "haemorrhage-ct": _haemorrhage,
        "stroke-ct": _stroke,
        "brain-tumour": _tumour,
        "clot-origin": _clot,
    }
    return makers[order.kind](order, folder, number)


def head_ct(
    seed: int, number: int, size: int, slices: int, tilted: bool
) -> tuple[Person, Geometry, Head, Scanner, np.random.Generator]:
    """A patient's head on a series' grid, its scanner, and the generator for what lies in it."""
    g = np.random.default_rng((seed, number, 41))
    person = draw_person(number, seed)
    place = ct.geometry(g, size, slices, tilted)
    scanner = SCANNERS[int(g.integers(len(SCANNERS)))]
    return person, place, build_head(person, ct.points(place)), scanner, g


def _haemorrhage(order: Order, folder: Path, number: int) -> list[Row]:
    draw = np.random.default_rng((order.seed, number, 43))
    tilted = bool(draw.random() < _TILTED)
    person, geometry, head, scanner, g = head_ct(order.seed, number, order.size, order.slices, tilted)
    kinds: list[str] = []
    if number % 2:  # every second patient bleeds, the kinds in turn
        kinds.append(HAEMORRHAGES[(number // 2) % len(HAEMORRHAGES)])
        if draw.random() < _TWO_KINDS and not order.options.pictures:  # a class folder names one kind
            kinds.append(str(draw.choice([k for k in HAEMORRHAGES if k not in kinds])))
    found = [lesions.haemorrhage(head, k, g) for k in kinds]
    given = kinds
    if fate.mislabelled(order, number):
        wrong = fate.wrong_class(order, number, kinds[0] if kinds else "none")
        given = [] if wrong == "none" else [wrong]
    place, chance = _placed(order, folder, number, ["any", *kinds] if kinds else ["none"], person, scanner, geometry)
    row = _ct_row(place, head, found, g, chance, given[0] if given else "none")
    row |= {"any": str(int(bool(given)))} | {k: str(int(k in given)) for k in HAEMORRHAGES}
    return [row | _labels("+".join(kinds) or "none", "+".join(given) or "none") | {"lesion": "+".join(kinds)}]


def _stroke(order: Order, folder: Path, number: int) -> list[Row]:
    draw = np.random.default_rng((order.seed, number, 43))
    tilted = bool(draw.random() < _TILTED)
    person, geometry, head, scanner, g = head_ct(order.seed, number, order.size, order.slices, tilted)
    head = infarcts.with_insula(head)
    kind, found = "", []
    if number % 2:
        kind = "haemorrhage" if draw.random() < 0.3 else "infarct"
        lesion = infarcts.infarct(head, g) if kind == "infarct" else lesions.haemorrhage(head, "intraparenchymal", g)
        found = [lesion]
    label = "stroke" if kind else "normal"
    given = fate.wrong_class(order, number, label) if fate.mislabelled(order, number) else label
    place, chance = _placed(order, folder, number, [label], person, scanner, geometry)
    row = _ct_row(place, head, found, g, chance, given)
    known = {"kind": kind, "infarct_age": found[0].phase if found else ""}
    if given != label:  # the table must not give the wrong label away
        known = {"kind": "", "infarct_age": ""}
    told = {"lesion": kind, "true_infarct_age": found[0].phase if found else ""}
    return [row | known | told | {"label": given} | _labels(label, given)]


def _tumour(order: Order, folder: Path, number: int) -> list[Row]:
    options = order.options
    person, geometry, head, scanner, g = head_ct(order.seed, number, order.size, order.slices, False)
    kind = ("healthy", "benign", "malignant")[number % 3]
    draw = lesions.two_sided if options.modality == "both" else lesions.tumour
    found = [] if kind == "healthy" else [draw(head, kind, g)]
    label = "tumour" if options.modality == "ct" and found else kind
    given = fate.wrong_class(order, number, label) if fate.mislabelled(order, number) else label
    place, chance = _placed(order, folder, number, [label], person, scanner, geometry)
    own = np.random.default_rng((order.seed, number, _CT_OF_TUMOUR))
    rows: list[Row] = []
    lack = _lacking(order, number)
    if options.modality != "ct" and lack != "mr":
        rows += _mr_rows(place, head, found, g, chance, given)
    if options.modality != "mr" and lack != "ct":
        rows.append(_ct_row(place, head, found, own, chance, given) | {"role": "ct"})
    shared: Row = {"label": given, "lesion": found[0].kind if found else ""} | _labels(label, given)
    if found:
        ends = outcome(kind, found[0], person.age, order.seed, number)
        told = {"stage": ends.stage, "survival_days": str(ends.days), "death": str(int(ends.died))}
        shared |= {f"true_{k}": v for k, v in told.items()} | (told if given == label else {})
        shared |= {"log_hazard": f"{ends.log_hazard:.4f}", "calcified": str(int(found[0].calcified))}
        shared |= {"radius_mm": f"{found[0].size_mm:.2f}"}
    return [row | shared for row in rows]


def _lacking(order: Order, number: int) -> str:
    """Which modality a patient of both lacks, if any: the CT and the MR in turn."""
    among = sorted(fate.chosen(order, _LACKING, order.options.lacking))
    return ("ct", "mr")[among.index(number) % 2] if number in among else ""


def _mr_rows(
    place: Place, head: Head, found: Sequence[Lesion], g: np.random.Generator, chance: Fate, given: str
) -> list[Row]:
    rows = []
    for turn, contrast in enumerate(place.order.options.contrasts or ("t1c",)):
        own = g if contrast == "t1c" else np.random.default_rng((place.order.seed, place.number, _CONTRAST, turn))
        signal = mr.signal(contrast, head, fate.weakened(found, chance.factor), ct.FIELD_MM / place.order.size, own)
        signal = _marked(signal, place, head, found, chance, is_ct=False)
        suffix = f"_{contrast}" if place.order.options.contrasts else ""
        row = _facts(place, found, chance)
        if place.order.options.pictures:
            row["scan"] = files.pictures(place, signal, head.depth > 0, _joined(found), given, chance.colour).as_posix()
        else:
            row["scan"] = files.nifti(place, signal, contrast, suffix).as_posix()
        rows.append(row | {"contrast": contrast, "role": "mri"} | _mask(place, found, given))
    return rows


def _clot(order: Order, folder: Path, number: int) -> list[Row]:
    g = np.random.default_rng((order.seed, number, 47))
    label = ("CE", "LAA")[number % 2]
    person = draw_person(number, order.seed)
    scanner = fate.scanner_of(order, number, label == "LAA", SCANNERS[int(g.integers(len(SCANNERS)))])
    given = fate.wrong_class(order, number, label) if fate.mislabelled(order, number) else label
    chance = fate.fate(order, number, [label], person, scanner)
    rows = []
    for piece in range(int(g.integers(1, 4))):
        if order.options.slides:
            scan = slide.files(folder, f"{name_of(number)}_{piece}", label, order.size, g, SCANNERS.index(scanner))
        else:
            scan = Path("pictures") / f"{name_of(number)}_{piece}.png"
            (folder / scan).parent.mkdir(parents=True, exist_ok=True)
            picture = clot(label, order.size, g)
            if chance.text or chance.border:
                picture = marks.on_picture(picture, chance.text, chance.border)
            Image.fromarray(picture).save(folder / scan)
        who = {"patient_id": name_of(number), "age": str(person.age), "sex": person.sex, "site": scanner.site}
        told = {"text": chance.text, "border": str(int(chance.border))} | _labels(label, given)
        rows.append(who | told | {"label": given, "scan": scan.as_posix()})
    return rows


def _placed(
    order: Order,
    folder: Path,
    number: int,
    classes: Sequence[str],
    person: Person,
    natural: Scanner,
    geometry: Geometry,
) -> tuple[Place, Fate]:
    scanner = fate.scanner_of(order, number, bool(number % _CYCLE[order.kind]), natural)
    chance = fate.fate(order, number, classes, person, scanner)
    return Place(order, folder, number, person, scanner, geometry, chance.missing), chance


_CYCLE: Mapping[str, int] = {"haemorrhage-ct": 2, "stroke-ct": 2, "brain-tumour": 3}  # each first one has no disease


def _ct_row(place: Place, head: Head, found: Sequence[Lesion], g: np.random.Generator, chance: Fate, given: str) -> Row:
    shown = fate.weakened(found, chance.factor)
    head = fate.chalked(head, chance.calcified)
    hu = ct.hounsfield(head, place.geometry, shown, place.scanner, g, chance.border)
    hu = _marked(hu, place, head, found, chance, is_ct=True)
    if chance.slope != 1.0:
        hu = ((hu + 1024.0) * chance.slope - 1024.0).astype(np.float32)
    row = _facts(place, found, chance) | {"tilt": f"{place.geometry.tilt:.1f}", "calcifications": _chalk(head.person)}
    if place.order.options.pictures:
        scan = files.pictures(place, hu, head.depth > 0, _joined(found), given, chance.colour)
    else:
        scan = files.series(place, hu, g)
    return row | {"scan": scan.as_posix()} | _mask(place, found, given)


def _marked(
    array: np.ndarray, place: Place, head: Head, found: Sequence[Lesion], chance: Fate, is_ct: bool
) -> np.ndarray:
    """The planted device and marks in a scan; the headrest of a CT is drawn with the CT itself."""
    size = place.order.size
    level = _TEXT_HU if is_ct else _TEXT_MR
    if chance.device:
        own = np.random.default_rng((place.order.seed, place.number, _DEVICE))
        array = (devices.in_ct if is_ct else devices.in_mr)(array, head, chance.device, own)
    if chance.border and not is_ct:
        array = marks.burn(array, marks.field_of_view(size), 0.0)
    if chance.outline and found:
        joined = _joined(found)
        array = array if joined is None else marks.burn(array, marks.outline(joined), level)
    if chance.text:
        array = marks.burn(array, marks.letters(chance.text, size), level)
    return array


def _chalk(person: Person) -> str:
    """What is calcified in a head by age, tumours aside."""
    found = {"falx": person.falx_calcified, "pineal": person.pineal_calcified, "plexus": person.plexus_calcified}
    return "+".join(name for name, there in found.items() if there)


def _joined(found: Sequence[Lesion]) -> np.ndarray | None:
    return np.any([lesion.mask for lesion in found], axis=0) if found else None


def _mask(place: Place, found: Sequence[Lesion], given: str) -> Row:
    """The mask's path; a wrong label is not given away by a mask in the index's table, only in the truth."""
    joined = _joined(found)
    if joined is None:
        return {"mask": "", "true_mask": ""}
    if place.order.options.pictures:
        return {"mask": "", "true_mask": (Path("masks") / given / place.name).as_posix()}
    path = files.mask(place, joined).as_posix()
    return {"mask": "" if fate.mislabelled(place.order, place.number) else path, "true_mask": path}


def _labels(true: str, given: str) -> Row:
    return {"true_label": true, "given_label": given, "label_noise": str(int(true != given))}


def _facts(place: Place, found: Sequence[Lesion], chance: Fate) -> Row:
    """Who the patient is, as the table tells it, and the truth about head, scanner, lesions and faults."""
    person, scanner = place.person, place.scanner
    who = {"age": str(person.age), "sex": person.sex, "scanner": scanner.model, "site": scanner.site}
    joined = _joined(found)
    voxel = abs(float(np.linalg.det(place.geometry.affine[:3, :3]))) / 1000.0
    return {
        "patient_id": place.name,
        **(dict.fromkeys(who, "") if chance.missing else who),
        **{f"true_{k}": v for k, v in who.items()},
        "atrophy": f"{person.atrophy:.3f}",
        "skull_mm": f"{person.skull_mm:.2f}",
        "noise_hu": f"{scanner.noise_hu:g}",
        "blur_mm": f"{scanner.blur_mm:g}",
        "side": "+".join("left" if lesion.side > 0 else "right" for lesion in found),
        "lesion_ml": "" if joined is None else f"{joined.sum() * voxel:.2f}",
        "contrast_factor": f"{chance.factor:g}" if found else "",
        "slope_factor": f"{chance.slope:g}",
        "text": chance.text,
        "border": str(int(chance.border)),
        "device": chance.device,
        "outline": str(int(chance.outline and bool(found))),
        "colour": str(int(chance.colour)),
        "missing": str(int(chance.missing)),
        "chalk": "" if chance.calcified is None else str(int(chance.calcified)),
    }
