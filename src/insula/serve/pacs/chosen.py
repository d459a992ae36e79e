"""Which series of a received study the rules take, and what models are to predict of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from insula.core.recipe import Input
from insula.report.dicom.result import Object
from insula.scans import catalogue
from insula.scans.catalogue import Entry
from insula.serve.faults import RequestError
from insula.serve.pacs.rules import Rule, Rules
from insula.serve.pacs.series import Series


@dataclass(frozen=True)
class Chosen:
    """What is taken of a study: whose it becomes, and the series, each with its rule."""

    project: str
    series: tuple[tuple[Series, Rule], ...]


@dataclass(frozen=True)
class Order:
    """A prediction that the rules ask for: the model's name, of which series, for whom, as what, with what spread."""

    model: str
    series: frozenset[str]
    peers: tuple[str, ...]
    objects: tuple[Object, ...]
    uncertainty: bool


def choose(rules: Rules, series: Sequence[Series], project: str | None = None) -> Chosen | None:
    """The series that are taken, None where no rule takes any.

    project: where the study lies already; else it is that of the first rule in the file that takes a series. A series
    whose rule names another project is left: a study lies in one.
    """
    taken = [(one, rule) for one in series if (rule := rules.first(one.facts)) is not None]
    if project is None and taken:
        project = min((rule for _, rule in taken), key=rules.rules.index).project
    mine = tuple((one, rule) for one, rule in taken if rule.project == project)
    return Chosen(project, mine) if project is not None and mine else None


def orders(chosen: Chosen) -> tuple[Order, ...]:
    """The predictions to be made, one for each model; what several rules ask of one model is put together."""
    found: dict[str, Order] = {}
    for one, rule in chosen.series:
        if not rule.model:
            continue
        before = found.get(rule.model, Order(rule.model, frozenset(), (), (), False))
        found[rule.model] = Order(
            rule.model,
            before.series | {one.uid},
            tuple(dict.fromkeys((*before.peers, *rule.send))),
            tuple(dict.fromkeys((*before.objects, *rule.objects))),
            before.uncertainty or rule.uncertainty,
        )
    return tuple(found.values())


def by_role(order: Order, inputs: Mapping[str, Input], entries: Sequence[Entry]) -> dict[str, str]:
    """The UID of the series for each of a model's inputs that there is one for.

    entries: all series of the study, of which those count that the order names and that are slices. Raises RequestError
    422 where there is none, or where several fit one input.
    """
    usable = [one for one in entries if one.uid in order.series and not one.aside]
    found: dict[str, str] = {}
    for role, section in inputs.items():
        fitting = [one for one in usable if one.modality == section.modality]
        if not fitting and len(inputs) == 1:
            fitting = usable
        if len(fitting) > 1:
            raise RequestError(
                422,
                "several_series",
                f"The rules give '{order.model}' {len(fitting)} series for its input '{role}' "
                f"({catalogue.listed(fitting)}); narrow the rule, by its series_description for example.",
            )
        if fitting:
            found[role] = fitting[0].uid
    if not found:
        raise RequestError(
            422,
            "no_scan",
            f"The rules give '{order.model}' no series of slices of a kind that it takes "
            f"({', '.join(section.modality for section in inputs.values())}); change the rule, or its model.",
        )
    return found
