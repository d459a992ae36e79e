"""A cohort as a table: Parquet or CSV, one row per case, with its schema as JSON beside it."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from insula.cohort.found import Aside
from insula.cohort.gaps import NOTHING, Asked
from insula.core.cells import guarded, unguarded
from insula.core.errors import CohortError
from insula.core.parts import missing, need_for_table
from insula.core.provenance import write_bytes, write_json
from insula.core.types import Case, Cohort, Scan

_FORMAT = "insula-cohort"
_VERSION = 1
_COLUMNS = {
    "key": "text, unique",
    "patient": "text",
    "split": "train, val, test or empty",
    "labels": "JSON: target -> class names; a target that is absent was not labelled",
    "attributes": "JSON: name -> text",
    "scans": "JSON: role -> {paths, format, study_uid, series_uid, mask, attributes}; paths relative to the root",
}
_MAX_BYTES = 1 << 30
_NOTES = "insula-cohort-notes"


@dataclass(frozen=True)
class Notes:
    """What `insula index` saw beyond the cases: how the folder was understood, why, what was left out, and for which
    classes it was read.
    """

    layout: str = ""
    why: str = ""
    aside: tuple[Aside, ...] = ()
    asked: Asked = NOTHING


def save(cohort: Cohort, path: Path) -> None:
    """Write a cohort as .parquet or .csv and its schema as `<name>.schema.json`; `load` gives an equal cohort back.

    Raises CohortError for another suffix or for two cases of one key, MissingPartError for .parquet without pyarrow.
    """
    suffix = usable(path)
    if len({case.key for case in cohort.cases}) != len(cohort.cases):
        raise CohortError("Two cases of the cohort share a key; give every case a key of its own.")
    rows = [_row(case) for case in cohort.cases]
    write_bytes(path, _csv(rows) if suffix == ".csv" else _parquet(rows))
    write_json(
        schema_path(path),
        {
            "format": _FORMAT,
            "version": _VERSION,
            "root": cohort.root,
            "split_level": cohort.split_level,
            "patient_ids": cohort.patient_ids,
            "cases": len(rows),
            "columns": _COLUMNS,
        },
    )


def load(path: Path) -> Cohort:
    """The cohort that `save` wrote.

    Raises CohortError for a missing, foreign or damaged table or schema, MissingPartError for .parquet without pyarrow.
    """
    path = Path(path)
    if path.is_dir():
        raise CohortError(
            f"'{path.name}' is a folder, and a cohort is a table; make one of a folder of scans: "
            f"insula index {shlex.quote(str(path))} --recipe NAME --out {name_here('cohort')}"
        )
    _suffix(path)
    schema = _schema(path)
    suffix = usable(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CohortError(f"'{path.name}' is longer than {_MAX_BYTES} bytes, too long for a table of cases.")
        data = path.read_bytes()
    except OSError as error:
        raise CohortError(f"Cohort '{path.name}' cannot be read; make it with insula index.") from error
    rows = _from_csv(data, path) if suffix == ".csv" else _from_parquet(data, path)
    if len(rows) != schema["cases"]:
        raise CohortError(
            f"'{path.name}' has {len(rows)} rows and its schema promises {schema['cases']}; index the folder again."
        )
    try:
        cases = tuple(_case(row) for row in rows)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CohortError(f"'{path.name}' holds a row that is no case; index the folder again.") from error
    if len({case.key for case in cases}) != len(cases):
        raise CohortError(f"'{path.name}' holds two cases of one key; index the folder again.")
    return Cohort(cases, schema["root"], schema["split_level"], schema["patient_ids"])


def name_here(stem: str) -> str:
    """The name of a table where no user chose one: Parquet, or CSV where pyarrow is not installed."""
    return f"{stem}.csv" if "pyarrow" in missing("evaluate") else f"{stem}.parquet"


def save_notes(path: Path, layout: str, why: str, aside: Sequence[Aside], wanted: Asked = NOTHING) -> None:
    """Write beside a table, as `<name>.aside.json`, how its folder was understood and which files were left out."""
    files = [{"path": item.path, "reason": item.reason} for item in aside]
    content = {"format": _NOTES, "layout": layout, "why": why, "asked": asdict(wanted), "aside": files}
    write_json(notes_path(path), content)


def load_notes(path: Path) -> Notes:
    """The notes beside a table; empty ones where there are none or they cannot be read."""
    try:
        content = json.loads(notes_path(path).read_text(encoding="utf-8"))
        if content["format"] != _NOTES:
            return Notes()
        aside = tuple(Aside(str(item["path"]), str(item["reason"])) for item in content["aside"])
        wanted = content.get("asked") or {}
        classes = tuple(str(name) for name in wanted.get("classes", ()))
        asked = Asked(
            str(wanted.get("target", "")), str(wanted.get("kind", "")), classes, str(wanted.get("recipe", ""))
        )
        return Notes(str(content["layout"]), str(content["why"]), aside, asked)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Notes()


def copy_notes(source: Path, target: Path) -> None:
    """Carry the notes of one table over to another of the same folder, where there are any."""
    notes = load_notes(source)
    if notes.layout and notes_path(source) != notes_path(target):
        save_notes(target, notes.layout, notes.why, notes.aside, notes.asked)


def notes_path(path: Path) -> Path:
    """Where the notes of a table lie."""
    return path.with_name(f"{path.name}.aside.json")


def schema_path(path: Path) -> Path:
    """Where the schema of a table lies."""
    return path.with_name(f"{path.name}.schema.json")


def usable(path: Path) -> str:
    """The ending of a table's name, refused before any work: errors as `save`."""
    suffix = _suffix(path)
    need_for_table(path)
    return suffix


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in (".parquet", ".csv"):
        raise CohortError(f"'{path.name}' is neither .parquet nor .csv; name the table accordingly.")
    return suffix


def _row(case: Case) -> dict[str, str]:
    scans = {
        role: {
            "paths": list(scan.paths),
            "format": scan.format,
            "study_uid": scan.study_uid,
            "series_uid": scan.series_uid,
            "mask": scan.mask,
            "attributes": dict(scan.attributes),
        }
        for role, scan in case.scans.items()
    }
    return {
        "key": case.key,
        "patient": case.patient,
        "split": case.split,
        "labels": _json({target: list(names) for target, names in case.labels.items()}),
        "attributes": _json(dict(case.attributes)),
        "scans": _json(scans),
    }


def _case(row: Mapping[str, str]) -> Case:
    split = row["split"]
    if split not in ("", "train", "val", "test"):
        raise ValueError(split)
    labels, scans = json.loads(row["labels"]), json.loads(row["scans"])
    return Case(
        key=row["key"],
        patient=row["patient"],
        scans={
            role: Scan(
                paths=tuple(_path(p) for p in scan["paths"]),
                format=str(scan["format"]),
                study_uid=str(scan["study_uid"]),
                series_uid=str(scan["series_uid"]),
                mask=_path(scan["mask"]) if scan["mask"] else "",
                attributes=_texts(scan["attributes"]),
            )
            for role, scan in scans.items()
        },
        labels={target: tuple(str(n) for n in names) for target, names in labels.items()},
        attributes=_texts(json.loads(row["attributes"])),
        split=split,  # type: ignore[arg-type]  # checked above
    )


def _path(value: Any) -> str:
    """A table may come from anywhere: its paths stay below the cohort's root."""
    text = str(value)
    windows = PureWindowsPath(text)  # by its rules C:\a and \\server\a begin at a root, as /a does by both
    if not text or windows.root or ".." in windows.parts or "\0" in text:
        raise ValueError("path")
    return text


def _texts(value: Mapping[str, Any]) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()}


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _csv(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(_COLUMNS))
    writer.writeheader()
    writer.writerows({name: guarded(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _from_csv(data: bytes, path: Path) -> list[dict[str, str]]:
    limit = csv.field_size_limit(_MAX_BYTES)  # a series of a thousand files is one long cell
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        if list(reader.fieldnames or ()) != list(_COLUMNS):
            raise CohortError(f"'{path.name}' has other columns than a cohort's table; make it with insula index.")
        return [
            {name: unguarded(value) if isinstance(value, str) else value for name, value in row.items()}
            for row in reader
        ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise CohortError(f"'{path.name}' is no CSV table in UTF-8; index the folder again.") from error
    finally:
        csv.field_size_limit(limit)


def _parquet(rows: list[dict[str, str]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.string()) for name in _COLUMNS])
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, compression="zstd")
    return sink.getvalue()


def _from_parquet(data: bytes, path: Path) -> list[dict[str, str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CohortError(f"'{path.name}' is no readable Parquet table; index the folder again.") from error
    if table.column_names != list(_COLUMNS) or any(field.type != pa.string() for field in table.schema):
        raise CohortError(f"'{path.name}' has other columns than a cohort's table; make it with insula index.")
    rows: list[dict[str, str]] = table.to_pylist()
    return rows


def _schema(path: Path) -> dict[str, Any]:
    beside = schema_path(path)
    if not path.is_file():
        raise CohortError(f"There is no cohort '{path.name}'; make it with insula index.")
    if not beside.is_file():
        raise CohortError(f"'{path.name}' has no schema '{beside.name}' beside it; copy it too or index again.")
    try:
        content = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CohortError(f"Schema '{beside.name}' is no JSON; index the folder again.") from error
    wanted = {"root": str, "split_level": str, "patient_ids": bool, "cases": int}
    usable = isinstance(content, dict) and content.get("format") == _FORMAT
    if not usable or any(not isinstance(content.get(key), kind) for key, kind in wanted.items()):
        raise CohortError(f"Schema '{beside.name}' is not that of a cohort; index the folder again.")
    if content.get("version") != _VERSION or content["split_level"] not in ("", "patient", "picture"):
        raise CohortError(f"Schema '{beside.name}' is of another version of Insula; index the folder again.")
    schema: dict[str, Any] = content
    return schema
