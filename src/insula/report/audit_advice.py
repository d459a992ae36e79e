"""What to do next about a finding that failed or could not be told: fixed advice, by the beginning of its check."""

from __future__ import annotations

from collections.abc import Sequence

from insula.report import audit_words
from insula.report.words import Said

# The gravest kinds first: where the figures cannot be believed, nothing else can.
GRAVITY = (
    "evidence",
    "predictions",
    "baselines",
    "background",
    "marks",
    "exchange",
    "heat",
    "skull",
    "subgroups",
    "robustness",
    "labels",
    "calibration",
    "shift",
)
ADVICE = {
    "evidence": "Mend what the guard names and evaluate anew; until then quote no figure.",
    "evidence/split": "Set test patients apart by patient (insula split), train again, and judge on them alone.",
    "evidence/patients": "Give every case its patient's id, split again by patient, train and evaluate anew; quote no "
    "figure until then.",
    "evidence/files": "Find how files of training came among the test cases, split again by patient, and train anew.",
    "evidence/pictures": "Look at the pairs that are named (insula leaks), put copies of one picture on one side of "
    "the split, and train anew.",
    "evidence/threshold": "Choose the threshold on validation patients, never on those it is judged on, and evaluate "
    "anew on patients who had no part in it.",
    "evidence/chance": "A model trained on shuffled labels knows the answers: look for copies of patients across the "
    "split and for answers in the inputs before any figure is believed.",
    "predictions": "Find out of which model and which scans the table of predictions is, or make it anew with this "
    "bundle (insula predict); quote no figure made from it.",
    "predictions/order": "Match each row of the table to its case by its key and never by its place, and evaluate "
    "anew; figures made from the table as it is are void.",
    "baselines": "What needs no sight of the disease tells the classes apart: find out how the classes were gathered, "
    "make them alike in it, and train again.",
    "baselines/metadata": "Find the fact that tells the classes apart, take both classes from the same scanners and "
    "protocols or match the cases on it, and train again.",
    "baselines/border": "Look at the borders of both classes, crop or mask them before anything else, and train again.",
    "background": "Look at what lies beside the head in both classes (table, headrest, field of view), crop to the "
    "head (prep: crop_to_head) or mask the rest, and train again.",
    "marks": "Mask or crop the marks in every picture, of both classes, and train again.",
    "marks/text": "Take the pictures without burned-in text from the archive, or mask or crop it in both classes, and "
    "train again.",
    "marks/outline": "Somebody who knew the answer drew on these pictures: take them without overlays, and train anew.",
    "marks/colour": "Bring all pictures into one colour mode, without coloured marks, and train again.",
    "marks/device": "Look whether implants go along with the class by the way the cases were gathered, balance them, "
    "and train again.",
    "exchange": "The answer follows a region without the disease: mask or crop it in both classes, train again, and "
    "audit again.",
    "exchange/background": "The answer follows what lies beside the head: crop to it (prep: crop_to_head) or mask what "
    "lies around it, and train again.",
    "heat": "Look at the maps (insula maps), crop or mask what lies outside the head, and train again.",
    "skull": "Look at the cases whose answer changes; where the disease does not touch the bone, take it away before "
    "training and use (prep: remove_skull), and train again.",
    "subgroups": "Look at the missed and false cases of the group, compare how it was scanned and labelled, gather "
    "more of it for training, and say in the model card whom the model serves worse.",
    "robustness": "Let training see the disturbance (train.augment), or let the policy refuse scans that are so "
    "disturbed; then audit again.",
    "robustness/slices": "Refuse scans that are not complete, or train with slices left out and thickened; then audit "
    "again.",
    "labels": "Let a second reader who does not see the model's answers read the patients that are listed, correct the "
    "labels, and look for the same mistake in the training labels.",
    "calibration": "Fit the calibration anew on validation patients like those of use (policy.calibration); until then "
    "read the probabilities as an order, and not as chances.",
    "shift": "Say in the model card for whom the figures hold, and evaluate on patients of the place of use.",
    "shift/prevalence": "Read predictive values at the prevalence of the place of use (policy.prevalences), and fit "
    "threshold and calibration there before the probabilities are used.",
    "shift/scale": "Check rescale slope and intercept in the files of that site, correct them, index again, train "
    "and evaluate anew.",
}
OPEN = {
    "chance": "Look again, on other patients, at what lies beyond its limit but may be chance.",
    "plainer": "Read the evidence of what lies beyond its limit for another reason, and look at the cases it names.",
    "wide": "Audit on more patients, above all of the rarer class, until no interval holds its limit any more.",
    "no interval": "Audit on more patients: of these nothing but the value is known.",
    "few": "Gather cases of the groups that are too small (audit.subgroups.events), or say that nothing is known here.",
    "not measured": "Read why it could not be measured, and give the cohort what is missing.",
    "not known": "Give cohort and bundle what they do not tell (patient ids, a split by patient, a plan), and evaluate "
    "anew.",
    "no limit": "Set a limit in the recipe (audit) before looking again, so that the figure can fail.",
}
# Of guards that fail alike, those first that name patients and pictures which were trained on.
_EVIDENCE = ("chance", "pictures", "files", "patients", "threshold", "split", "plan")
_OF_GROUP = (
    "In this group the probabilities are off: look whether it is labelled otherwise, or its disease more or less "
    "common, and do not read them as chances there."
)
OTHERWISE = "Read the evidence on the page, and settle the cause before the model is used any further."
EMPTY = "Run the audit again with checks that can look at these scans: nothing was judged."
NOTHING = "Nothing that was judged asks for a change. Audit again on patients of another site before wider use."


def of_check(check: str) -> str:
    """The advice for a check that failed: that of the longest beginning which is known."""
    if check.startswith("subgroups/") and check.endswith("/calibration"):
        return _OF_GROUP
    known = [prefix for prefix in ADVICE if check.startswith(prefix) and check[len(prefix) :][:1] in ("", "/", "_")]
    return ADVICE[max(known, key=len)] if known else OTHERWISE


def gravest(failed: Sequence[Said], most: int = 5) -> list[Said]:
    """The gravest findings: of each kind, in the order of GRAVITY, the one furthest beyond its limit, then the second…

    Kinds come before numbers, so that twenty weak groups do not hide a leak. A guard that names cases comes before one
    that names none.
    """
    kinds: dict[str, list[Said]] = {}
    for one in failed:
        kinds.setdefault(one["check"].partition("/")[0], []).append(one)
    order = sorted(kinds, key=lambda kind: GRAVITY.index(kind) if kind in GRAVITY else len(GRAVITY))
    ranked = {kind: sorted(kinds[kind], key=_rank) for kind in order}
    deepest = max((len(held) for held in ranked.values()), default=0)
    found = [ranked[kind][place] for place in range(deepest) for kind in order if place < len(ranked[kind])]
    return found[:most]


def _rank(one: Said) -> tuple[float, bool, int]:
    guard = one["check"].partition("/")[2] if one["check"].startswith("evidence/") else ""
    place = _EVIDENCE.index(guard) if guard in _EVIDENCE else len(_EVIDENCE)
    return -audit_words.beyond(one), not (guard and one["value"]), place


def steps(record: Said, most: int = 5) -> list[str]:
    """What to do next, each once: about what failed, the gravest first, then about what could not be told."""
    of = audit_words.of_verdict(record["findings"])
    told = [of_check(one["check"]) for one in gravest(of["fail"], len(of["fail"]))]
    told += [OPEN[kind] for kind in audit_words.by_reason(of["cannot tell"])]
    return list(dict.fromkeys(told))[:most] or [NOTHING if record["findings"] else EMPTY]
