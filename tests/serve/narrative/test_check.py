from __future__ import annotations

import pytest
from tests.serve.narrative.made_record import EVERY, full, labels, plain, rejected

from insula.serve.narrative.catalogue import LANGUAGES, Language
from insula.serve.narrative.check import Refusal, Told, check, check_sentence
from insula.serve.narrative.facts import Fact, Facts, facts_of
from insula.serve.narrative.record import CaseRecord, Hottest

pytestmark = pytest.mark.serve


def cited(record: CaseRecord, *keys: str, language: Language = "en") -> list[Fact]:
    """The first fact of each key; `probability.2` is the second of its key."""
    found = []
    for key in keys:
        name, _, place = key.rpartition("#")
        same = [f for f in facts_of(record, language).all if f.key == (name or key)]
        found.append(same[int(place) - 1 if name else 0])
    return found


def rule(text: str, *keys: str, record: CaseRecord | None = None, language: Language = "en") -> str | None:
    return check_sentence(text, cited(record or full(), *keys, language=language), language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", EVERY)
def test_the_template_itself_passes_in_every_language(name: str, language: Language) -> None:
    facts = facts_of(EVERY[name](), language)
    assert check([Told(f.masked, (f.number,)) for f in facts.sent], facts) is None


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("The decision is to refer this case; it is a person who has to look at it.", ("decision.refer",)),
        ("For C1 there is a probability of 0.08.", ("probability",)),
        ("For C1 there is a probability of 8%.", ("probability",)),
        ("C1 is at a probability of 8% (0.08).", ("probability",)),
        ("At 0.080, there is the probability of C1.", ("probability",)),
        ("The probability of C1 is 0.08 (8%), that of C2 is 0.30 (30%) and that of C3 0.62.",
         ("probability", "probability#2", "probability#3")),
        ("The probabilities are 0.08 for C1, 0.30 for C2 and 0.62 for C3.",
         ("probability", "probability#2", "probability#3")),
        ("The answer of the model is C3, with a confidence in this answer of 62%.", ("answer", "confidence")),
        ("The prediction set includes C2 and C3.", ("set",)),
        ("THE RECORDED SIDE IS LEFT.", ("side.left",)),
    ],
)  # fmt: skip
def test_words_that_join_and_orders_that_change_nothing_pass(text: str, keys: tuple[str, ...]) -> None:
    assert rule(text, *keys) is None


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("The probability of C1 is 0.09 (8%).", "number"),
        ("The probability of C1 is 0.8.", "number"),
        ("The probability of C1 is 0.081.", "number"),
        ("The probability of C1 is 80%.", "number"),
        ("The probability of C1 is 8.", "number"),
        ("The probability of C1 is 0.08%.", "number"),
        ("The probability of C1 is -0.08.", "number"),
        ("The probability of C1 is 0,08.", "number"),
        ("The probability of C1 is 0.08 to 0.12.", "number"),
        ("The probability of C1 is 0.08.5.", "number"),
        ("The probability of C1 is 0.08mm.", "number"),
        ("The probability of C1 is 8e-2.", "number"),
        ("The probability of C1 is eight percent.", "number"),
        ("The probability of C1 is seven in hundred.", "number"),
        ("The probability of C1 is 0.08 in half of the scans.", "number"),
        ("The probability of C1 is ½.", "character"),
        ("The probability of C1 is ０.０８.", "character"),
        ("The probability of C1 is ٠٫٠٨.", "character"),
        ("The probability of C1 is 0.0\u200b8.", "character"),
        ("The prob\u0430bility of C1 is 0.08.", "character"),
        ("The probability of C1 is 0.08\u202e.", "character"),
        ("The probability of C1 is 0.08²." , "character"),
        ("The probability of C1 is 0.08\nof C2.", "character"),
        ("The probability of **C1** is 0.08.", "character"),
        ("The probability of [C1](http://a) is 0.08.", "character"),
        ("The probability of <b>C1</b> is 0.08.", "character"),
        ("Is the probability of C1 0.08?", "character"),
        ("The probability of C1 is 0.08!", "character"),
        ("The probability of C1 is 0.08", "form"),
        ("The probability of C1 is 0.08. It is.", "form"),
        (".", "form"),
        ("", "form"),
        ("The probability of C1 is " + "the " * 100 + "0.08.", "length"),
        ("The probability of C1 on the left is 0.08.", "side"),
        ("The probability of C1 in the right frontal lobe is 0.08.", "side"),
        ("The probability of bilateral C1 is 0.08.", "side"),
        ("The probability of C2 is 0.08.", "class"),
        ("The probability of C9 is 0.08.", "class"),
        ("The probability of R1 is 0.08.", "class"),
        ("The probability of malignant is 0.08.", "class"),
        ("The probability of stroke C1 is 0.08.", "class"),
        ("The probability of C1 is not 0.08.", "negation"),
        ("There is no probability of C1, 0.08.", "negation"),
        ("For Yılmaz the probability of C1 is 0.08.", "character"),
        ("For Mehmet the probability of C1 is 0.08.", "name"),
        ("Please see that the probability of C1 is 0.08.", "name"),
        ("The probability of C1 is only 0.08.", "word"),
        ("The probability of C1 is at least 0.08.", "word"),
        ("The probability of C1 is high, 0.08.", "word"),
        ("The probability of C1 should be 0.08.", "word"),
        ("The confidence of C1 is 0.08.", "word"),
        ("The probability is 0.08.", "order"),
        ("The probability of C1 is low.", "word"),
        ("The probability of C1.", "order"),
        ("The probability of C1 has to be 0.08.", "word"),
        ("The probability of C1 is 0.08 for a person named Mehmet on the left.", "side"),
        ("The probability of C1 is from 0.08.", "word"),
        ("The probability of C1 was 0.08.", "word"),
        ("The probability of C1 is 0.08:8%.", "form"),
        ("The probability of C1 is 0.08 and 0.08.", "order"),
        ("The probability of C1 is 8% and 0.08 and 8%.", "order"),
        ("The probability of C1 of C1 is 0.08.", "order"),
    ],
)  # fmt: skip
def test_a_sentence_about_one_figure_can_say_nothing_else(text: str, want: str | None) -> None:
    assert rule(text, "probability") == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("Olasılık, C1 sınıfı ise 0,08 (%8).", None),
        ("C1 sınıfının olasılığı %8 olarak ve 0,08.", None),
        ("C1 sınıfı ise 0,08 olasılıkla.", None),
        ("C1 sınıfının olasılığı 0.08.", "number"),
        ("C1 sınıfının olasılığı 8%.", "number"),
        ("C1 sınıfının olasılığı 0,09.", "number"),
        ("C1 sınıfının olasılığı yedi.", "number"),
        ("C1 sınıfının olasılığı yüzde sekiz.", "number"),
        ("C1 sınıfının olasılığı solda 0,08.", "side"),
        ("C1 sınıfının olasılığı iki taraflı 0,08.", "side"),
        ("C1 sınıfının olasılığı 0,08 değil.", "negation"),
        ("C1 sınıfının olasılığı yok, 0,08.", "negation"),
        ("Kanama sınıfının olasılığı 0,08.", "class"),
        ("Ayşe ile C1 sınıfının olasılığı 0,08.", "name"),
        ("C1 sınıfının olasılığı 0,08 olmalı.", "word"),
    ],
)
def test_the_same_holds_in_turkish(text: str, want: str | None) -> None:
    assert rule(text, "probability", language="tr") == want


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("The probability of C1 is 0.30 and of C2 0.08.", ("probability", "probability#2")),
        ("The probability of C2 is 0.30 and of C1 0.08.", ("probability", "probability#2")),
        ("The probabilities of C1 and C2 are 0.08 and 0.30.", ("probability", "probability#2")),
        ("The confidence in this answer is 0.62 and C3 is the answer of the model.", ("answer", "confidence")),
        ("A reason for this decision: the limit 0.62 is below the confidence 0.70.", ("reason.below",)),
        ("A reason for this decision: the confidence 0.70 is below the limit 0.62.", ("reason.below",)),
        ("The training scan is farther from the scans than 97% of the validation scans.", ("domain",)),
        ("A reviewer agreed with the answer.", ("review.disagree",)),
        ("A reviewer did agree with the answer.", ("review.disagree",)),
        ("A warning about the scan: left and right are certain.", ("warning",)),
        ("The decision is to refer the case: a person has to look.", ("decision.refer", "answer")),
    ],
)
def test_a_sentence_that_swaps_drops_or_turns_is_refused(text: str, keys: tuple[str, ...]) -> None:
    assert rule(text, *keys) is not None


def test_a_figure_that_stands_twice_is_two() -> None:
    record = full(hottest=(Hottest("mri", "malignant", (1, 2)),))
    fact = next(f for f in facts_of(record).all if f.key == "hottest")
    assert fact.masked.endswith("counted from 1: 1 and 2.")
    assert check_sentence(fact.masked, [fact], "en") is None
    for text in ("counted from 1: 2.", "counted from 1: 1.", "counted from 2: 1 and 1.", "counted from 1: 2 and 1."):
        assert check_sentence(fact.masked.replace("counted from 1: 1 and 2.", text), [fact], "en") == "order"


def test_a_denial_cannot_be_moved_dropped_or_added() -> None:
    record = labels()
    assert rule("The model does not call C1 present.", "answer.absent", record=record) is None
    assert rule("The model does call C1 present.", "answer.absent", record=record) == "order"
    assert rule("The model does call C1 not present.", "answer.absent", record=record) == "order"
    accept = plain()
    assert rule("The decision is not to accept the answer.", "decision.accept", record=accept) == "negation"
    stop = rejected()
    assert rule("The decision is to reject the scan: there is an answer.", "decision.reject", record=stop) == "order"
    assert rule("The decision is to reject the answer: there is no scan.", "decision.reject", record=stop) == "order"


@pytest.mark.parametrize("name", EVERY)
def test_decisions_reasons_warnings_reviews_and_denials_stand_alone(name: str) -> None:
    facts = facts_of(EVERY[name]())
    begin = ("decision", "reason", "warning", "review", "answer.absent", "set.empty")
    single = {f.number for f in facts.sent if f.key.startswith(begin)}
    assert {f.number for f in facts.sent if f.alone} == single
    assert not [f.text for f in facts.sent if not f.alone and {"not", "no", "without"} & set(f.text.split())]
    one, other = facts.sent[:2]
    joined = f"{one.masked.removesuffix('.')}, and {other.masked}"
    assert check_sentence(joined, [one, other], "en") == "facts"


def test_only_facts_that_were_sent_and_each_once_may_be_cited() -> None:
    facts = facts_of(plain())
    by_key = {f.key: f for f in facts.all}
    good = [Told(f.masked, (f.number,)) for f in facts.sent if f.must]
    assert check(good, facts) is None
    ours = Told(by_key["limits"].masked, (by_key["limits"].number,))
    for bad in (ours, Told("It is.", (99,)), Told("It is.", (0,)), Told("It is.", (-1,)), Told("It is.", ())):
        assert check([*good, bad], facts) == Refusal("facts", len(good) + 1)
    assert check([*good, good[0]], facts) == Refusal("facts", len(good) + 1)
    assert check([Told(good[0].text, good[0].facts * 2), *good[1:]], facts) == Refusal("facts", 1)


@pytest.mark.parametrize("name", EVERY)
def test_a_text_that_leaves_out_what_has_to_be_told_is_refused(name: str) -> None:
    facts = facts_of(EVERY[name]())
    for left in (f for f in facts.sent if f.must):
        rest = [Told(f.masked, (f.number,)) for f in facts.sent if f is not left]
        assert check(rest, facts) == Refusal("missing")


def test_what_need_not_be_told_may_be_left_out() -> None:
    facts: Facts = facts_of(full())
    assert [f.key for f in facts.sent if not f.must] == ["spread", "spread", "draws", "head.hazard"]
    assert check([Told(f.masked, (f.number,)) for f in facts.sent if f.must], facts) is None
