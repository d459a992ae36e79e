"""What the planted faults mean for one patient, decided by the seed and the patient's number alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from insula.cohort.phantom.anatomy import Head, Person
from insula.cohort.phantom.ct import SCANNERS, Scanner
from insula.cohort.phantom.devices import DEVICES
from insula.cohort.phantom.lesions import HAEMORRHAGES, Lesion
from insula.cohort.phantom.order import Order, classes_of
from insula.cohort.phantom.plants import ByClass

_LETTER = "L"
_MARKS = 61  # numbers of this module's own generator streams: what is drawn elsewhere does not move
_SCANNER = 62
_WRONG = 67


@dataclass(frozen=True)
class Fate:
    """The faults of one patient: text burned in, device, marks, contrast factor of the lesions, what is missing.

    slope: factor of the slope that the header gives for Hounsfield units. calcified: whether falx and plexus are; None
    where chance has it.
    """

    text: str = ""
    border: bool = False
    device: str = ""
    outline: bool = False
    colour: bool = False
    missing: bool = False
    factor: float = 1.0
    slope: float = 1.0
    calcified: bool | None = None


def chosen(order: Order, stream: int, share: float | int) -> frozenset[int]:
    """Numbers of exactly this share (or count) of the patients, drawn once for the whole cohort."""
    wanted = share if isinstance(share, int) else round(share * order.count)
    drawn = np.random.default_rng((order.seed, stream)).permutation(order.count)[:wanted]
    return frozenset(int(n) for n in drawn)


def scanner_of(order: Order, number: int, ill: bool, natural: Scanner) -> Scanner:
    """The scanner of a patient: by class with the planted strength, else the one that chance gave."""
    g = np.random.default_rng((order.seed, number, _SCANNER))
    return SCANNERS[int(ill)] if g.random() < order.plants.scanner else natural


def fate(order: Order, number: int, classes: Sequence[str], person: Person, scanner: Scanner) -> Fate:
    """What happens to a patient of these true classes."""
    plants = order.plants
    g = np.random.default_rng((order.seed, number, _MARKS))

    def hit(mark: ByClass | None) -> bool:
        drawn = g.random()
        return mark is not None and (not mark.name or mark.name in classes) and drawn < mark.share

    text, border, device, outline, colour = (
        hit(m) for m in (plants.text, plants.border, plants.device, plants.outline, plants.colour)
    )
    which = DEVICES[int(g.integers(len(DEVICES)))]
    chalk = hit(plants.calcified)
    asked = plants.calcified is not None and (not plants.calcified.name or plants.calcified.name in classes)
    facts = {"age": str(person.age), "sex": person.sex, "scanner": scanner.model, "site": scanner.site}
    weak = plants.subgroup is not None and plants.subgroup.holds(facts)
    return Fate(
        text=(plants.text.word or _LETTER) if text and plants.text else "",
        border=border,
        device=which if device else "",
        outline=outline,
        colour=colour,
        missing=number in chosen(order, 63, plants.missing),
        factor=plants.subgroup.factor if weak and plants.subgroup else 1.0,
        slope=plants.slope.factor if plants.slope is not None and plants.slope.holds(facts) else 1.0,
        calcified=chalk if asked else None,
    )


def weakened(found: Sequence[Lesion], factor: float) -> list[Lesion]:
    """The lesions with their contrast against the brain multiplied by the factor."""
    return [replace(lesion, strength=factor) if factor != 1.0 else lesion for lesion in found]


def chalked(head: Head, there: bool | None) -> Head:
    """The head with falx and choroid plexus calcified, or neither; as chance has it for None."""
    if there is None:
        return head
    return replace(head, person=replace(head.person, falx_calcified=there, plexus_calcified=there))


def mislabelled(order: Order, number: int) -> bool:
    """Whether this patient gets a wrong label."""
    return number in chosen(order, 64, order.plants.label_noise)


def wrong_class(order: Order, number: int, true: str) -> str:
    """Another class than the true one; of haemorrhage-ct `none`, or one of the five kinds for who does not bleed."""
    g = np.random.default_rng((order.seed, number, _WRONG))
    if order.kind == "haemorrhage-ct":
        return str(g.choice(HAEMORRHAGES)) if true == "none" else "none"
    others = [c for c in classes_of(order.kind, order.options) if c != true]
    return others[int(g.integers(len(others)))]
