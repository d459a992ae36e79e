from __future__ import annotations

import string

import pytest

from insula.core.errors import UsageError
from insula.report.case import texts
from insula.report.words import REASONS


def holes(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_both_languages_have_every_text_with_the_same_holes() -> None:
    english, turkish = texts.texts("en"), texts.texts("tr")
    assert english.keys() == turkish.keys()
    for key, text in english.items():
        assert holes(text) == holes(turkish[key]), key
        assert text.strip()
        assert turkish[key].strip()
    same = {key for key in english if english[key] == turkish[key]}
    assert same <= {"right", "left", "version", "model_title"}


def test_no_language_beside_these_two() -> None:
    with pytest.raises(UsageError, match=r"does not speak 'de'; choose one of: en, tr"):
        texts.texts("de")


def test_reasons_and_figures_are_named_in_both_languages() -> None:
    assert texts.reason("confidence", "en") == "Confidence below its limit"
    assert all(texts.reason(kind, "tr") != texts.reason(kind, "en") for kind in REASONS)
    assert texts.reason("made_up_kind", "tr") == "Made up kind"
    assert (texts.figure("sensitivity", "en"), texts.figure("sensitivity", "tr")) == ("Sensitivity", "Duyarlılık")
    assert texts.figure("roc_auc", "tr") == "ROC-AUC"
