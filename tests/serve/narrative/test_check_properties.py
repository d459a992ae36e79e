"""What holds of the check for any change of a text, not for the ones that somebody thought of."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serve.narrative.made_record import EVERY
from tests.serve.narrative.stub import pairs

from insula.serve.narrative import figures
from insula.serve.narrative.catalogue import LANGUAGES, Language
from insula.serve.narrative.check import Told, check, check_sentence
from insula.serve.narrative.facts import Fact, facts_of
from insula.serve.narrative.vocabulary import FUNCTION, NAMED, SAME, listed

pytestmark = pytest.mark.serve

FACTS = {(name, lang): facts_of(make(), lang) for name, make in EVERY.items() for lang in LANGUAGES}
sentences = st.sampled_from([(lang, fact) for (_, lang), facts in FACTS.items() for fact in facts.sent])
NAMED_WORDS = {language: frozenset[str]().union(*NAMED[language].values()) for language in LANGUAGES}
places = st.integers(0, 60)
quick = settings(deadline=None, max_examples=300, derandomize=True)


def put(text: str, word: str, place: int) -> str:
    """The sentence with a word between two of its own."""
    words = text.removesuffix(".").split(" ")
    at = place % (len(words) + 1)
    return " ".join([*words[:at], word, *words[at:]]) + "."


def states(fact: Fact, text: str, language: Language) -> bool:
    figure = figures.read(text, language)
    return any(figures.read(w.strip("().,:;"), language) == figure for w in fact.masked.split())


@quick
@given(sentences, st.integers(0, 10_000), places)
def test_no_side_negation_number_word_or_condition_can_be_put_anywhere(
    one: tuple[Language, Fact], which: int, place: int
) -> None:
    language, fact = one
    words = sorted(NAMED_WORDS[language])
    word = words[which % len(words)]
    assert check_sentence(put(fact.masked, word, place), [fact], language) is not None


@quick
@given(sentences, st.decimals(0, 2000, places=3), st.sampled_from(["", "%"]), places)
def test_no_figure_can_be_put_anywhere(one: tuple[Language, Fact], number: object, mark: str, place: int) -> None:
    language, fact = one
    text = str(number).replace(".", ",") if language == "tr" else str(number)
    text = mark + text if language == "tr" else text + mark
    if not states(fact, text, language):
        assert check_sentence(put(fact.masked, text, place), [fact], language) == "number"


@quick
@given(sentences, st.text(string.ascii_letters, min_size=1, max_size=12), places)
def test_no_word_can_be_put_anywhere_but_one_that_joins(one: tuple[Language, Fact], word: str, place: int) -> None:
    language, fact = one
    passes = check_sentence(put(fact.masked, word, place), [fact], language) is None
    assert not passes or word.replace("I", "ı" if language == "tr" else "i").lower() in FUNCTION[language]


@quick
@given(sentences, st.characters(), places)
def test_no_character_beyond_letters_figures_and_marks_can_be_put_anywhere(
    one: tuple[Language, Fact], letter: str, place: int
) -> None:
    language, fact = one
    at = place % len(fact.masked)
    text = fact.masked[:at] + letter + fact.masked[at:]
    if check_sentence(text, [fact], language) is None:
        assert letter in " .,:;()" or letter.isascii() or letter in "ÇĞİÖŞÜçğıöşüÂâÎîÛû"


@quick
@given(sentences, places)
def test_no_word_that_says_something_can_be_left_out(one: tuple[Language, Fact], place: int) -> None:
    language, fact = one
    words = fact.masked.removesuffix(".").split(" ")
    at = place % len(words)
    bare = words[at].strip("().,:;")
    small = (bare.replace("I", "ı").replace("İ", "i") if language == "tr" else bare).lower()
    rest = " ".join([*words[:at], *words[at + 1 :]]) + "."
    twice = figures.read(bare, language) is not None and "%" in fact.masked and fact.key != "domain"
    if small not in FUNCTION[language] and not twice:
        assert check_sentence(rest, [fact], language) is not None


@quick
@given(sentences, sentences)
def test_a_sentence_passes_for_no_other_fact(one: tuple[Language, Fact], other: tuple[Language, Fact]) -> None:
    language, fact = one
    if language == other[0] and fact.masked != other[1].masked:
        assert check_sentence(fact.masked, [other[1]], language) is not None


@quick
@given(st.sampled_from(sorted(FACTS)), st.randoms(use_true_random=False))
def test_facts_may_stand_in_any_order_and_be_joined(key: tuple[str, Language], random: object) -> None:
    facts = FACTS[key]
    told = [f for f in facts.sent if f.must]
    random.shuffle(told)  # type: ignore[attr-defined]
    joined = pairs(told, [f.alone for f in told])
    word = " ve " if facts.language == "tr" else " and "
    text = [
        Told(word.join(f.masked.removesuffix(".") for f in pair) + ".", tuple(f.number for f in pair))
        for pair in joined
    ]
    assert check(text, facts) is None


@quick
@given(sentences, sentences)
def test_two_facts_cannot_trade_their_names_or_figures(
    one: tuple[Language, Fact], other: tuple[Language, Fact]
) -> None:
    (language, first), (_, second) = one, other
    pair = first.masked.split(" "), second.masked.split(" ")
    if language != other[0] or first.key != second.key or len(pair[0]) != len(pair[1]):
        return
    differ = [k for k, (a, b) in enumerate(zip(*pair, strict=True)) if a.strip(".") != b.strip(".")]
    for k in differ[:1] if len(differ) > 1 else ():
        mixed = [*pair[0][:k], pair[1][k], *pair[0][k + 1 :]]
        assert check_sentence(" ".join(mixed), [first], language) is not None


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_that_pass_say_nothing(language: Language) -> None:
    free = FUNCTION[language] | set(SAME[language])
    assert not free & NAMED_WORDS[language]
    assert not set(SAME[language].values()) & NAMED_WORDS[language]
    assert not set(SAME[language].values()) & set(SAME[language])
    spoken = listed("""
        to from by so as then because have has had was were be if but or only may might could should must would more
        less most about nearly all any some you your please than above below before after against probably certain
        için göre çünkü ama fakat veya ancak belki daha az çok tüm her en kadar yaklaşık gerek lütfen eğer
    """)
    assert not FUNCTION[language] & spoken


@pytest.mark.parametrize("language", LANGUAGES)
def test_free_facts_hold_one_figure_and_no_denial(language: Language) -> None:
    for (_, lang), facts in FACTS.items():
        for fact in facts.all:
            if lang == language and fact.free:
                words = {w.strip("().,:;").lower() for w in fact.masked.split()}
                assert not words & NAMED[language]["negation"]
                assert sum(figures.read(w, language) is not None for w in words) == 2
