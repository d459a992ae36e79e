"""`insula similar`: past cases that look alike to the network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from insula.cli.output import emit, json_option
from insula.core.errors import UsageError

if TYPE_CHECKING:
    from insula.core.types import FloatArray
    from insula.infer.feature_store import Store
    from insula.infer.predict import Predictor
    from insula.infer.similar_cases import Answer
    from insula.report.similar_page import Query

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("bundle", type=_PATH)
@click.argument("scan", type=_PATH, required=False)
@click.option("--store", "folder", required=True, type=_PATH, help="The folder that insula embed wrote.")
@click.option("--scan", "by_role", multiple=True, metavar="ROLE=PATH", help="A scan of one case; once for each scan.")
@click.option("--with", "known", multiple=True, metavar="NAME=VALUE", help="A clinical column of that case, as age=63.")
@click.option("--case", "key", metavar="KEY", help="A case of the store in place of a scan; its patient is left out.")
@click.option("--top", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many cases.")
@click.option("--not-patient", default="", metavar="ID", help="Leave this patient's own cases out.")
@click.option("--split", "splits", multiple=True, metavar="NAME", help="Search this split alone; once for each.")
@click.option("--out", type=_PATH, help="Also write a page with the thumbnails side by side.")
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads of one prediction.")
@click.option("--series", metavar="UID|NUMBER", help="The series to take where SCAN holds several.")
@json_option
def similar(
    bundle: Path,
    scan: Path | None,
    folder: Path,
    by_role: tuple[str, ...],
    known: tuple[str, ...],
    key: str | None,
    top: int,
    not_patient: str,
    splits: tuple[str, ...],
    out: Path | None,
    threads: int | None,
    series: str | None,
    as_json: bool,
) -> None:
    """Find the cases of a store that look most alike to SCAN, as BUNDLE's network sees them.

    Exact, by the cosine of the embeddings. Likeness is the network's: it is no proof that two patients have the same
    disease.
    """
    from insula.bundle.load import load
    from insula.core.provenance import write_text
    from insula.infer import feature_store, similar_cases
    from insula.infer.predict import Predictor
    from insula.report import similar_page

    if sum((scan is not None, bool(by_role), key is not None)) != 1 or (known and key is not None):
        raise UsageError("Give one SCAN, or the scans of one case by --scan ROLE=PATH, or a stored case by --case.")
    model = load(bundle)
    store = feature_store.of_bundle(feature_store.load(folder), model.id)
    if key is not None:
        query, embedding, notes, own = _stored(store, key)
        not_patient = not_patient or own
    else:
        query, embedding, notes = _asked(Predictor(model, threads), scan, by_role, known, series)
    if not_patient and not_patient not in store.index["patient"]:
        notes = (*notes, f"No case of the store is of patient '{not_patient}': nobody was left out.")
    answer = similar_cases.alike(similar_cases.ready(store), embedding, top, not_patient, splits)
    if not answer.cases:
        raise UsageError("No case of the store is left to be searched; see --split and --not-patient.")
    if any(one.same for one in answer.cases):
        notes = (*notes, "The store most likely holds this very scan; --not-patient leaves its patient out.")
    if out is not None:
        write_text(out, similar_page.render(query, answer, store, notes))
    data = {"bundle": model.id, "query": query.name, "decision": query.decision, "notes": list(notes)}
    page = {} if out is None else {"page": str(out)}
    emit(as_json, data | answer.to_dict() | page, _text(query, answer, notes, out))


def _asked(
    predictor: Predictor,
    scan: Path | None,
    by_role: tuple[str, ...],
    known: tuple[str, ...],
    series: str | None,
) -> tuple[Query, FloatArray, tuple[str, ...]]:
    """The scan predicted as `insula predict` does: what it is, its embedding, and what has to be said of it."""
    from insula.cli.case import pairs, split
    from insula.infer import thumbnail
    from insula.infer.decide import decide
    from insula.infer.read_case import read_case
    from insula.report.similar_page import Query
    from insula.scans.sandbox import shared

    recipe = predictor.bundle.recipe
    one = [(recipe.role, scan)] if scan is not None else pairs(by_role, recipe, "--scan")
    read = read_case(one, predictor, shared().start(), series)
    attributes = {**read.headers, **dict(split(text, "--with") for text in known)}
    found = predictor.from_slices(read.views, one[0][1].name, 0, read.cautions, attributes)
    decision = decide(found, predictor.bundle)
    rejected = decision.action == "reject"
    notes = (
        tuple(
            f"The policy rejects this scan: {reason}. What is alike to it tells nothing." for reason in decision.reasons
        )
        if rejected
        else ()
    )
    said = "rejected" if rejected else f"{decision.label} ({decision.confidence:.2f}), {decision.action}"
    shown = thumbnail.of_prediction(found, read.views, recipe)
    p = None if rejected else float(found.probabilities[recipe.target.positive_index])
    return Query(found.case, shown.jpeg, said, p), found.embedding, notes


def _stored(store: Store, key: str) -> tuple[Query, FloatArray, tuple[str, ...], str]:
    """A case of the store as the query, and its patient."""
    from insula.report.similar_page import Query

    if key not in store.index["case"]:
        raise UsageError(f"The store has no case '{key}'; its cases stand in '{store.folder / 'index.csv'}'.")
    row = list(store.index["case"]).index(key)
    label, action = store.index["predicted"][row], store.index["action"][row]
    said = f"{label}, {action}" if label else "rejected"
    p = float(store.index[f"p_{store.facts['positive']}"][row]) if label else None
    notes = () if label else ("The policy rejects this scan. What is alike to it tells nothing.",)
    return Query(key, store.thumbnail(row), said, p), store.embeddings[row], notes, store.index["patient"][row]


def _text(query: Query, answer: Answer, notes: tuple[str, ...], out: Path | None) -> str:
    from insula.infer.similar import SAID

    rows = [("likeness", "label", "answer", "split", "case")]
    rows += [
        (f"{one.likeness:.3f}", one.label or "–", one.predicted or "rejected", one.split or "–", one.case)
        for one in answer.cases
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    table = ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[4]]) for row in rows]
    told = [] if query.probability is None else [answer.told]  # of a rejected scan the shares would read as an answer
    lines = [f"{query.name}: {query.decision}.", *notes, *table, *told, SAID]
    lines += [f"Page: {out}"] if out is not None else []
    return "\n".join([*lines, f"{answer.searched:,} cases were searched. Research use only."])
