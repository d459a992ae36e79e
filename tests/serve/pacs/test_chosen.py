"""Which series the rules take, and what is asked of which model."""

from __future__ import annotations

from pathlib import Path

import pytest

from insula.core.recipe import Input, PrepStep
from insula.scans.catalogue import Entry
from insula.serve.faults import RequestError
from insula.serve.pacs.chosen import Order, by_role, choose, orders
from insula.serve.pacs.rules import Rule, Rules, SeriesFacts, When
from insula.serve.pacs.series import Series

pytestmark = pytest.mark.serve
CT = Rule(name="ct", when=When(modality="CT"), project="A", model="both", send=("x", "y"), objects=("report",))
MR = Rule(name="mr", when=When(modality="MR"), project="A", model="both", send=("y", "z"), uncertainty=False)
OTHER = Rule(name="other", when=When(modality="PT"), project="B", model="pet")
KEEP = Rule(name="keep", when=When(modality="SR"), project="A")
RULES = Rules(rules=(CT, MR, OTHER, KEEP))
PREP = (PrepStep(name="resize", params={"value": 16}),)
INPUTS = {"ct": Input(modality="CT", prep=PREP), "mri": Input(modality="MR", prep=PREP)}


def series(modality: str, uid: str = "") -> Series:
    return Series(uid or f"1.{modality}", SeriesFacts("SCANNER", modality), (("0" * 64, 1),))


def entry(modality: str, uid: str = "", aside: str = "") -> Entry:
    return Entry(1, uid or f"1.{modality}", modality, "", "", (Path("x"),), 2, "2 slices", aside)


def test_the_project_is_that_of_the_first_rule_in_the_file_that_takes_one() -> None:
    found = choose(RULES, [series("PT"), series("CT"), series("US")])
    assert found is not None
    assert found.project == "A"
    assert [one.uid for one, _ in found.series] == ["1.CT"], "a study lies in one project"


def test_what_lies_in_a_project_already_stays_there() -> None:
    found = choose(RULES, [series("CT"), series("PT")], "B")
    assert found is not None
    assert (found.project, [one.uid for one, _ in found.series]) == ("B", ["1.PT"])
    assert choose(RULES, [series("CT")], "B") is None


def test_nothing_is_chosen_where_no_rule_fits() -> None:
    assert choose(RULES, [series("US")]) is None
    assert choose(RULES, []) is None


def test_what_several_rules_ask_of_one_model_is_one_order() -> None:
    found = choose(RULES, [series("MR"), series("SR"), series("CT")])
    assert found is not None
    (order,) = orders(found)
    assert order.series == {"1.CT", "1.MR"}
    assert order.peers == ("y", "z", "x")
    assert order.objects == ("report", "capture", "map")
    assert order.uncertainty


def order(*uids: str) -> Order:
    return Order("both", frozenset(uids), (), (), True)


def test_each_input_gets_the_series_of_its_modality() -> None:
    entries = [entry("CT"), entry("MR"), entry("MR", "1.other")]
    assert by_role(order("1.CT", "1.MR"), INPUTS, entries) == {"ct": "1.CT", "mri": "1.MR"}
    assert by_role(order("1.CT"), INPUTS, entries) == {"ct": "1.CT"}


def test_what_is_no_stack_of_slices_does_not_count() -> None:
    entries = [entry("CT"), entry("CT", "1.scout", aside="a localiser")]
    assert by_role(order("1.CT", "1.scout"), INPUTS, entries) == {"ct": "1.CT"}


def test_a_model_of_one_input_takes_what_there_is() -> None:
    assert by_role(order("1.OT"), {"ct": INPUTS["ct"]}, [entry("OT")]) == {"ct": "1.OT"}


@pytest.mark.parametrize(
    ("uids", "code"), [(("1.CT", "1.second"), "several_series"), (("1.OT",), "no_scan"), ((), "no_scan")]
)
def test_what_is_left_open_is_refused(uids: tuple[str, ...], code: str) -> None:
    entries = [entry("CT"), entry("CT", "1.second"), entry("OT")]
    with pytest.raises(RequestError) as caught:
        by_role(order(*uids), INPUTS, entries)
    assert (caught.value.status, caught.value.fault_code) == (422, code)
