"""Write docs/results/localisation.md: where heat maps lie, whether covering the heat counts, whether the maps can fail.

    .venv/bin/python scripts/localisation_results.py --work runs/localisation [--folds runs/stroke-ct/by-patient]

Trains small networks on made patients (kept in the work folder; about eight minutes of one core) and judges their maps
on patients that they never saw. --folds: a cross-validation of stroke_ct by patient, for the part on real pictures.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from localisation_models import SIZE, SLAB, STUDIES, bundle, cohort
from numpy.typing import NDArray

from insula.bundle.load import load
from insula.bundle.patients import hash_patient
from insula.bundle.types import Bundle
from insula.cohort.index import survey_cohort
from insula.core.types import Cohort
from insula.evaluate import localisation
from insula.evaluate.maps import Check, MapsReport
from insula.evaluate.outcome import EvaluationReport, LesionFigures
from insula.evaluate.run import evaluate
from insula.metrics import maps, resample
from insula.metrics.intervals import Figure
from insula.workflows.maps import Wanted, score

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data" / "stroke_ct"
Floats = NDArray[np.float64]
OTHERS = ("grad_cam_pp", "guided_backprop")


def said(figure: Figure | None, percent: bool = True) -> str:
    """A figure with its interval; a dash where it is not defined."""
    if figure is None or not np.isfinite(figure.value):
        return "–"
    scale, digits = (100, 0) if percent else (1, 2)

    def told(x: float) -> str:
        return f"{scale * x:.{digits}f}".replace("-", "−")

    ends = f" ({told(figure.interval[0])} to {told(figure.interval[1])})" if figure.interval else ""
    return f"{told(figure.value)}{'%' if percent else ''}{ends}"


def rows(study: str, lesions: Sequence[LesionFigures]) -> list[str]:
    """Lines of the table of lesions."""
    return [
        f"| {study} | {one.map_of} | {one.lesion or 'all'} | {one.n} | {said(one.iou)} | {said(one.pointing)} | "
        f"{said(one.inside)} | {said(one.near)} | {said(one.outside)} | {100 * one.chance['lesion']:.1f}% | "
        f"{100 * one.chance['lesion_in_region']:.1f}% | {100 * one.chance['outside']:.0f}% |"
        for one in lesions
    ]


def by_attribute(report: MapsReport, table: Cohort, column: str) -> list[LesionFigures]:
    """The figures by what an attribute of the case says of its lesion, which the question does not ask for."""
    told = {case.key: case.attributes.get(column, "") for case in table.cases}
    held = pd.DataFrame(
        [
            {"patient": one.patient, "kind": told[one.case]} | localisation.of_spot(one.spot, one.region)
            for one in report.cases
            if one.spot is not None
        ]
    )
    name = str(report.facts["class"])
    return [localisation.of_rows(held[held["kind"] == kind], name, str(kind)) for kind in sorted(set(held["kind"]))]


def effects(name: str, report: MapsReport) -> list[str]:
    """Lines of the table of curves."""
    found = []
    for what in ("deletion", "insertion"):
        one = getattr(report, what)
        ends = " to ".join(said(replace(end, interval=None), False) for end in report.ends)
        cells = (ends, said(one.area, False), said(one.area_random, False), said(one.gain, False))
        found.append(f"| {name} | {report.facts['method']} | {report.facts['cases']} | {what} | {' | '.join(cells)} |")
    return found


def checked(name: str, checks: Sequence[Check]) -> list[str]:
    """Lines of the table of networks that know nothing."""
    return [
        f"| {name} | {c.name} | {said(c.similarity, False)} | {c.flat} | {_of(c, 'iou')} | "
        f"{_of(c, 'pointing')} | {_of(c, 'inside')} |"
        for c in checks
    ]


def _of(check: Check, name: str) -> str:
    return said(getattr(check.figures, name) if check.figures else None)


def held_out(home: Path) -> tuple[Bundle, Cohort]:
    """A fold's bundle, and the real patients that it did not see as its test split."""
    model = load(home)
    base, table = model.baseline, survey_cohort(REAL, model.recipe).cohort
    seen = {c.patient for c in table.cases if hash_patient(base.salt, c.patient) in base.patients}
    cases = tuple(replace(c, split="test") for c in table.cases if c.patient not in seen)
    return model, replace(table, cases=cases)


def real(folder: Path) -> list[str]:
    """Where the heat of real networks lies on pictures of patients that they did not see."""
    lines = [
        "| fold | pictures called stroke | patients | heat in the head | the head's share | deletion gain "
        "| insertion gain | rank correlation, weights drawn anew |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for home in sorted(folder.glob("fold-*/bundle")):
        found = score(*held_out(home), Wanted(most=100, draws=1), threads=1)
        drawn = ", ".join(said(c.similarity, False) for c in found.random)
        lines.append(
            f"| {home.parent.name} | {found.facts['cases']} | {found.facts['patients']} | {said(found.within)} | "
            f"{100 * found.within_chance:.0f}% | {said(found.deletion.gain, False)} | "
            f"{said(found.insertion.gain, False)} | {drawn} |"
        )
        print(lines[-1], flush=True)
    return [*lines, ""]


def coverage(samples: int = 400) -> str:
    """How often the interval of a mean share holds the truth, beside the bootstrap's, in simulated samples."""
    g = np.random.default_rng(0)
    draws: tuple[tuple[float, Callable[[int], Floats]], ...] = (
        (0.2, lambda n: g.beta(1, 4, n)),
        (1 / 3, lambda n: g.beta(0.6, 1.2, n)),
        (0.7 / 3, lambda n: np.where(g.random(n) < 0.3, 0.0, g.beta(2, 4, n))),
        (6 / 6.8, lambda n: g.beta(6, 0.8, n)),
    )
    ours, theirs = [], []
    for truth, draw in draws:
        for n in (5, 10, 20, 60):
            held: list[tuple[bool, bool]] = []
            for _ in range(samples):
                v, patients = draw(n), np.arange(n).astype(str)
                one = maps.mean(v, patients, "").interval
                other = resample.figure("mean share", partial(_weighted, v), patients, n, "", 400).interval
                held.append(tuple(bool(e and e[0] <= truth <= e[1]) for e in (one, other)))  # type: ignore[arg-type]
            ours.append(np.mean([a for a, _ in held]))
            theirs.append(np.mean([b for _, b in held]))
    held_by = [f"{min(rates):.0%} to {max(rates):.0%}" for rates in (ours, theirs)]
    return (
        f"In {samples} simulated samples each of 5, 10, 20 and 60 patients, of four skewed distributions, it held "
        f"the truth in {held_by[0]}, the BCa bootstrap in {held_by[1]}."
    )


def _weighted(values: Floats, weights: Floats) -> Floats:
    found: Floats = weights @ values / weights.sum(axis=1)
    return found


def networks(found: Sequence[tuple[str, EvaluationReport]]) -> list[str]:
    """How well the networks answer at all."""
    lines = ["| network | test patients | class | ROC-AUC |", "|---|---|---|---|"]
    for name, report in found:
        for label, figures in report.patient.classes.items():
            auc = figures.figures["roc_auc"]
            lines.append(f"| {name} | {report.patient.patients} | {label} | {said(auc, False)} |")
    return [*lines, ""]


OPENING = f"""# Where heat maps lie

Written by `scripts/localisation_results.py`; the figures come from its run.

Small networks (SimpleCNN, {SIZE}² pixels, largest value over slices, from random weights) on made patients, half of
them to train, a tenth to validate, the others to test. Every case is a slab of {SLAB} slices, around the largest cut
of the lesion or anywhere in a head without one: an easier question than a whole series, since from whole series of so
few patients such a network learns next to nothing. So the figures say what these maps of these networks do, and not
what maps of a good network would.

Intervals: 95% over patients, Wilson's form with the variance of the jackknife.
COVERAGE

What follows. Where a network answers well, the peak of its class map lies in the lesion far more often than by
chance; where it does not (blood in sulci, small haematomas, haemorrhages among strokes) the peak lies elsewhere. Only
about a fifth of the heat lies in a lesion, since a cell sees 18 pixels around it: a peak is worth a look, an outline
is not to be had of these maps. Every map changes when the weights are drawn anew, or the labels shuffled, so that
they can fail; when the heads alone are drawn anew they hardly do, so that the map says where this network's features
fire and little of for which class. Deletion agrees with the maps, except where the cover itself looks like the
disease; insertion does not agree on made patients, where a sharp patch on a blurred head is like nothing that the
network has seen. On the real pictures both agree, and yet no more of the heat lies in the head than by chance: the
maps are true to networks that do not look at the brain, which is what maps are there to show.

## The networks
"""

LESIONS = """## Heat and lesion

True positives. IoU: what is at least half as hot as the map's peak, against the lesion. *Chance*: a map that is the
same all over the scan, or all over the brain (CT) or head (MR); *outside by chance* is what of such a map over the
scan lies beyond brain or head. A mask says where a lesion is, not of which kind: the map of one kind is held against
cases with that kind alone, the map of `any` against all.

A cell of these maps is 4 × 4 pixels, and lies on a grid that lesions do not keep to: an IoU near 1 cannot be had of
lesions of a few cells.
"""

CURVES = """## Deletion and insertion

Pixels are covered with the slice's own blurred picture in the order of the heat (deletion), or shown in that order on
the blurred slice (insertion): area under the probability, beside that of a random order of patches as large as a
cell. *Gain* is above 0 where the heat's order is the better one. The random orders take the pixels first that the
cover changes, so that covering air gains nothing. Where the probability of the covered scan is as high as that of the
whole one, the curves say nothing: so with the stroke network, to which a blurred head is a stroke.
"""

SANITY = """## Can the maps fail?

Rank correlation with the real maps, over the cells in the brain, of networks that do not know the question: weights
drawn anew from the heads down, each row together with all above it; three networks drawn whole; and one trained by
the same recipe on labels shuffled over patients. *Flat*: cases in which one of both maps is the same everywhere.
Beside it where those networks' maps lie.
"""

SEEN = """## Looked at

Made haemorrhages, four of each kind: the heat lies on the lesion as a blob about twice as wide, on epidural and
subdural blood half over the skull beside it, on blood in the ventricles along both of them; of blood in sulci it
marks a part, and in one small haematoma it lay on both temples and not on the blood.

The real GE head (28 slices, 37 on its even grid), by the networks of made patients: `insula explain` rejects it as too
unlike the training scans (4.5 and 4.2 times as far as 95% of validation, 3 being the limit), rightly. The haemorrhage
network's heat lies along the inner side of the vault in the two uppermost slices with brain, where bone cut at a
slant is as bright as blood: no haemorrhage is to be seen there. The stroke network's heat has its peak in one slice,
on a dark patch in the left occipital lobe that looks like an old infarct, with less of it along the ventricles and
towards the left Sylvian fissure, which are dark too; two slices higher the patch is still to be seen and has no heat,
since the largest value over slices lets one slice stand for all.

stroke_ct, networks trained on it, 22 patients that they had not seen (10 with a stroke), their four pictures with the
highest probability of stroke: on next to none does the heat lie on anything that looks like a lesion. It lies in the
air above and below the head as two level bands, at the headrest, under the frontal bone at its midline, and on skull
base and face; many of these pictures are of the face or the vertex, where no stroke can be seen. Patients with and
without a stroke look the same. These maps say that the scores come from the way in which the scans were taken, and
the low ROC-AUC of these networks (`stroke-ct.md`) fits that.
"""


def document(parts: dict[str, list[str]]) -> str:
    """The whole page."""
    order = (
        (OPENING, "networks"),
        (LESIONS, "lesions"),
        (CURVES, "curves"),
        (SANITY, "sanity"),
        (REAL_WORDS, "real"),
        (SEEN, ""),
    )
    lines: list[str] = []
    for text, name in order:
        if name and not parts[name]:
            continue
        told = "\n".join(textwrap.wrap(parts["coverage"][0], 118))
        lines += [text.replace("COVERAGE", told).rstrip(), "", *(parts[name] if name else [])]
        lines += [""] if lines[-1] else []
    return "\n".join(lines).rstrip() + "\n"


REAL_WORDS = """## Real pictures

The five folds of a cross-validation of stroke_ct by patient, each on at most 100 pictures called stroke, of patients
that it did not see. These pictures have no masks: what can be measured is how much of the heat lies in the head at
all.
"""


def main() -> None:
    """Train where needed, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--folds", type=Path, default=ROOT / "runs" / "stroke-ct" / "by-patient")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "localisation.md")
    o = parser.parse_args()
    judged: list[tuple[str, EvaluationReport]] = []
    head = (
        "| network | map of | lesion | n | IoU | peak in lesion | heat in lesion | rest of brain or head | outside | "
        "chance, scan | chance, brain or head | outside by chance |"
    )
    parts: dict[str, list[str]] = {
        "lesions": [head, "|---" * 12 + "|"],
        "curves": [
            "| network | method | cases | | probability, whole to covered | heat's order | random order | gain |",
            "|---" * 8 + "|",
        ],
        "sanity": [
            "| network | weights | rank correlation | flat | IoU | peak in lesion | heat in lesion |",
            "|---" * 7 + "|",
        ],
    }
    for name in STUDIES:
        table = cohort(name, o.work)
        model = bundle(name, o.work, table)
        report = evaluate(model, table, passes=0, replicates=500)
        judged.append((name, report))
        control = bundle(name, o.work, table, shuffled=True) if name == "haemorrhage" else None
        print(f"[{name}] judging maps", flush=True)
        found = score(model, table, Wanted(), control, threads=1)
        if report.localisation:
            parts["lesions"] += rows(name, report.localisation.lesions)
        if name == "stroke":
            parts["lesions"] += rows(name, by_attribute(found, table, "kind"))
        parts["curves"] += effects(name, found)
        cascade = found.cascade if name == "haemorrhage" else ()
        parts["sanity"] += checked(name, (*cascade, *found.random, *([found.shuffled] if found.shuffled else [])))
        for method in OTHERS if name == "haemorrhage" else ():
            print(f"[{name}] {method}", flush=True)
            other = score(model, table, Wanted(method, most=60, draws=1, networks=1), threads=1)
            parts["curves"] += effects(name, other)
            parts["sanity"] += checked(f"{name}, {method}", other.random)
            parts["lesions"] += rows(f"{name}, {method}", other.lesions[:1])
    parts["networks"], parts["coverage"] = networks(judged), [coverage()]
    parts["real"] = real(o.folds) if o.folds.is_dir() and REAL.is_dir() else []
    o.out.write_text(document(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
