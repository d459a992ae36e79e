from __future__ import annotations

import string
from dataclasses import replace

import pytest
from tests.serve.narrative.made_record import EVERY, full, labels, plain, rejected

from insula.report.words import REASONS
from insula.serve.narrative.catalogue import LANGUAGES, SENTENCES, WORDS, Language
from insula.serve.narrative.facts import facts_of, template_summary
from insula.serve.narrative.record import OTHER, REASON_KINDS, Hottest, Reason, Reviewed, Verdict, Warned

pytestmark = pytest.mark.serve


def keys(name: str) -> list[str]:
    return [f.key for f in facts_of(EVERY[name]()).all]


def test_an_accepted_case_in_words() -> None:
    assert template_summary(plain()) == (
        "The question put to the model: Does this brain MRI show a tumour, and is it benign or malignant? "
        "The decision is to accept the answer. "
        "The answer of the model is 'malignant'. "
        "The confidence in this answer is 0.87 (87%). "
        "The probability of 'healthy' is 0.04 (4%). "
        "The probability of 'benign' is 0.09 (9%). "
        "The probability of 'malignant' is 0.87 (87%). "
        "The prediction set holds 'malignant'. "
        "The scan is farther from the training scans than 42% of the validation scans. "
        "The model is brain-tumour, bundle 061122740935c411. "
        "Research use only; this text is no diagnosis."
    )


def test_the_same_case_in_turkish() -> None:
    text = template_summary(plain(), "tr")
    assert "Karar: yanıt kabul edildi. Modelin yanıtı 'malignant' sınıfıdır." in text
    assert "Bu yanıtın güven değeri 0,87 (%87)." in text
    assert "Yalnızca araştırma içindir; bu metin bir tanı değildir." in text


def test_labels_that_stand_together_and_are_absent() -> None:
    text = template_summary(labels())
    assert "The model does not call 'any' present. The confidence in this answer is 0.996 (99.6%)." in text
    assert "The probability of 'any' is 0.004 (0.4%). The probability of 'epidural' is 0.00 (0%)." in text
    assert "The probability of 'subdural' is 0.0004 (0.04%)." in text
    assert "The prediction set is empty." in text


def test_a_rejected_scan_has_reasons_and_no_answer() -> None:
    assert keys("rejected") == ["question", "decision.reject", "reason", "warning.none", "model", "limits"]
    text = template_summary(rejected())
    assert "reject the scan: there is no answer. A reason for this decision: the header names another part" in text


def test_stage_and_survival_are_told_only_of_trained_heads() -> None:
    told = template_summary(full())
    assert "By the trained head 'stage', the probability of 'II' is 0.55 (55%)." in told
    assert (
        "By the trained head 'survival', the probability to stay free of the event for 365 days is 0.81 (81%)." in told
    )
    bare = replace(full(), heads=())
    for language in LANGUAGES:
        words = {f.key for f in facts_of(bare, language).all}
        assert not [key for key in words if key.startswith("head")]
    assert "stage" not in template_summary(bare)
    assert "survival" not in template_summary(bare)


def test_names_are_masked_where_a_sentence_may_be_sent() -> None:
    record = full()
    for language in LANGUAGES:
        facts = facts_of(record, language)
        sent = " ".join(f.masked for f in facts.sent)
        held = [*record.classes, "mri", "ct.2", "MR", "stage", "survival'", "volume", record.bundle_id, "brain-tumour"]
        assert [name for name in held if name in sent] == []
        assert not any(note in f.text for f in facts.all for note in record.notes)
        assert [f.key for f in facts.all if not f.sent] == ["question", "model", "limits"]
        assert all(facts.unmask(f.masked) == f.text for f in facts.sent)


def test_facts_are_numbered_from_one_and_found_by_their_number() -> None:
    facts = facts_of(full())
    assert [f.number for f in facts.all] == list(range(1, len(facts.all) + 1))
    assert facts.numbered(2) is facts.all[1]
    assert facts.numbered(0) is facts.numbered(-1) is facts.numbered(len(facts.all) + 1) is None


def test_the_classes_of_two_questions_with_one_name_are_two_masks() -> None:
    record = full(heads=(replace(full().heads[0], values={"malignant": 0.4}),))
    facts = facts_of(record)
    assert sorted(m for m, name in facts.names.items() if name == "malignant") == ["C3", "C4"]


def test_warnings_are_told_by_kind_and_the_report_has_the_others() -> None:
    text = template_summary(plain(warnings=("tilt", "tilt", "other", "other", "other", "units")))
    assert text.count("the slices are tilted") == 1
    assert text.count("Further warnings about the scan stand in the report.") == 1
    assert "the units are not Hounsfield units" in text


def test_where_a_map_is_highest_is_told_by_class_and_scan() -> None:
    record = full(hottest=(Hottest("mri", "benign", (3,)), Hottest("slide", "malignant", (1, 2))))
    text = template_summary(record)
    assert "The map of 'benign' is highest in these slices of the input mri (MR), counted from 1: 3." in text
    assert "of the input slide, counted from 1: 1 and 2." in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_has_words_in_every_language(language: Language) -> None:
    assert set(SENTENCES[language]) == set(SENTENCES["en"])
    assert set(WORDS[language]) == set(WORDS["en"])
    words = WORDS[language]
    assert {f"reason.{kind}" for kind in (*REASONS, OTHER)} == {w for w in words if w.startswith("reason.")}
    kinds: tuple[Warned, ...] = ("sides", "geometry", "tilt", "aside", "units", "spacing", "missing", "clinical")
    assert {f"warning.{kind}" for kind in kinds} == {w for w in words if w.startswith("warning.")}
    for kind in REASON_KINDS:
        text = template_summary(rejected(reasons=(Reason(kind),)), language)
        assert words[f"reason.{kind}"] in text
    verdicts: tuple[Verdict, ...] = ("agree", "disagree", "present", "absent", "undecided")
    for verdict in verdicts:
        named = "benign" if verdict in ("present", "absent") else ""
        assert f"review.{verdict}" in [
            f.key for f in facts_of(plain(reviews=(Reviewed(verdict, named),)), language).all
        ]


@pytest.mark.parametrize("key", sorted(SENTENCES["en"]))
def test_a_sentence_has_the_same_fields_in_every_language(key: str) -> None:
    fields = {
        language: sorted(str(name) for _, name, _, _ in string.Formatter().parse(SENTENCES[language][key]) if name)
        for language in LANGUAGES
    }
    assert fields["en"] == fields["tr"]
    assert len({SENTENCES[language][key] for language in LANGUAGES}) == len(LANGUAGES)
