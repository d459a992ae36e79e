"""What is asked of the phantoms: the kind, its size, and the choices that are no faults."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from insula.cohort.phantom.lesions import HAEMORRHAGES
from insula.cohort.phantom.plants import Plants
from insula.core.errors import UsageError

CONTRASTS = ("t1", "t1c", "t2", "flair")
MODALITIES = ("mr", "ct", "both")
FORMS = ("scans", "jpeg", "png")
TRUTH = ("kind", "infarct_age", "stage", "survival_days", "death")  # columns of the table that tell the answer
_CLASSES = {
    "haemorrhage-ct": ("none", "any", *HAEMORRHAGES),
    "stroke-ct": ("normal", "stroke"),
    "brain-tumour": ("healthy", "benign", "malignant"),
    "clot-origin": ("CE", "LAA"),
}


@dataclass(frozen=True)
class Options:
    """Choices beside kind, seed and size.

    contrasts: MR contrasts of brain-tumour, each a file of its own; empty for one image after contrast. modality: what
    brain-tumour patients are scanned with. lacking: share of the patients of `both` who lack the CT or the MR. form:
    `scans` writes DICOM and NIfTI, `jpeg` and `png` write 8-bit slices as CLASS/patient/slice. slides: clots as whole
    slides (pyramidal TIFF) instead of pictures. answers: columns of `labels.csv` that tell the answer and that no
    recipe of the house is asked for (`TRUTH`), beside those in `truth.csv`.
    """

    contrasts: tuple[str, ...] = ()
    modality: str = "mr"
    lacking: float = 0.0
    form: str = "scans"
    slides: bool = False
    answers: bool = False

    @property
    def pictures(self) -> bool:
        """Whether slices are written as pictures in class folders."""
        return self.form != "scans"

    def chosen(self) -> dict[str, Any]:
        """The choices that differ from the default, as plain data."""
        plain = Options()
        return {f.name: v for f in fields(self) if (v := asdict(self)[f.name]) != getattr(plain, f.name)}


@dataclass(frozen=True)
class Order:
    """What to make: kind, seed, pixels a side, slices a scan, patients, choices and planted faults."""

    kind: str
    seed: int
    size: int
    slices: int
    count: int = 2
    options: Options = field(default_factory=Options)
    plants: Plants = field(default_factory=Plants)


def classes_of(kind: str, options: Options) -> tuple[str, ...]:
    """The class names of a kind, the one without disease first; brain-tumour on CT alone knows healthy and tumour."""
    if kind == "brain-tumour" and options.modality == "ct":
        return ("healthy", "tumour")
    return _CLASSES[kind]


def check(order: Order) -> None:
    """Raise UsageError for choices and plants that do not fit the kind or each other."""
    options, kind = order.options, order.kind
    unknown = [c for c in options.contrasts if c not in CONTRASTS]
    if unknown or len(set(options.contrasts)) != len(options.contrasts):
        raise UsageError(
            f"Contrasts {', '.join(options.contrasts)} cannot be made; give each once, of {', '.join(CONTRASTS)}."
        )
    if options.modality not in MODALITIES or options.form not in FORMS:
        raise UsageError(
            f"Modality '{options.modality}' as '{options.form}' cannot be made; there are the modalities "
            f"{', '.join(MODALITIES)} and the forms {', '.join(FORMS)}."
        )
    if kind != "brain-tumour" and (options.contrasts or options.modality != "mr"):
        raise UsageError(f"'{kind}' has no choice of contrast or modality; only brain-tumour has.")
    if options.contrasts and options.modality == "ct":
        raise UsageError("A CT has no MR contrast; leave out the contrasts, or give modality mr or both.")
    if not 0.0 <= options.lacking <= 1.0 or (options.lacking and options.modality != "both"):
        raise UsageError(
            f"A share of {options.lacking:g} patients cannot lack a modality; give 0 to 1, with modality both."
        )
    if options.pictures and (kind == "clot-origin" or options.modality == "both" or len(options.contrasts) > 1):
        raise UsageError(
            "Slices as pictures are made of one CT or MR scan a patient; clots are pictures already, and of several "
            "modalities or contrasts choose one."
        )
    if options.slides and kind != "clot-origin":
        raise UsageError(f"'{kind}' is scanned, not put under a microscope; only clot-origin has slides.")
    if options.slides and (order.plants.text or order.plants.border or order.plants.duplicates):
        raise UsageError("Text, borders and duplicates are planted into pictures of clots only; leave out the slides.")
    if options.answers and (options.pictures or kind not in ("stroke-ct", "brain-tumour")):
        raise UsageError(f"'{kind}' {'as pictures ' * options.pictures}has no further answers for a labels.csv.")
    on_ct = kind.endswith("-ct") or options.modality == "ct"
    order.plants.check(kind, classes_of(kind, options), order.count, options.pictures, on_ct)
