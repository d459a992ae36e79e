"""What a report of leaks says to people: how many of each kind, which, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from insula.cohort.leaks import ONE_PICTURE, LeakReport, Pair

_NAMED = 3
_TWO_PATIENTS = "in two splits under two patients"
_LONGEST = 60
_SPLIT = "insula split COHORT --recipe NAME --out NEW"
_BY_PATIENT = f"`{_SPLIT}` keeps each patient in one split."
_TOGETHER = f"`{_SPLIT} --keep-duplicates-together` keeps each patient and each group of copies in one split."
_LABELS = "Look at the pairs with two labels (labels_clash is 1 in pairs.csv) and correct the wrong ones."
_READ = "`insula check COHORT` says why cases cannot be read."


@dataclass(frozen=True)
class Kind:
    """One kind of what was found. text: a sentence with the count; which: the first of them; step: what to do."""

    text: str
    which: tuple[str, ...]
    left: int
    step: str

    @property
    def line(self) -> str:
        """The sentence with the first ones by name."""
        if not self.which:
            return self.text
        return f"{self.text}: {'; '.join(self.which)}" + (f"; and {self.left:,} more" if self.left > 0 else "")


def kinds(report: LeakReport) -> tuple[Kind, ...]:
    """What was found and is not nothing, the gravest first."""
    groups = f", in {_count(report.identical_groups, 'group')}" if report.identical else ""
    whose = "patients" if report.patient_ids else "cases"
    of = {kind: [p for p in report.pairs if p.kind == kind] for kind in ("patient", "study", "identical", "near")}
    across = {kind: _pairs([p for p in of[kind] if p.crosses]) for kind in of}
    clashing = [p for p in report.pairs if p.clash and p.likeness >= ONE_PICTURE]
    inside = [p for p in (*of["identical"], *of["near"]) if not p.crosses]
    found: list[tuple[int, str, str, Sequence[str], str]] = [
        (report.patients, "patient stands in two splits", "patients stand", _patients(of["patient"]), _BY_PATIENT),
        (report.studies, f"study stands {_TWO_PATIENTS}", "studies stand", _pairs(of["study"]), _BY_PATIENT),
        (report.identical, f"pair of identical files across splits{groups}", "pairs", across["identical"], _TOGETHER),
        (report.near, "pair of near-duplicate pictures across splits", "pairs", across["near"], _TOGETHER),
        (report.clashes, "pair of one picture with different labels", "pairs", _pairs(clashing), _LABELS),
        (report.inside, f"pair of copies not across splits, of different {whose}", "pairs", _pairs(inside), _TOGETHER),
        (report.skipped, "case could not be read", "cases", (), _READ),
    ]
    return tuple(
        Kind(_sentence(count, text, several), tuple(which[:_NAMED]), count - _NAMED if which else 0, step)
        for count, text, several, which, step in found
        if count
    )


def _sentence(count: int, text: str, several: str) -> str:
    """The sentence of one, or with its first words replaced by those of several."""
    return f"{count:,} {text if count == 1 else ' '.join([several, *text.split()[len(several.split()) :]])}"


def unknown(report: LeakReport) -> tuple[str, ...]:
    """Why nobody can tell that there are no leaks, one sentence each; nothing where all could be looked at."""
    said = (
        (not report.split, "the cohort is not split yet: nothing can cross splits"),
        (
            not report.patient_ids,
            "patients are not known: one patient's pictures in two splits cannot be seen unless they are copies",
        ),
        (bool(report.skipped), "cases that cannot be read were not compared"),
    )
    return tuple(text for is_so, text in said if is_so)


def steps(report: LeakReport) -> tuple[str, ...]:
    """What to do next, each step once; keeping copies together keeps patients together too."""
    wanted = list(dict.fromkeys(kind.step for kind in kinds(report)))
    return tuple(step for step in wanted if step != _BY_PATIENT or _TOGETHER not in wanted)


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _patients(pairs: Sequence[Pair]) -> list[str]:
    return [_short(name) for name in dict.fromkeys(p.evidence for p in pairs)]


def _pairs(pairs: Sequence[Pair]) -> list[str]:
    return [f"{_short(p.first)} and {_short(p.second)}" for p in pairs]


def _short(key: str) -> str:
    return key if len(key) <= _LONGEST else f"...{key[3 - _LONGEST :]}"
