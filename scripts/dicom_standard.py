"""What dicom-validator has to know of the standard, for the kinds of objects that Insula writes.

dicom-validator reads PS3.3 as DocBook from the network, which tests must not need. The package dicom-standard 0.1.0 of
PyPI (MIT) holds the same tables as JSON (PS3.3 of 2020); from its wheel this makes the little that is needed: for each
attribute its type, its enumerated values, and its condition as dicom-validator's own parser reads it.

    pip download dicom-standard==0.1.0 --no-deps
    python scripts/dicom_standard.py dicom_standard-0.1.0-py3-none-any.whl tests/report/dicom/standard.json.gz
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import zipfile
from html import unescape
from pathlib import Path
from typing import Any, Final

from dicom_validator.spec_reader.condition import ConditionType
from dicom_validator.spec_reader.condition_parser import ConditionParser
from dicom_validator.spec_reader.serializer import DefinitionEncoder
from pydicom._dicom_dict import DicomDictionary

KINDS: Final = {
    "1.2.840.10008.5.1.4.1.1.7": "secondary-capture-image",
    "1.2.840.10008.5.1.4.1.1.30": "parametric-map",
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.88.34": "comprehensive-3d-sr",
    "1.2.840.10008.5.1.4.1.1.104.1": "encapsulated-pdf",
}
_ENUMERATED: Final = re.compile(r"<strong>\s*Enumerated Values:\s*</strong>.*?<dl>(.*?)</dl>", re.DOTALL)
_TERM: Final = re.compile(r"<dt>\s*<span>(.*?)</span>", re.DOTALL)
_CONTENT: Final = "(0040,A730)"  # Content Sequence: items hold items
_VALUED: Final = {  # macros that an item includes if and only if its value type is one of these (PS3.3 C.17.3)
    "(0040,A300)": ["NUM"],
    "(0040,A168)": ["CODE"],
    "(0008,1199)": ["COMPOSITE", "IMAGE", "WAVEFORM"],
    "(0070,0022)": ["SCOORD", "SCOORD3D"],
    "(0070,0023)": ["SCOORD", "SCOORD3D"],
    "(3006,0024)": ["SCOORD3D"],
    "(0040,A130)": ["TCOORD"],
    "(0040,A132)": ["TCOORD"],
    "(0040,A050)": ["CONTAINER"],
}
_TIMES: Final = ("(0040,A138)", "(0040,A13A)")  # of waveforms; which of them is needed the tables do not say
_VALUE_TYPE: Final = "(0040,A040)"
_GROUPS: Final = ("(5200,9229)", "(5200,9230)")  # functional groups, shared and per frame

Attributes = dict[str, Any]


def dictionary() -> dict[str, dict[str, str]]:
    """The data dictionary as dicom-validator has it."""
    found = {}
    for tag, (kind, many, name, _, _) in DicomDictionary.items():
        found[f"({tag >> 16:04X},{tag & 0xFFFF:04X})"] = {"name": name, "vr": kind, "vm": many, "prop": ""}
    return found


def attributes(rows: list[dict[str, Any]], parser: ConditionParser) -> Attributes:
    """The attributes of a module or macro, those in sequences under `items`."""
    made: Attributes = {}
    known = dictionary()
    for row in rows:
        *parents, _ = path = [_tag(part) for part in row["path"].split(":")[1:]]
        level = made
        for parent in parents:
            level = level.setdefault(parent, {"name": "", "type": "3"}).setdefault("items", {})
        one = level.setdefault(path[-1], {"name": known.get(path[-1], {"name": ""})["name"], "type": row["type"]})
        said = _plain(row["description"])
        if row["type"] in ("1C", "2C", "3"):
            condition = parser.parse(said)
            if condition.type != ConditionType.UserDefined:
                one["cond"] = condition
        listed = _ENUMERATED.search(row["description"])
        terms = [unescape(term).strip() for term in _TERM.findall(listed.group(1))] if listed else []
        if terms and known.get(path[-1], {"vr": ""})["vr"] in ("CS", "LO", "SH"):
            one["enums"] = [{"val": terms}]
    return made


def standard(wheel: Path) -> dict[str, Any]:
    """IODs by SOP class, and modules and macros by name."""
    parser = ConditionParser(dictionary())
    tables = _tables(wheel)
    iods: dict[str, Any] = {}
    wanted: set[tuple[str, str]] = set()
    for uid, kind in KINDS.items():
        modules = {
            row["moduleId"]: _use(row, "module", parser) for row in tables["ciod_to_modules"] if row["ciodId"] == kind
        }
        macros = {
            row["macroId"]: _use(row, "macro", parser) for row in tables["ciod_to_fg_macros"] if row["ciodId"] == kind
        }
        iods[uid] = {"title": kind, "modules": modules, "group_macros": macros}
        wanted |= {(row["ref"].split(":")[0], name) for used in (modules, macros) for name, row in used.items()}
    found: dict[str, Attributes] = {}
    for table, name in sorted(wanted):
        rows = [row for row in tables[f"{table}_to_attributes"] if row[f"{table}Id"] == name]
        found[f"{table}:{name}"] = attributes(rows, parser)
        for group in _GROUPS:
            if group in found[f"{table}:{name}"]:
                found[f"{table}:{name}"][group]["items"] = {"include": [{"ref": "FuncGroup"}]}
    document = found["module:sr-document-content"]
    item = document[_CONTENT]["items"]
    item[_CONTENT] = {"name": "Content Sequence", "type": "3", "items": {"include": [{"ref": "item"}]}}
    document[_CONTENT]["items"] = {"include": [{"ref": "item"}]}
    for level in (document, item):
        for tag, kinds in _VALUED.items():
            needed = {"1": "1C", "2": "2C"}.get(level[tag]["type"], level[tag]["type"])
            when = {"type": "MN", "op": "=", "tag": _VALUE_TYPE, "index": 0, "values": kinds}
            if level[tag]["type"] in ("1", "2"):
                level[tag] |= {"type": needed, "cond": when}
        for tag in _TIMES:
            level[tag] = {"name": level[tag]["name"], "type": "3"}
    return {"iods": iods, "modules": found | {"item": item}}


def _use(row: dict[str, Any], table: str, parser: ConditionParser) -> dict[str, Any]:
    said = row["conditionalStatement"]
    use: dict[str, Any] = {"ref": f"{table}:{row[f'{table}Id']}", "use": row["usage"]}
    if said:
        use["cond"] = parser.parse(said.lstrip("– "))
    return use


def _tables(wheel: Path) -> dict[str, list[dict[str, Any]]]:
    with zipfile.ZipFile(wheel) as opened:
        return {
            Path(name).stem: json.loads(opened.read(name))
            for name in opened.namelist()
            if "/standard/" in name and name.endswith(".json")
        }


def _tag(part: str) -> str:
    return f"({part[:4].upper()},{part[4:].upper()})".replace("X", "x")  # a repeating group is 60xx


def _plain(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).replace("\xa0", " ").split())


if __name__ == "__main__":
    text = json.dumps(standard(Path(sys.argv[1])), cls=DefinitionEncoder, sort_keys=True, separators=(",", ":"))
    Path(sys.argv[2]).write_bytes(gzip.compress(text.encode(), 9, mtime=0))
