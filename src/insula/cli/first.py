"""What `insula` says without a verb: what to do next, in view of what lies in the folder and what is installed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from insula import __version__
from insula.cli.first_unfinished import unfinished
from insula.core.parts import install, missing
from insula.core.recipe_names import names

_MOST = 2000  # names of a folder that are looked at
_SCHEMA: Final = ".schema.json"
_RECIPE: Final = "haemorrhage-ct"


def first(here: Path) -> str:
    """At most 19 lines: the next steps from here, each a command, and where more is said."""
    title = f"Insula {__version__}: from a folder of brain scans to a classifier that its owner can defend."
    bundle, (table, parted) = _bundle(here), _table(here)
    begun = unfinished(here, table if parted else "", bundle)
    if begun:
        said, steps = begun[0], _columns(begun[1])
    elif bundle:
        said, steps = _with_bundle(here, bundle, table)
    elif table:
        said, steps = _with_table(table, parted, _recipe_of(here / table))
    else:
        said, steps = _with_nothing()
    lines = [title, "Research use only; not a medical device.", "", said, *(f"  {step}" for step in steps), ""]
    return "\n".join([*lines, "insula --help lists all verbs, insula docs the pages, insula info what is installed."])


def _with_nothing() -> tuple[str, list[str]]:
    """Nothing of ours lies here."""
    form = "csv" if "pyarrow" in missing("evaluate") else "parquet"
    lacks = bool(missing("train"))
    demo = [(install("train"), "the demo and training need this part")] if lacks else []
    steps = [
        *demo,
        ("insula demo", "made patients, a trained model, its report: minutes"),
        (f"insula index SCANS --recipe {_RECIPE} --out cohort.{form}", "or your own scans: a table of them"),
        (f"insula check cohort.{form} --out check", "what is wrong with them"),
    ]
    return "There is no cohort and no model in this folder yet. Begin with one of these:", _columns(steps)


def _with_table(table: str, parted: bool, recipe: str) -> tuple[str, list[str]]:
    """There is a cohort, and no model. recipe: that it was indexed for, "" where that is not known."""
    name, which = (recipe, "") if recipe else ("NAME", f" ({_recipes()})")
    train = [(install("train"), "training needs this part")] if missing("train") else []
    form = Path(table).suffix
    if not parted:
        steps = [
            (f"insula check {table} --out check", "unreadable files, label clashes, leaks"),
            (f"insula split {table} --recipe {name} --out split{form}", "by patient, into train, val and test"),
        ]
        return f"'{table}' is a cohort that is not split yet. Next{which}:", _columns(steps)
    steps = [
        (f"insula leaks {table} --out leaks", "the same picture on both sides of the split"),
        *train,
        (f"insula train {table} --recipe {name} --out runs/first", "a model, with thresholds and calibration"),
    ]
    return f"'{table}' is a cohort with its split. Next{which}:", _columns(steps)


def _with_bundle(here: Path, bundle: Path, table: str) -> tuple[str, list[str]]:
    """There is a model; of several the newest."""
    name, run = bundle.relative_to(here).as_posix(), bundle.parent.relative_to(here).as_posix()
    run = "." if run == "" else run
    demo = (bundle.parent / "demo.json").is_file()
    serve = [(install("serve"), "serving needs this part")] if missing("serve") else []
    if demo:
        judge = [(f"insula demo --serve --out {run}", "the demo's dashboard, in a browser")]
        table = f"{run}/cohort.parquet"
    else:
        judge = [(f"insula evaluate {name} {table or 'COHORT'} --out {run}/report", "figures with intervals")]
    steps = [
        (f"insula predict {name} SCAN --uncertainty", "one scan, or several"),
        (f"insula explain {name} SCAN --out heat", "where in the scan the score comes from"),
        *([(install("evaluate"), "evaluation and audit need this part")] if missing("evaluate") else []),
        *([] if demo else judge),
        (f"insula audit {name} {table or 'COHORT'} --out {run}/audit", "is it right for the wrong reasons?"),
        *serve,
        *(judge if demo else []),
        (f"insula serve {name}", "behind HTTP"),
    ]
    return f"'{name}' is a trained model. Next:", _columns(steps)


def _columns(steps: Iterable[tuple[str, str]]) -> list[str]:
    every = list(steps)
    width = max(len(command) for command, _ in every)
    return [f"{command:<{width}}   {what}" for command, what in every]


def _recipes() -> str:
    return f"recipes: {', '.join(names())}"


def _bundle(here: Path) -> Path | None:
    """The newest bundle in this folder, in a run here, or in one below runs/."""
    found = [
        path
        for pattern in ("bundle/manifest.json", "*/bundle/manifest.json", "runs/*/bundle/manifest.json")
        for path in _some(here, pattern)
    ]
    return max(found, key=_when).parent if found else None


def _table(here: Path) -> tuple[str, bool]:
    """The newest cohort's table in this folder and whether it is split; "" for none. Split ones go first."""
    found: list[tuple[bool, float, str]] = []
    for path in _some(here, f"*{_SCHEMA}"):
        table = path.with_name(path.name.removesuffix(_SCHEMA))
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(content, dict) and content.get("format") == "insula-cohort" and table.is_file():
            found.append((bool(content.get("split_level")), _when(table), table.name))
    if not found:
        return "", False
    parted, _, name = max(found)
    return name, parted


def _recipe_of(table: Path) -> str:
    """The recipe that comes with Insula and that a table was indexed for, by the notes beside it; "" for any other."""
    try:
        notes = json.loads(table.with_name(f"{table.name}.aside.json").read_text(encoding="utf-8"))
        recipe = str(notes["asked"]["recipe"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return recipe if recipe in names() else ""


def _some(here: Path, pattern: str) -> list[Path]:
    found = []
    try:
        for number, path in enumerate(here.glob(pattern)):
            if number >= _MOST:
                break
            found.append(path)
    except OSError:  # a folder that may not be listed
        pass
    return found


def _when(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
