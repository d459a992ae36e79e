"""Stand-ins of test cases, by which a test set is known again under another name, in another order, in another file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from insula.core.provenance import sha256_text
from insula.core.types import Case
from insula.evaluate import files
from insula.evaluate.facts import Facts
from insula.evaluate.files import Hashes

_PART = 0.5  # of the smaller test set, that must stand in the other under the same names
_FEW = 10  # cases: labels of fewer may agree by chance
_ALIKE = 0.8  # Cohen's kappa of the labels of two such sets


@dataclass(frozen=True)
class Marks:
    """What the cases are → what their labels are; both the first digits of SHA-256, so that nobody is named.

    cases: by the bytes of their files; by key and patient where a file is not at hand. names: by key alone. whole:
    every case of `cases` stands there by its bytes.
    """

    cases: Mapping[str, str]
    names: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False


def of(cases: Sequence[Case], facts: Facts, found: Hashes) -> Marks:
    """The marks of cases. found: SHA-256 of their files."""
    labels = [_mark(sorted(case.labels.get(facts.target, ()))) for case in cases]
    by_bytes = [files.of_case(case, found) for case in cases]
    whole = [by or (case.key, case.patient) for by, case in zip(by_bytes, cases, strict=True)]
    return Marks(
        dict(zip(map(_mark, whole), labels, strict=True)),
        dict(zip((_mark((case.key,)) for case in cases), labels, strict=True)),
        all(by_bytes),
    )


def shared(before: Marks, here: Marks, own: bool) -> int:
    """How many cases two test sets have in common.

    own: both were read through one table, where a case's name says which it is. Elsewhere another test set may have the
    same names (1, 2, 3), and these count only where half of the smaller set has them and the labels agree as those of
    the same cases do, and names without patients only from 10 cases on; bytes of files always count.
    """
    by_bytes, by_name = (len(set(a) & set(b)) for a, b in _both(before, here))
    if own:
        return max(by_bytes, by_name)
    sure = by_bytes if before.whole or here.whole else 0
    named = _alike(before.names, here.names)
    return max(sure, _alike(before.cases, here.cases), named if named >= _FEW else 0)


def sides(before: Marks, here: Marks) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The stand-ins of both by which they have the most cases in common."""
    by_bytes, by_name = _both(before, here)
    more = len(set(by_name[0]) & set(by_name[1])) > len(set(by_bytes[0]) & set(by_bytes[1]))
    return by_name if more else by_bytes


def relabelled(before: Mapping[str, str], here: Mapping[str, str]) -> int:
    """Cases in common that have another label, where both name labels alike or the names can be told from the cases."""
    common = sorted(set(before) & set(here))
    words = _words(before, here, common)
    return sum(words[before[one]] != here[one] for one in common)


def _both(before: Marks, here: Marks) -> tuple[tuple[Mapping[str, str], Mapping[str, str]], ...]:
    return (before.cases, here.cases), (before.names, here.names)


def _alike(before: Mapping[str, str], here: Mapping[str, str]) -> int:
    """The cases in common, 0 where names and labels do not tell that they are the same."""
    common = sorted(set(before) & set(here))
    if not common or len(common) < _PART * min(len(before), len(here)):
        return 0
    words = _words(before, here, common)
    old, new = [words[before[one]] for one in common], [here[one] for one in common]
    share = {label: new.count(label) / len(new) for label in set(new)}
    by_chance = sum(old.count(label) / len(old) * part for label, part in share.items())
    agree = sum(a == b for a, b in zip(old, new, strict=True)) / len(common)
    if by_chance == 1.0:  # one class alone tells nothing
        return len(common) if set(before) == set(here) else 0
    return len(common) if (agree - by_chance) / (1.0 - by_chance) >= _ALIKE else 0


def _words(before: Mapping[str, str], here: Mapping[str, str], common: Sequence[str]) -> dict[str, str]:
    """Each label of `before` as `here` calls it: itself, or the name, new here, that it mostly stands beside."""
    old, new = {before[one] for one in common}, {here[one] for one in common}
    words = {label: label for label in old}
    for label in old - new:
        beside = Counter(here[one] for one in common if before[one] == label).most_common(1)[0][0]
        words[label] = label if beside in old else beside
    return words


def _mark(parts: Iterable[str]) -> str:
    return sha256_text(parts)[:16]
