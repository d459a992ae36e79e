"""A cohort through a bundle, for what the network saw: embedding, answer and one small picture of each case."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from insula.bundle.patients import hash_patient
from insula.bundle.types import Bundle
from insula.core import labels
from insula.core.errors import CohortError, InsulaError, LimitError, ScanError, UnsuitableScanError, UsageError
from insula.core.provenance import record, write_bytes
from insula.core.types import Case, Cohort, FloatArray
from insula.infer import content as contents
from insula.infer import feature_journal as journals
from insula.infer import feature_store as stores
from insula.infer import thumbnail
from insula.infer.decide import decide, withheld
from insula.infer.domain_scale import ALL
from insula.infer.feature_journal import Entry
from insula.infer.predict import Predictor

Progress = Callable[[Sequence[Case]], Iterable[Case]]
SPLITS = ("train", "val", "test", "all")


@dataclass(frozen=True)
class Done:
    """How a run went: rows of the store, how many of them were made now, cases that failed, and those taken over."""

    rows: int
    made: int
    kept: int
    failed: int


def embed(
    predictor: Predictor, cohort: Cohort, splits: Sequence[str], folder: Path, progress: Progress | None = None
) -> Done:
    """Write the store of the cases of these splits ("all" for every case), by the predictor that `insula predict` uses.

    What a journal in the folder holds already, of unchanged files and clinical columns, is not made again; a scan that
    cannot be predicted becomes a row of `failures.csv`. Raises CohortError for a split without cases or when not one
    case could be predicted, UsageError for a folder that another bundle's store lies in.
    """
    bundle, root = predictor.bundle, Path(cohort.root)
    cases = _cases(cohort, splits)
    known_labels = [_labels(case, bundle) for case in cases]  # a label that is no class is told before the work
    _own(folder, bundle)
    made = 0
    with journals.opened(folder) as journal:
        _sweep(folder)
        for case in progress(cases) if progress else cases:
            content = contents.of_case(case, root, bundle.recipe, bundle.id)
            known = journal.entries.get(case.key)
            if known is not None and known.content == content and _whole(folder, known):
                continue
            entry = _one(predictor, case, root, content, folder)
            made += entry.embedding is not None
            journal.add(entry)
        chosen = [journal.entries[case.key] for case in cases]
    good = [
        (case, entry, label)
        for case, entry, label in zip(cases, chosen, known_labels, strict=True)
        if entry.embedding is not None
    ]
    failures = [(entry.case, entry.failure) for entry in chosen if entry.embedding is None]
    if not good:
        raise CohortError(f"Not one of {len(cases)} cases could be predicted; the first: {failures[0][1]}")
    stores.write(
        folder,
        np.stack([np.asarray(entry.embedding, np.float32) for _, entry, _ in good]),
        _index(good, bundle),
        failures,
        _facts(bundle, cohort, splits),
    )
    return Done(len(good), made, len(good) - made, len(failures))


def _cases(cohort: Cohort, splits: Sequence[str]) -> list[Case]:
    unknown = sorted(set(splits) - set(SPLITS))
    if unknown:
        raise UsageError(f"There is no split '{unknown[0]}'; write {', '.join(SPLITS)}.")
    cases = [case for case in cohort.cases if "all" in splits or case.split in splits]
    if not cases:
        raise CohortError(
            f"The cohort has no case in the split {' or '.join(splits)}; split it first (insula split), or take every "
            "case with --split all."
        )
    return cases


def _own(folder: Path, bundle: Bundle) -> None:
    """The folder is empty, or holds what this bundle has begun; its id stands in `bundle.json` from the beginning."""
    path = folder / "bundle.json"
    if path.is_file():
        try:
            told = json.loads(path.read_text(encoding="utf-8"))["bundle"]
        except (ValueError, KeyError, TypeError):
            told = "unknown"
        if told != bundle.id:
            raise UsageError(
                f"'{folder}' holds a store of bundle {told}, and this is bundle {bundle.id}; give another folder."
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"'{folder}' is there already and is no store of embeddings; give a new folder.")
    write_bytes(path, (json.dumps({"bundle": bundle.id}) + "\n").encode())


def _sweep(folder: Path) -> None:
    """Remove what a killed run had begun to write and not named yet."""
    for path in (*folder.glob(".*.*"), *(folder / stores.THUMBNAILS).glob(".*.*")):
        path.unlink(missing_ok=True)


def _whole(folder: Path, entry: Entry) -> bool:
    """Whether what an entry speaks of is still there: failures are, rows with their picture."""
    name = entry.facts.get("thumbnail", "")
    return not name or (folder / stores.THUMBNAILS / name).is_file()


def _one(predictor: Predictor, case: Case, root: Path, content: str, folder: Path) -> Entry:
    bundle = predictor.bundle
    try:
        views, warnings = predictor.views(case, root)
        needed = bundle.recipe.policy.refer.sources
        found = predictor.from_slices(views, case.key, 0, warnings, case.attributes, needed)
        shown = thumbnail.of_prediction(found, views, bundle.recipe)
    except (InsulaError, OSError, ValueError, MemoryError) as error:
        lasting = isinstance(error, ScanError | UnsuitableScanError) and not isinstance(error, LimitError)
        # what may be the machine's fault is tried again: no later run has the content ""
        return Entry(case.key, content if lasting else "", None, {}, str(error) or type(error).__name__)
    if not np.isfinite(found.embedding).all():
        return Entry(case.key, content, None, {}, "the network's embedding of this scan is not finite")
    name = stores.thumbnail_name(case.key)
    write_bytes(folder / stores.THUMBNAILS / name, shown.jpeg)
    decision = decide(found, bundle)
    facts: dict[str, Any] = {
        "predicted": decision.label,
        "action": decision.action,
        "p": [round(float(p), 6) for p in withheld(found, decision).probabilities],
        "domain_score": round(float(found.domain_score), 6),
        "distance": None if ALL not in found.distances else round(float(found.distances[ALL]), 6),
        "thumbnail": name,
        "shown": [shown.scan, shown.slice, shown.by],
    }
    return Entry(case.key, content, _embedding(found.embedding), facts)


def _embedding(row: FloatArray) -> FloatArray:
    return np.ascontiguousarray(row, np.float32)


_Labels = tuple[tuple[str, ...] | None, dict[str, str]]


def _labels(case: Case, bundle: Bundle) -> _Labels:
    """The first target's classes, None where it has no label, and the answers to the further targets as text."""
    recipe = bundle.recipe
    return labels.classes(case, recipe.target_name, recipe.target), {
        f"{stores.LABEL}{name}": _further(case, name, bundle) for name in recipe.further
    }


def _index(good: Sequence[tuple[Case, Entry, _Labels]], bundle: Bundle) -> dict[str, list[str]]:
    recipe, base = bundle.recipe, bundle.baseline
    target, known = recipe.target, frozenset(base.patients)
    columns: dict[str, list[str]] = {name: [] for name in stores.FIRST}
    columns |= {f"p_{name}": [] for name in target.classes}
    columns |= {name: [] for name in stores.SHOWN}
    rows = [_attributes(case) for case, _, _ in good]
    columns |= {f"{stores.LABEL}{name}": [] for name in recipe.further}
    named = sorted({name for row in rows for name in row} - _label_columns(bundle))
    columns |= {f"{stores.ATTRIBUTE}{name}": [row.get(name, "") for row in rows] for name in named}
    for case, entry, (label, further) in good:
        facts = entry.facts
        rejected = facts["action"] == "reject"  # a journal of an earlier version holds its probabilities
        p = [""] * len(target.classes) if rejected else [f"{one:g}" for one in facts["p"]]
        seen = hash_patient(base.salt, case.patient) in known if base.patient_ids else None
        first = {
            "case": case.key,
            "patient": case.patient,
            "split": case.split,
            "seen": "unknown" if seen is None else "yes" if seen else "no",
            "label": "" if label is None else ";".join(label) or "none",
            "predicted": facts["predicted"],
            "right": _right(label, facts["predicted"], target.kind, target.positive),
            "action": facts["action"],
            "domain_score": f"{facts['domain_score']:g}",
            "distance": "" if facts["distance"] is None else f"{facts['distance']:g}",
            "thumbnail": facts["thumbnail"],
            **dict(zip(stores.SHOWN[1:], map(str, facts["shown"]), strict=True)),
            **{f"p_{name}": text for name, text in zip(target.classes, p, strict=True)},
            **further,
        }
        for name, value in first.items():
            columns[name].append(value)
    return columns


def _right(label: tuple[str, ...] | None, predicted: str, kind: str, positive: str) -> str:
    """`yes` or `no`; empty without a label or an answer. Of labels that stand together the primary one counts."""
    if label is None or not predicted:
        return ""
    right = (predicted == positive) == (positive in label) if kind == "multilabel" else predicted in label
    return "yes" if right else "no"


def _further(case: Case, name: str, bundle: Bundle) -> str:
    target = bundle.recipe.targets[name]
    if target.graded:
        found = labels.columns(case, name, target)
        return "" if found is None else f"{found[0]:g}"
    present = labels.classes(case, name, target)
    return "" if present is None else ";".join(present) or "none"


def _attributes(case: Case) -> dict[str, str]:
    """What is known of a case beside its labels; facts of a scan under its name, where there are several."""
    found: dict[str, str] = {}
    for scan, one in case.scans.items():
        lead = f"{scan}." if len(case.scans) > 1 else ""
        found |= {f"{lead}{name}": value for name, value in (*one.attributes.items(), ("format", one.format))}
    return found | dict(case.attributes)


def _label_columns(bundle: Bundle) -> set[str]:
    """Attributes that hold answers."""
    return {name for key, t in bundle.recipe.targets.items() for name in (key, t.column, t.time, t.event) if name}


def _facts(bundle: Bundle, cohort: Cohort, splits: Sequence[str]) -> dict[str, Any]:
    recipe = bundle.recipe
    return {
        "bundle": bundle.id,
        "network": bundle.files.get("model.onnx", ""),
        "recipe": recipe.name,
        "question": recipe.question,
        "target": recipe.target_name,
        "kind": recipe.target.kind,
        "classes": list(recipe.target.classes),
        "positive": recipe.target.positive,
        "cohort": Path(cohort.root).name,
        "splits": list(splits),
        "split_level": cohort.split_level,
        "patient_ids": cohort.patient_ids,
        "centre": [float(value) for value in bundle.baseline.embedding_mean],
        "origin": record(),
    }
