from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import Engine
from tests.serve.monitor.made_records import BUNDLE, Made

from insula.infer.suitable_statistics import CHOSEN
from insula.serve.monitor.drift import Channel, channel, course, courses, drift
from insula.serve.monitor.kept import Reference
from insula.serve.monitor.settings import MonitorSettings
from insula.serve.store.connect import reading, writing

pytestmark = pytest.mark.serve

KNOWN = Reference(BUNDLE, np.sort(np.random.default_rng(9).normal(0, 1, 60)), ("ct",), ("stroke",))
SETTINGS = MonitorSettings(drift_reference=60, drift_rate=0.05)


def case(g: np.random.Generator, light: float = 0.0, far: float = 0.0, ill: float = 0.3) -> dict[str, float]:
    """What is kept of a made case: all picture numbers rise with one that they share."""
    shared = g.normal()
    kept = {f"picture/ct/{name}": 0.4 + 0.05 * (shared + g.normal()) for name in CHOSEN}
    kept["picture/ct/brightness"] += light
    score = g.beta(6, 2) if g.random() < ill else g.beta(2, 6)
    return {"distance": g.normal() + far, "score/stroke": score, **kept}


def watch(records: Engine, kept: list[dict[str, float]], settings: MonitorSettings = SETTINGS) -> dict[str, Channel]:
    with writing(records) as connection:
        made = Made(connection)
        for one in kept:
            made.prediction(monitored=one)
    with reading(records) as connection:
        return {one.name: one for one in drift(connection, KNOWN, settings)}


def failed(found: dict[str, Channel]) -> set[str]:
    return {name for name, one in found.items() if one.verdict == "fail"}


def test_cases_like_those_before_them_pass_in_every_channel(records: Engine) -> None:
    g = np.random.default_rng(0)
    found = watch(records, [case(g) for _ in range(200)])
    assert tuple(found) == KNOWN.channels
    assert {one.verdict for one in found.values()} == {"pass"}
    assert found["distance"].n == 200
    assert found["distance"].held_against == "validation cases"
    assert found["distance"].reference == 60
    light = found["picture/ct/brightness"]
    assert (light.n, light.reference, light.held_against) == (140, 60, "first served cases")
    assert light.limit == pytest.approx(np.log10(len(KNOWN.channels) / 0.05))
    assert light.p_value > 0.05
    assert light.found_after is None


def test_lighter_pictures_are_found_in_their_channel_and_after_few_cases(records: Engine) -> None:
    g = np.random.default_rng(1)
    found = watch(records, [case(g) for _ in range(100)] + [case(g, light=0.2) for _ in range(60)])
    assert failed(found) == {"picture/ct/brightness"}
    one = found["picture/ct/brightness"]
    assert one.found_after is not None
    assert 40 < one.found_after <= 60
    assert one.highest >= one.limit
    assert one.p_value <= 0.05
    assert one.latest is not None
    assert one.before is not None
    assert one.latest > one.before + 0.1


def test_another_scanner_from_the_first_case_on_is_found_by_the_distance_alone(records: Engine) -> None:
    g = np.random.default_rng(2)
    found = watch(records, [case(g, light=0.2, far=2.0) for _ in range(120)])
    assert failed(found) == {"distance"}
    assert found["distance"].found_after is not None
    assert found["distance"].found_after <= 30


def test_another_mix_of_classes_is_found_by_the_score(records: Engine) -> None:
    g = np.random.default_rng(3)
    found = watch(records, [case(g) for _ in range(100)] + [case(g, ill=0.95) for _ in range(100)])
    assert failed(found) == {"score/stroke"}


def test_what_is_missing_is_left_out_and_without_a_reference_nothing_is_said(records: Engine) -> None:
    g = np.random.default_rng(4)
    kept = [case(g) for _ in range(50)]
    for one in kept[:10]:
        del one["score/stroke"]
    del kept[0]["picture/ct/slices"]
    few = watch(records, kept, SETTINGS.model_copy(update={"drift_reference": 20}))
    assert few["distance"].n == 50
    assert (few["score/stroke"].reference, few["score/stroke"].n) == (10, 30)
    assert few["picture/ct/slices"].reference == 19
    with reading(records) as connection:
        early = {one.name: one for one in drift(connection, KNOWN, SETTINGS)}
    assert early["score/stroke"].verdict == "cannot tell"
    assert early["score/stroke"].p_value == 1.0
    assert early["score/stroke"].latest is None
    assert early["distance"].verdict == "pass"


def test_the_same_cases_give_the_same_numbers_again(records: Engine) -> None:
    g = np.random.default_rng(5)
    found = watch(records, [case(g) for _ in range(90)])
    with reading(records) as connection:
        assert drift(connection, KNOWN, SETTINGS) == tuple(found.values())


def test_over_all_channels_false_alarms_are_at_most_the_stated_rate() -> None:
    g = np.random.default_rng(6)
    rate, watches, count, alarms = 0.2, 120, 5, 0
    for _ in range(watches):
        shared = g.normal(size=260)
        numbers = shared + g.normal(size=(count, 260))
        verdicts = set()
        for k, row in enumerate(numbers):
            verdicts.add(channel(f"{k}", row[:60], row[60:], g.random(200), count, rate).verdict)
        alarms += "fail" in verdicts
    assert alarms <= watches * rate


def test_a_found_drift_stays_found_when_later_cases_are_well_again() -> None:
    g = np.random.default_rng(7)
    before = g.normal(size=100)
    stream = np.concatenate([g.normal(size=50), g.normal(3, 1, 30), g.normal(size=1500)])
    found = channel("x", before, stream, g.random(len(stream)), 5, 0.05)
    assert found.verdict == "fail"
    assert found.highest >= found.limit > found.statistic
    assert found.found_after is not None
    assert 50 < found.found_after <= 80


def test_the_way_of_a_channel_ends_where_it_stands_and_first_reaches_the_limit_where_it_says(records: Engine) -> None:
    g = np.random.default_rng(1)
    watch(records, [case(g) for _ in range(100)] + [case(g, light=0.2) for _ in range(60)])
    with reading(records) as connection:
        found = {one.channel.name: one for one in courses(connection, KNOWN, SETTINGS)}
    assert tuple(found) == KNOWN.channels
    light = found["picture/ct/brightness"]
    assert len(light.statistic) == light.channel.n == 100
    assert light.statistic[-1] == pytest.approx(light.channel.statistic)
    assert light.statistic.max() == pytest.approx(light.channel.highest)
    assert int(np.flatnonzero(light.statistic >= light.channel.limit)[0]) + 1 == light.channel.found_after
    assert len(course("x", np.zeros(0), np.zeros(3), np.zeros(3), 1, 0.05).statistic) == 0, "nothing to hold against"
