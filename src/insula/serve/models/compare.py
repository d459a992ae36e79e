"""Two models on the studies that both answered: how often they agree, and, where readers reviewed, which is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Subquery, func, select

from insula.core.recipe import Target
from insula.metrics import group_difference, proportion
from insula.metrics.classification import ratio
from insula.metrics.compare import Comparison, Discordance, mcnemar, paired_bootstrap
from insula.metrics.group_difference import Rate
from insula.metrics.intervals import Figure
from insula.serve.faults import RequestError
from insula.serve.models.choose import Model, get
from insula.serve.monitor.reviewed import FEWEST, class_of
from insula.serve.store.schema import predictions, reviews, studies

ACTIONS = ("accept", "refer", "reject")
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Apart:
    """A share in two groups of patients that have no patient in common, the first minus the second.

    interval: Newcombe's (see `metrics.group_difference`), None where a group is empty. n: patients of each.
    """

    first: float
    second: float
    difference: float
    interval: tuple[float, float] | None
    n: tuple[int, int]


@dataclass(frozen=True)
class Compared:
    """Two models, the first minus the second wherever it says difference.

    studies, patients: that both answered. same_label, same_action: agreement on these. actions, labels: of each the
    paired difference of its share. reviewed: studies among them on whose truth readers agree; accuracy: the paired
    difference of the shares that are right, None of fewer than FEWEST; discordance: McNemar's test, where each patient
    has one such study.
    ab: each label and action among patients that only one of the two answered, each by the first study since both
    models answer: that is the comparison of A/B arms, which share no patient.
    """

    first: str
    second: str
    studies: int
    patients: int
    same_label: Figure
    same_action: Figure
    actions: dict[str, Comparison]
    labels: dict[str, Comparison]
    reviewed: int
    accuracy: Comparison | None
    discordance: Discordance | None
    ab: dict[str, Apart]


def compare(connection: Connection, first: str, second: str, replicates: int = 2000) -> Compared:
    """Compare two registered models, by their bundles' ids, on each study's first answer; intervals are over patients.

    Raises RequestError 404 for a model that is not registered, 409 for two that answer different questions, 422 for
    one with itself.
    """
    a, b = get(connection, first), get(connection, second)
    if first == second:
        raise RequestError(422, "same_model", "A model is compared with itself; give two.")
    if any(a.info.get(key) != b.info.get(key) for key in ("target", "kind", "classes")):
        raise RequestError(409, "other_question", "The two models answer different questions; compare two of one kind.")
    one, two = _answers(first, "one"), _answers(second, "two")
    rows = connection.execute(
        select(
            one.c.study_id,
            one.c.patient_id,
            one.c.label.label("label_a"),
            two.c.label.label("label_b"),
            one.c.action.label("action_a"),
            two.c.action.label("action_b"),
        )
        .select_from(one.join(two, one.c.study_id == two.c.study_id))
        .order_by(one.c.seq)
    ).all()
    patients = np.array([row.patient_id for row in rows], dtype=object).astype(str)
    labels = _pair(rows, "label")
    actions = _pair(rows, "action")
    whole = np.ones(len(rows), bool)
    none = "no study was answered by both models"
    reviewed, accuracy, discordance = _reviewed(connection, rows, a, replicates)
    return Compared(
        first=first,
        second=second,
        studies=len(rows),
        patients=len(set(patients.tolist())),
        same_label=proportion.figure(labels[0] == labels[1], whole, patients, none),
        same_action=proportion.figure(actions[0] == actions[1], whole, patients, none),
        actions=_differences(actions, ACTIONS, patients, replicates),
        labels=_differences(labels, sorted({*labels[0].tolist(), *labels[1].tolist()} - {""}), patients, replicates),
        reviewed=reviewed,
        accuracy=accuracy,
        discordance=discordance,
        ab=_apart(connection, first, second),
    )


def _answers(bundle_id: str, name: str) -> Subquery:
    """The first answer of a bundle to each study, with the study's patient."""
    firsts = (
        select(func.min(predictions.c.seq).label("seq"))
        .where(predictions.c.bundle_id == bundle_id)
        .group_by(predictions.c.study_id)
        .subquery()
    )
    columns = (predictions.c.seq, predictions.c.study_id, predictions.c.label, predictions.c.action)
    return (
        select(*columns, studies.c.patient_id)
        .select_from(predictions)
        .join(firsts, predictions.c.seq == firsts.c.seq)
        .join(studies, predictions.c.study_id == studies.c.id)
        .subquery(name)
    )


def _pair(rows: Sequence[Any], what: str) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    return (
        np.array([getattr(row, f"{what}_a") for row in rows], dtype=np.str_),
        np.array([getattr(row, f"{what}_b") for row in rows], dtype=np.str_),
    )


def _differences(
    pair: tuple[NDArray[np.str_], NDArray[np.str_]], names: Sequence[str], patients: NDArray[Any], replicates: int
) -> dict[str, Comparison]:
    if not len(patients):
        return {}
    return {name: _difference(pair[0] == name, pair[1] == name, patients, replicates) for name in names}


def _difference(first: Bools, second: Bools, patients: NDArray[Any], replicates: int) -> Comparison:
    """The paired difference of two shares of the same rows."""

    def share(hits: Bools) -> Any:
        hit = hits.astype(np.float64)
        return lambda weights: ratio(weights @ hit, weights.sum(axis=1))

    return paired_bootstrap(share(first), share(second), patients, int((first != second).sum()), replicates)


def _reviewed(
    connection: Connection, rows: Sequence[Any], model: Model, replicates: int
) -> tuple[int, Comparison | None, Discordance | None]:
    target = _target(model.info)
    truths = {} if target is None else _truths(connection, model, target)
    right: list[tuple[bool, bool, str]] = []
    for row in rows:
        if target is not None and (truth := truths.get(row.study_id)) is not None:
            said = class_of(row.label_a, target), class_of(row.label_b, target)
            right.append((said[0] == truth, said[1] == truth, row.patient_id))
    if len(right) < FEWEST:
        return len(right), None, None
    a, b = (np.array([one[k] for one in right], bool) for k in (0, 1))
    patients = np.array([one[2] for one in right])
    single = len(set(patients.tolist())) == len(right)
    return len(right), _difference(a, b, patients, replicates), mcnemar(a, b) if single else None


def _truths(connection: Connection, model: Model, target: Target) -> dict[str, int]:
    """Study → class number on which all reviews in force agree; one that a reader disputes is left out."""
    answered = select(predictions.c.study_id).where(predictions.c.bundle_id == model.bundle_id)
    wanted = select(reviews.c.study_id, reviews.c.label).where(
        reviews.c.study_id.in_(answered),
        reviews.c.target == model.info["target"],
        reviews.c.replaced_by.is_(None),
        reviews.c.label.is_not(None),
    )
    found: dict[str, set[int]] = {}
    for study, label in connection.execute(wanted):
        if (number := class_of(label, target)) is not None:
            found.setdefault(study, set()).add(number)
    return {study: numbers.pop() for study, numbers in found.items() if len(numbers) == 1}


def _target(info: Mapping[str, Any]) -> Target | None:
    """The target as the records know it; None where its answer is a number and no class."""
    if not info.get("classes"):
        return None
    return Target.model_validate({key: info[key] for key in ("kind", "classes", "primary")})


def _apart(connection: Connection, first: str, second: str) -> dict[str, Apart]:
    """Shares among the patients of either model alone, by each patient's first study since both models answer."""
    begun = select(func.min(predictions.c.seq)).where(predictions.c.bundle_id.in_((first, second)))
    begins = [seq for (seq,) in connection.execute(begun.group_by(predictions.c.bundle_id))]
    if len(begins) < 2:
        return {}
    ever = [_first_of_patients(connection, name, 0) for name in (first, second)]
    groups = [_first_of_patients(connection, name, max(begins)) for name in (first, second)]
    only = [{p: said for p, said in groups[k].items() if p not in ever[1 - k]} for k in (0, 1)]
    if not only[0] or not only[1]:
        return {}
    names = sorted({label for group in only for label, _ in group.values()} - {""})
    found = {
        f"label {name}": [group_difference.share(sum(s[0] == name for s in g.values()), len(g)) for g in only]
        for name in names
    }
    found |= {
        f"action {name}": [group_difference.share(sum(s[1] == name for s in g.values()), len(g)) for g in only]
        for name in ACTIONS
    }
    return {name: _gap(*rates) for name, rates in found.items()}


def _gap(a: Rate, b: Rate) -> Apart:
    return Apart(a.value, b.value, a.value - b.value, group_difference.difference(a, b), (a.n, b.n))


def _first_of_patients(connection: Connection, bundle_id: str, since: int) -> dict[str, tuple[str, str]]:
    found = _answers(bundle_id, "answers")
    wanted = select(found.c.patient_id, found.c.label, found.c.action).where(found.c.seq >= since)
    rows = connection.execute(wanted.order_by(found.c.seq))
    said: dict[str, tuple[str, str]] = {}
    for patient, label, action in rows:
        said.setdefault(patient, (label, action))
    return said
