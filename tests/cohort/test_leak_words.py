from __future__ import annotations

from insula.cohort.leak_words import kinds, steps, unknown
from insula.cohort.leaks import LeakReport, Pair


def pair(kind: str, number: int, clash: bool = False, crosses: bool = True) -> Pair:
    splits = ("train", "test" if crosses else "train")
    return Pair(kind, f"a{number}", f"b{number}", splits, 1.0, clash, f"p{number}")


def report(*pairs: Pair, split: bool = True, patient_ids: bool = True, skipped: int = 0) -> LeakReport:
    def count(kind: str) -> int:
        return sum(p.kind == kind and p.crosses for p in pairs)

    alike = [p for p in pairs if p.kind in ("identical", "near")]
    return LeakReport(
        split=split,
        patient_ids=patient_ids,
        patients=count("patient"),
        studies=count("study"),
        identical=count("identical"),
        identical_groups=count("identical"),
        near=count("near"),
        inside=sum(not p.crosses for p in alike),
        clashes=sum(p.clash for p in alike),
        looked_at=9,
        pictures=9,
        skipped=skipped,
        pairs=pairs,
        groups=(),
    )


def test_one_and_several_are_said_rightly_and_the_first_are_named() -> None:
    one = report(pair("patient", 1), pair("identical", 2), pair("near", 3, crosses=False), skipped=1)
    assert [kind.line for kind in kinds(one)] == [
        "1 patient stands in two splits: p1",
        "1 pair of identical files across splits, in 1 group: a2 and b2",
        "1 pair of copies not across splits, of different patients: a3 and b3",
        "1 case could not be read",
    ]
    many = report(*(pair("near", k) for k in range(5)), *(pair("study", k) for k in (6, 7)), skipped=2)
    assert [kind.line for kind in kinds(many)] == [
        "2 studies stand in two splits under two patients: a6 and b6; a7 and b7",
        "5 pairs of near-duplicate pictures across splits: a0 and b0; a1 and b1; a2 and b2; and 2 more",
        "2 cases could not be read",
    ]
    unknown_patients = report(pair("near", 1, crosses=False), patient_ids=False)
    assert kinds(unknown_patients)[0].text == "1 pair of copies not across splits, of different cases"


def test_each_step_is_said_once_and_the_wider_one_holds_the_narrower() -> None:
    both = steps(report(pair("patient", 1), pair("identical", 2), pair("near", 3)))
    assert len(both) == 1
    assert "--keep-duplicates-together" in both[0]
    (alone,) = steps(report(pair("patient", 1)))
    assert "--keep-duplicates-together" not in alone
    assert "labels_clash" in steps(report(pair("near", 1, clash=True)))[1]
    assert steps(report()) == ()


def test_why_nobody_can_tell_is_said() -> None:
    assert unknown(report()) == ()
    texts = unknown(report(split=False, patient_ids=False, skipped=1))
    assert [text.split(":")[0] for text in texts] == [
        "the cohort is not split yet",
        "patients are not known",
        "cases that cannot be read were not compared",
    ]


def test_long_names_keep_their_end() -> None:
    long = Pair("near", "x" * 80 + "/1.png", "b", ("train", "test"), 1.0, False, "")
    (kind,) = kinds(report(long))
    assert kind.which == ("..." + "x" * 51 + "/1.png and b",)
