"""What a record can say of how the model was judged, and of what came out."""

from __future__ import annotations

from insula.report import words
from insula.report.checklist.answer import Answer, cases, failed, positive, told
from insula.report.record import Record


def summary(r: Record) -> Answer | None:
    """The headline, for an abstract."""
    return Answer(r["headline"], "the abstract itself")


def metrics(r: Record) -> Answer | None:
    """Names of everything that was computed."""
    names = [words.name(k) for k, _ in words.ordered(positive(r)["figures"])]
    return Answer(", ".join(names) + "; ROC and precision-recall curves, reliability diagram, decision curve.")


def statistics(r: Record) -> Answer | None:
    """How the intervals were made."""
    methods = sorted({f["method"] for f in positive(r)["figures"].values() if f["method"]})
    count, seed = r["patient"]["replicates"], r["facts"]["seed"]
    text = f"95% intervals over patients ({', '.join(methods)}; {count:,} bootstrap samples, seed {seed})."
    shuffled = r.get("permutation")
    if shuffled and shuffled["p_value"] is not None:
        text += f" Against shuffled labels: p {words.chance(shuffled['p_value'])}."
    return Answer(text)


def robustness(r: Record) -> Answer | None:
    """Several seeds, where there are several."""
    seeds = r.get("seeds")
    if not seeds:
        return None
    ranges = {k: f"{words.number(s['low'])} to {words.number(s['high'])}" for k, s in seeds["figures"].items()}
    said = ", ".join(f"{words.name(k)} {span}" for k, span in ranges.items())
    return Answer(f"{len(seeds['bundles'])} seeds; range of {said}.", "other analyses of robustness")


def explained(r: Record) -> Answer | None:
    """Heat maps, and how often their peak lies in the lesion."""
    spots = r.get("localisation")
    if not r["gallery"] and not spots:
        return None
    text = "Class maps in closed form (Grad-CAM of the pooled features)."
    if spots:
        chance = words.percent(spots["chance"])
        text += f" Peak inside the lesion in {spots['hits']} of {spots['n']} true positives; by chance {chance}."
        if spots.get("lesions"):
            whole = spots["lesions"][0]
            text += f" IoU {told(whole['iou'])}, share of the heat in the lesion {told(whole['inside'])}."
    return Answer(text)


def internal(r: Record) -> Answer | None:
    """The headline, where the cases come from the training sites."""
    site = r.get("site")
    return Answer(r["headline"]) if site and site["standing"] == "internal" else None


def external(r: Record) -> Answer | None:
    """The headline where the cases come from other sites, else that this was not done here."""
    site = r.get("site")
    if not site or site["standing"] == "not known":
        return None
    if site["standing"] == "external":
        return Answer(f"{r['headline']} {words.sentence(site['reason'])}")
    return Answer(f"Not in this report: {words.clause(site['reason'])}.")


def flow(r: Record) -> Answer | None:
    """Numbers in and out."""
    return Answer(f"Judged: {cases(r)}. {failed(r)}", "who was left out before")


def performance(r: Record) -> Answer | None:
    """The headline."""
    return Answer(r["headline"])


def diagnostic(r: Record) -> Answer | None:
    """Sensitivity, specificity, PPV and NPV with their intervals."""
    figures = positive(r)["figures"]
    said = "; ".join(f"{words.name(k)} {told(figures[k])}" for k in ("sensitivity", "specificity", "ppv", "npv"))
    return Answer(f"{said}.")


def failures(r: Record) -> Answer | None:
    """How many were missed, and where they are listed."""
    c = positive(r)
    shown = "; the most extreme of both with heat maps" if r["gallery"] else ""
    return Answer(f"{c['fn']:,} missed, all listed; {c['fp']:,} false alarms{shown}.", "what they have in common")


def limits(r: Record) -> Answer | None:
    """Guards that did not pass, and notes."""
    weak = [f"{g['name']}: {g['finding']}" for g in r.get("guards") or () if g["verdict"] != "pass"]
    said = [*r["optimistic"], *weak, *words.gathered(n for n in r["notes"] if not n.startswith("Cannot tell"))]
    return (
        Answer("; ".join(dict.fromkeys(map(words.clause, said))) + ".", "the limitations of the study")
        if said
        else None
    )


def implications(r: Record) -> Answer | None:
    """PPV at the stated prevalences."""
    rows = r["prevalence"]
    if not rows:
        return None
    said = "; ".join(f"at {words.percent(x['prevalence'])} PPV {words.percent(x['ppv'][0])}" for x in rows)
    return Answer(f"What an alert means depends on prevalence: {said}.", "the role in practice")


def protocol(r: Record) -> Answer | None:
    """The plan's hash and the count of looks."""
    looks = r.get("looks")
    if not looks:
        return None
    made = looks["plan"]
    plan = f"Plan {words.short(made['hash'])}, written {words.moment(made['time'])}"
    return Answer(f"{plan}. {words.sentence(looks['sentence'])}", "the protocol")


def updating(r: Record) -> Answer | None:
    """The evaluation changes nothing."""
    return Answer("None: thresholds, temperature and prediction sets were not changed by the evaluation.")
