"""What a record can say of the study and its data; what it cannot say is left to the author, never made up."""

from __future__ import annotations

from insula.report import words
from insula.report.checklist.answer import Answer, bundles, cases, failed, recipe_of, told, trained_on
from insula.report.record import Record


def purpose(r: Record) -> Answer | None:
    """The question of the recipe; predictions that came without their model have none."""
    if not r.get("model"):
        return None
    return Answer(
        f"The question asked: {words.sentence(r['facts']['question'])}", "background, clinical role and intended users"
    )


def objective(r: Record) -> Answer | None:
    """What was to be judged, from the plan where there is one."""
    looks = r.get("looks")
    known = r.get("model") or bundles(r)
    judged = f"answers to '{r['facts']['question']}'" if known else "predictions made elsewhere"
    asked = f"To judge {judged} on {cases(r)}."
    if looks:
        asked += f" Primary figure, set down beforehand: {words.primary(looks['plan']['primary'])}."
    return Answer(asked, "hypotheses")


def goal(r: Record) -> Answer | None:
    """Evaluation of a model, internal or external."""
    site = r.get("site") or {"standing": "not known"}
    return Answer(f"Evaluation of a trained model; standing of the test cases: {site['standing']}.", "the study's aim")


def sources(r: Record) -> Answer | None:
    """The cohort's name and its sites."""
    source, site = r.get("source") or {}, r.get("site")
    if not source.get("cohort"):
        return None
    text = f"Test cases: cohort '{source['cohort']}', split '{source.get('split', '')}'."
    if site and site["sites"]:
        text += f" Patients by site: {words.flat(site['sites'])}."
    return Answer(text, "where, when and why the data were collected, and whom they represent")


def centres(r: Record) -> Answer | None:
    """The sites that the test cases name."""
    site = r.get("site")
    if not site or not site["sites"]:
        return None
    return Answer(f"Test patients by site: {words.flat(site['sites'])}.", "setting and location of the centres")


def eligibility(r: Record) -> Answer | None:
    """What the program left out; whom the study let in is not in the record."""
    return Answer(f"Judged: {cases(r)}. {failed(r)}", "who was eligible")


def preparation(r: Record) -> Answer | None:
    """The preparation steps of each input with their parameters."""
    recipe = recipe_of(r)
    if not recipe:
        return None
    steps = [
        f"{role} ({section['modality']}): "
        + "; ".join(f"{s['name']} {words.flat(s['params'])}" if s["params"] else s["name"] for s in section["prep"])
        for role, section in recipe["inputs"].items()
    ]
    return Answer(". ".join(steps) + ".")


def missing(r: Record) -> Answer | None:
    """What became of cases that could not be read and of empty clinical cells."""
    recipe = recipe_of(r)
    said = [failed(r), *(words.sentence(note) for note in r["notes"] if "without a label" in note)]
    if (recipe or {}).get("clinical"):
        said.append("An empty clinical cell is given to the network as a missing value.")
    return Answer(" ".join(said), "data missing beside these")


def modality(r: Record) -> Answer | None:
    """The modality of each input."""
    recipe = recipe_of(r)
    if not recipe:
        return None
    return Answer(
        "; ".join(f"{role}: {s['modality']}" for role, s in recipe["inputs"].items()) + ".",
        "scanners and acquisition protocol",
    )


def outcome(r: Record) -> Answer | None:
    """Target, classes and the positive one."""
    facts = r["facts"]
    text = f"'{facts['target']}' with the classes {', '.join(facts['classes'])}; positive: {facts['positive']}."
    return Answer(text, "how and when it was assessed, and why it was chosen")


def variability(r: Record) -> Answer | None:
    """Agreement among readers, where there were some."""
    readers = r.get("readers")
    if not readers:
        return None
    between = [f"{pair}: {told(f)}" for pair, f in readers["between"].items()]
    if readers["fleiss"]:
        between.append(f"all (Fleiss): {told(readers['fleiss'])}")
    return Answer("Kappa between readers: " + "; ".join(between) + ".", "who they are") if between else None


def partitions(r: Record) -> Answer | None:
    """How cases came into train, val and test."""
    source, trained = r.get("source") or {}, trained_on(r)
    if not source.get("split_level"):
        return None
    text = f"Split by {source['split_level']}; judged on '{source.get('split', '')}' ({cases(r)})."
    if trained:
        text += f" Trained and validated on {trained['patients']:,} patients."
    return Answer(text)


def disjoint(r: Record) -> Answer | None:
    """Patients, files and pictures that stand in training and here, as the guards found."""
    found = [g for g in r.get("guards") or () if g["name"] in ("split", "patients", "files", "pictures")]
    if not found:
        return partitions(r)
    return Answer("; ".join(f"{g['name']}: {g['verdict']}, {words.clause(g['finding'])}" for g in found) + ".")


def size(r: Record) -> Answer | None:
    """How many were judged; how many were intended is not in the record."""
    return Answer(f"Judged: {cases(r)}.", "the intended sample size and how it was arrived at")


def events(r: Record) -> Answer | None:
    """Patients and events of training, validation and test."""
    parts = [f"evaluation: {cases(r)}"]
    trained, metrics = trained_on(r), (r.get("model") or {}).get("metrics") or {}
    if trained:
        classes = words.flat(trained["training_cases_by_class"])
        parts.append(f"development: {trained['patients']:,} patients, training cases by class: {classes}")
    if "validation" in metrics:
        parts.append(f"validation: {words.flat(metrics['validation'])}")
    return Answer("; ".join(parts) + ".")


def differences(r: Record) -> Answer | None:
    """Whether sites are shared, and how unlike the scans are."""
    site, domain = r.get("site"), r.get("domain")
    said = [words.sentence(site["reason"])] if site else []
    if domain:
        far = words.percent(domain["beyond_limit"]["value"])
        said.append(f"{far} of the scans are further from the training data than the policy allows.")
    return Answer(" ".join(said), "differences of eligibility, outcome and predictors") if said else None
