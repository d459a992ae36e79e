"""What every stage said to every patient, as a table for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from insula.core import cells
from insula.core.provenance import write_bytes, write_text
from insula.report.record import parquet
from insula.workflows.staged_rule import Answered

CSV, PARQUET = "patients.csv", "patients.parquet"


def table(
    stages: Mapping[str, Answered], before: Mapping[str, str], tested: tuple[str, Answered] | None, positive: str
) -> pd.DataFrame:
    """A row a patient: split, patient, truth, and of each stage `NAME probability`, `answer`, `right` and `change`.

    stages: answers to the validation patients, by name. before: stage → the one that it is held against. tested: the
    stage that was chosen, with its answers to the test patients. A stage that could not answer a patient has empty
    cells. change: against the earlier stage, `same`, `right now` or `wrong now`.
    """
    keys = sorted({str(key) for rows in stages.values() for key in rows.keys})
    found = _part("val", keys, stages, before, positive)
    if tested is None:
        return found
    name, rows = tested
    test = _part("test", [str(key) for key in rows.keys], {name: rows}, {}, positive)
    return pd.concat([found, test.reindex(columns=found.columns)], ignore_index=True)


def write(found: pd.DataFrame, folder: Path) -> tuple[Path, Path]:
    """Write `patients.csv` and `patients.parquet`; their paths."""
    write_text(folder / CSV, cells.sheet(found).to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_bytes(folder / PARQUET, parquet(found))
    return folder / CSV, folder / PARQUET


def _part(
    split: str, keys: Sequence[str], stages: Mapping[str, Answered], before: Mapping[str, str], positive: str
) -> pd.DataFrame:
    truth: dict[str, bool] = {}
    told: dict[str, dict[str, tuple[float, bool, bool]]] = {}
    for name, rows in stages.items():
        right = rows.called == rows.y
        truth |= dict(zip(rows.keys.tolist(), rows.y.tolist(), strict=True))
        answers = zip(rows.p.tolist(), rows.called.tolist(), right.tolist(), strict=True)
        told[name] = dict(zip(rows.keys.tolist(), answers, strict=True))
    words = {True: positive, False: f"not {positive}"}
    columns: dict[str, object] = {
        "split": [split] * len(keys),
        "patient": list(keys),
        "truth": [words[truth[key]] for key in keys],
    }
    for name, own in told.items():
        there = [own.get(key) for key in keys]
        columns[f"{name} probability"] = [np.nan if one is None else one[0] for one in there]
        columns[f"{name} answer"] = ["" if one is None else words[one[1]] for one in there]
        columns[f"{name} right"] = ["" if one is None else ("wrong", "right")[one[2]] for one in there]
        if name in before:
            earlier = told[before[name]]
            columns[f"{name} change"] = [_change(one, earlier.get(key)) for key, one in zip(keys, there, strict=True)]
    return pd.DataFrame(columns)


def _change(now: tuple[float, bool, bool] | None, earlier: tuple[float, bool, bool] | None) -> str:
    if now is None or earlier is None:
        return ""
    if now[2] == earlier[2]:
        return "same"
    return "right now" if now[2] else "wrong now"
