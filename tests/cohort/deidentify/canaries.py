"""A DICOM file with a value of its own, a canary, in every attribute of the table, nested and private ones too."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import UID
from tests.scans.made_dicom import dataset

from insula.cohort.deidentify.profile import Rule, rules

# attributes that pydicom's dictionary does not know yet: their VR in PS3.6
_NEW = {
    "00081301": "SQ", "00081302": "SQ", "00081303": "SQ", "00081304": "SQ", "00100011": "SQ", "00100012": "LO",
    "00100013": "LO", "00100014": "SQ", "00100015": "SQ", "00100016": "LT", "00100041": "SQ", "00100042": "LT",
    "00100043": "SQ", "00100044": "SQ", "00100045": "LT", "00100046": "SQ", "00100047": "UR", "00102162": "LO",
    "0040a034": "DT", "0040a035": "DT", "0040b034": "DT", "0040b036": "DT", "0040b03b": "LO", "0040b03f": "SH",
    "0040e012": "UR",
}  # fmt: skip


@dataclass
class Canaries:
    """The values that were put in: keyword → what its bytes would be found by."""

    found_by: dict[str, bytes] = field(default_factory=dict)
    count: int = 0

    def value(self, vr: str, name: str) -> Any:
        """A valid value of a VR that no other attribute has."""
        self.count += 1
        k = self.count
        if vr == "SQ":
            item = Dataset()
            self.put(item, 0x00100010, "PN", f"{name}.PatientName")
            self.put(item, 0x00081030, "LO", f"{name}.StudyDescription")
            self.put(item, 0x00080018, "UI", f"{name}.SOPInstanceUID")
            self.put(item, 0x00090010, "LO", f"{name}.private")
            self.put(item, 0x00091001, "LO", f"{name}.private value")
            return Sequence([item])
        text = f"CN{k:06d}"
        value: Any = {
            "AS": f"{k % 80 + 1:03d}D",
            "DA": f"{1200 + k % 700:04d}{k % 12 + 1:02d}{k % 28 + 1:02d}",
            "DT": f"{1200 + k % 700:04d}{k % 12 + 1:02d}{k % 28 + 1:02d}0102{k % 60:02d}.{k:06d}",
            "TM": f"0102{k % 60:02d}.{k:06d}",
            "DS": f"7{k:06d}.25",
            "IS": f"7{k:06d}",
            "UI": f"1.3.999.{k}.7",
            "UR": f"http://x/{text}",
            "FL": 1e9 + 64 * k,
            "FD": 1e9 + k,
            "US": 40000 + k,
            "UL": 4000000000 + k,
            "SS": 20000 + k,
            "AT": Tag(0x7000 + k, 0x1234),
        }.get(vr, text)
        return value.encode() if vr in ("OB", "OW", "UN", "OB or OW") else value

    def put(self, into: Dataset, tag: int, vr: str, name: str) -> None:
        vr = "OB" if vr == "OB or OW" else "US" if vr == "US or SS" else vr
        value = self.value(vr, name)
        into[tag] = DataElement(tag, vr, value)
        if isinstance(value, bytes):
            self.found_by[name] = value
        elif isinstance(value, str) and vr != "AS":
            self.found_by[name] = value.encode()


def vr_of(rule: Rule) -> str:
    return _NEW.get(rule.tag) or dictionary_VR(int(rule.tag, 16))


def listed() -> list[Rule]:
    """Rows of single attributes that may stand in a file's dataset: no commands, no file meta."""
    return [r for r in rules() if r.tag != "private" and "x" not in r.tag and r.tag[:4] not in ("0000", "0002")]


def made(pixels: np.ndarray[Any, Any] | None = None) -> tuple[Dataset, Canaries]:
    """A CT slice with a canary in each attribute of the table, in items, private, overlay and curve attributes."""
    image = dataset(np.full((6, 4), 1030, np.int16) if pixels is None else pixels)
    known = Canaries()
    for rule in listed():
        known.put(image, int(rule.tag, 16), vr_of(rule), rule.keyword or rule.tag)
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    deep = Dataset()
    known.put(deep, 0x00100020, "LO", "nested PatientID")
    known.put(deep, 0x00102160, "SH", "nested EthnicGroup")
    item = Dataset()
    item.ReferencedSeriesSequence = Sequence([deep])
    image.RelatedSeriesSequence = Sequence([item])  # named by no row: kept, and cleaned inside
    for k, vr in enumerate(("LO", "UN", "OB", "DA", "UI", "PN", "SQ")):
        known.put(image, 0x00110010 if k == 0 else 0x00111000 + k, vr, f"private {vr}")
    known.put(image, 0x60003000, "OW", "overlay data")
    known.put(image, 0x60004000, "LT", "overlay comments")
    known.put(image, 0x60000022, "LO", "overlay description")
    known.put(image, 0x60021500, "LO", "overlay label")
    known.put(image, 0x50003000, "OW", "curve data")
    known.put(image, 0x50000022, "LO", "curve description")
    known.put(image, 0x00123456, "UN", "unknown public attribute")
    known.put(image, 0x0008FFF0, "UN", "unknown public attribute of group 8")
    known.put(image, 0x00080000, "UL", "group length")
    known.put(image, 0x00187FF0, "LO", "unknown text attribute")
    image.file_meta.SourceApplicationEntityTitle = "CNMETA_AE"
    image.file_meta.PrivateInformationCreatorUID = UID("1.3.999.1.2.3")
    image.file_meta.PrivateInformation = b"CNMETAPRIVATE"
    known.found_by |= {
        "meta title": b"CNMETA_AE",
        "meta private": b"CNMETAPRIVATE",
        "meta uid": b"1.3.999.1.2.3",
        "preamble": b"CNPREAMBLE",
    }
    return image, known


def write(path: Path, image: Dataset) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.preamble = b"CNPREAMBLE".ljust(128, b"\1")
    image.save_as(path, enforce_file_format=True)
