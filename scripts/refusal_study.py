"""Write docs/results/refusal.md: what is no such scan, and how well it is told from scans that the model was made for.

    .venv/bin/python scripts/refusal_study.py --work runs/uncertainty [--folds runs/stroke-ct/by-patient]

Takes the ensembles on made patients that scripts/uncertainty_study.py trains in the same work folder, or trains them.
--folds: a cross-validation of stroke_ct by patient, for the part on real pictures.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from phantom_models import bundle, cohort

from insula.bundle.load import load
from insula.cohort.index import survey_cohort
from insula.cohort.split import folds as make_folds
from insula.core.errors import UnsuitableScanError
from insula.core.types import Case, Cohort, Split, Volume
from insula.infer import domain_fit, domain_scale, suitable_statistics
from insula.infer.decide import decide
from insula.infer.predict import Predictor
from insula.metrics import proportion, resample
from insula.metrics.classification import roc_auc
from insula.metrics.intervals import Figure
from insula.scans.read import read_files

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT))
from tests.infer import made_strangers as strangers  # noqa: E402

COUNT, MEMBERS, EACH, REPLICATES = 480, 3, 60, 2000
FAR = 1e9
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """Scans of one kind: by part and of all, (n,) distances; decided: what became of each; checks: refusals by name."""

    far: dict[str, Floats]
    decided: list[str]
    checks: dict[str, int]


def look(predictor: Predictor, scans: Sequence[Volume]) -> Seen:
    """Predict scans as a user's are; what the checks refuse is farther than anything."""
    recipe = predictor.bundle.recipe
    names = domain_scale.names(tuple(recipe.inputs))
    far: dict[str, list[float]] = {name: [] for name in names}
    decided, checks = [], dict[str, int]()
    for scan in scans:
        try:
            one = predictor.volume(scan, "scan")
        except UnsuitableScanError as error:
            check = getattr(error, "check", "preparation")
            checks[check] = checks.get(check, 0) + 1
            decided.append("refused")
            for name in names:
                far[name].append(FAR)
            continue
        for name in names:
            far[name].append(one.distances[name])
        decided.append("rejected" if decide(one, predictor.bundle).action == "reject" else _beyond(one.domain_score))
    return Seen({name: np.array(values) for name, values in far.items()}, decided, checks)


def _beyond(score: float) -> str:
    return "referred" if score > 0.95 else "answered"


def area(own: Floats, others: Floats, patients: Sequence[str]) -> Figure:
    """AUROC of strangers against the model's own scans, which may be several of a patient."""
    y = np.concatenate([np.zeros(len(own), bool), np.ones(len(others), bool)])
    far = np.concatenate([own, others])
    owners = np.array([*patients, *(f"stranger {i}" for i in range(len(others)))])
    least = min(len(set(patients)), len(others))
    return resample.figure(
        "roc_auc", partial(roc_auc, y, far), owners, len(others), "one kind alone", REPLICATES, 0, least
    )


def share(seen: Seen, what: tuple[str, ...], patients: Sequence[str]) -> str:
    """How many scans it became of, with the interval over patients."""
    hit = np.isin(seen.decided, what)
    found = proportion.figure(hit, np.ones(len(hit), bool), np.array(patients), "no scan")
    return f"{hit.sum()} of {len(hit)} ({found.value:.1%}{_ends(found, '{:.1%}')})"


def _ends(figure: Figure, form: str) -> str:
    return f", {form.format(figure.interval[0])} to {form.format(figure.interval[1])}" if figure.interval else ""


def strangers_of(
    kind: str, own: Sequence[Volume], others: Sequence[Volume], noise: float = 80.0
) -> dict[str, list[Volume]]:
    """What is no such scan, by name. own: test scans of the recipe; others: of the other modality."""
    seeds = range(EACH)
    found = {
        "colour photographs": [strangers.photograph(i) for i in seeds],
        "grey photographs": [strangers.photograph(i, grey=True) for i in seeds],
        "pages of text": [strangers.page(i) for i in seeds],
        "knee CT": [strangers.knee(i) for i in seeds],
        "chest CT": [strangers.chest(i) for i in seeds],
    }
    if kind == "brain-tumour":  # their files do not say what they are, so that the header cannot help
        found = {name: [replace(one, modality="") for one in scans] for name, scans in found.items()}
        found["head CT for MR"] = [replace(one, modality="", attributes={}) for one in others[:EACH]]
        noise = 0.3 * float(np.median([np.percentile(one.array, 99) for one in own[:EACH]]))
    else:
        found["head MR for CT, numbers taken for HU"] = [strangers.mr_as_ct(one) for one in others[:EACH]]
        found["head MR for CT, as pictures"] = [strangers.mr_as_picture(one) for one in others[:EACH]]
    found["nothing but noise"] = [replace(strangers.noise(i), modality="") for i in seeds]
    for name, spoil in strangers.spoilt(noise).items():
        found[f"own, {name}"] = [spoil(one, i) for i, one in enumerate(own[:EACH])]
    return found


def section(
    title: str,
    predictor: Predictor,
    own: Sequence[Volume],
    patients: Sequence[str],
    others: dict[str, list[Volume]],
) -> list[str]:
    """One model's tables."""
    mine = look(predictor, own)
    lines = [
        f"## {title}",
        "",
        f"{len(own)} scans of {len(set(patients))} test patients of its own: "
        f"{share(mine, ('refused', 'rejected'), patients)} refused or rejected, {share(mine, ('referred',), patients)} "
        "referred as unlike the training scans.",
        "",
        "| scans | n | refused | rejected | referred | answered | AUROC | features | neighbours | picture |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    parts = [name for name in mine.far if name != domain_scale.ALL]
    for name, scans in others.items():
        seen = look(predictor, scans)
        why = ", ".join(f"{count} {check}" for check, count in seen.checks.items()) or "0"
        counts = " | ".join(str(seen.decided.count(what)) for what in ("rejected", "referred", "answered"))
        whole = area(mine.far[domain_scale.ALL], seen.far[domain_scale.ALL], patients)
        each = " | ".join(f"{area(mine.far[part], seen.far[part], patients).value:.3f}" for part in parts)
        told = f"{whole.value:.3f}{_ends(whole, '{:.3f}')}"
        lines.append(f"| {name} | {len(scans)} | {why} | {counts} | {told} | {each} |")
        print(lines[-1], flush=True)
    return [*lines, ""]


def real(folds: Path) -> list[str]:
    """The first fold of stroke_ct: its network, scaled on its validation pictures, on real and made strangers."""
    model = load(folds / "fold-0" / "bundle")
    table = survey_cohort(REAL / "stroke_ct", model.recipe).cohort
    fold = make_folds(table, model.recipe, 5, "patient")[0]
    bare = Predictor(model, threads=1)
    base = domain_fit.fit(*(_measured(bare, fold, split) for split in ("train", "val")))
    predictor = Predictor(model, threads=1)
    predictor.bundle = replace(model, baseline=replace(model.baseline, **vars(base)))
    test = fold.of_split("test")
    own = [_picture(case) for case in test]
    mri = sorted((REAL / "brain_tumor_mri" / "Testing").glob("*/*.jpg"))
    others = {"real brain MRI pictures": [read_files([path]) for path in mri[:: len(mri) // EACH][:EACH]]}
    for name, scans in strangers_of("haemorrhage-ct", own[:: len(own) // EACH], [], 20.0).items():
        if name != "own, cut from side to side" and "third" not in name and scans:
            others[name.replace("noise added", "noise of 20 grey levels added")] = scans
    return section("stroke_ct, single pictures (real)", predictor, own, [case.patient for case in test], others)


def _picture(case: Case) -> Volume:
    return read_files([REAL / "stroke_ct" / path for path in case.scans["ct"].paths])


def _measured(predictor: Predictor, fold: Cohort, split: Split) -> domain_fit.Cases:
    cases = fold.of_split(split)
    slices = [predictor.prepare(_picture(case))[0] for case in cases]
    embeddings = np.stack([predictor.from_slices(one, "x").embedding for one in slices])
    looks = {"ct": np.stack([suitable_statistics.of_bags([one]) for one in slices])}
    return domain_fit.Cases(embeddings, np.arange(len(cases)), [case.patient for case in cases], looks)


def redrawn(predictor: Predictor, scans: Sequence[Volume], count: int, draws: int = 2000) -> str:
    """Own scans referred and rejected where the scale rests on other `count` of them, drawn again and again."""
    base, role = predictor.bundle.baseline, predictor.bundle.recipe.role
    raw = []
    for scan in scans:
        slices, _ = predictor.prepare(scan)
        embedding = predictor.from_slices(slices, "x").embedding[None]
        looks = {role: suitable_statistics.of_bags([slices])}
        features = (base.embedding_mean, base.embedding_precision)
        raw.append(domain_scale.parts(embedding, looks, features, base.neighbours, base.pictures))
    pool, g = np.array(raw), np.random.default_rng(0)
    beyond, far = [], []
    for _ in range(draws):
        order = g.permutation(len(pool))
        by_part = domain_scale.scale(pool[order[:count]], domain_scale.QUARTILE)
        largest = domain_scale.ratios(pool[order], by_part).max(axis=1)
        together = domain_scale.scale(largest[:count, None], domain_scale.LEVEL)
        others = domain_scale.ratios(largest[count:, None], together)
        beyond.append(float((others > 1.0).mean()))
        far.append(float((others > (predictor.bundle.recipe.policy.refuse.distance or np.inf)).mean()))
    low, high = np.quantile(beyond, [0.025, 0.975])
    return (
        f"Which {count} patients the scale rests on matters more than anything: drawn {draws:,} times from all "
        f"{len(pool)} that were not trained on, {np.mean(beyond):.1%} of the others lie beyond 1 on average "
        f"({low:.1%} to {high:.1%} in 95% of the draws), and {np.mean(far):.1%} beyond the limit of rejection."
    )


def cost(predictor: Predictor, own: Sequence[Volume]) -> str:
    """What the distances cost of a prediction."""
    prepared = [predictor.prepare(one)[0] for one in own[:20]]
    base = predictor.bundle.baseline
    names = [{predictor.bundle.recipe.role: (one,)} for one in prepared]
    embeddings = [predictor.from_slices(one, "x").embedding[None] for one in prepared]
    start = time.perf_counter()
    for embedding, views in zip(embeddings, names, strict=True):
        domain_scale.of_case(embedding, views, base)
    return f"{(time.perf_counter() - start) / len(prepared) * 1e3:.1f} ms"


def read(table: Cohort, role: str, split: Split = "test") -> list[Volume]:
    """The scans of a cohort's split."""
    return [read_files([Path(table.root) / p for p in case.scans[role].paths]) for case in table.of_split(split)]


OPENING = """# What is no such scan

Written by `scripts/refusal_study.py`; the figures come from its run.

A scan is *refused* by a check of header or picture before the model is asked, *rejected* when it lies beyond
`policy.refuse.distance` (3) from the training data, *referred* when it lies beyond `policy.refer.domain` (95% of the
validation scans), and *answered* otherwise (other limits of the policy may still refer it). The distance is 0 at the
middle validation scan and 1 where 95% of them lie below; it is the largest of three: of the features (Mahalanobis), of
their nearest neighbours in training, and of the picture's own numbers. AUROC: scans of this kind against the test
patients of the recipe, a refused one being farther than any other; its interval over scans. The last three columns are
the AUROC of each distance alone.

Models: ensembles of three `simple_cnn` at 64² pixels on 216 made patients, scaled on 72; and one such network on 41
patients of stroke_ct, scaled on the 250 pictures of 8 others. Knees, chests, photographs and noise are drawings
(`tests/infer/made_strangers.py`), so that the figures say that the checks work, not how often a hospital's own mix-ups
are found. Knees and chests come without a header that names them; one that does is refused by that alone.

Made heads differ little among themselves, so that little is far from them: 10 HU of noise above the 3 to 4.5 of the
made scanners is about 3. Real heads differ more, and a knee in the window of a brain is not so far from a slice of the
vertex: it is referred, not rejected.
"""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--folds", type=Path, default=ROOT / "runs" / "stroke-ct" / "by-patient")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "refusal.md")
    o = parser.parse_args()
    tables = {kind: cohort(kind, o.work, COUNT) for kind in ("haemorrhage-ct", "brain-tumour")}
    scans = {kind: read(table, "ct" if kind == "haemorrhage-ct" else "mri") for kind, table in tables.items()}
    lines = [OPENING]
    for kind, other in (("haemorrhage-ct", "brain-tumour"), ("brain-tumour", "haemorrhage-ct")):
        predictor = Predictor(bundle(kind, o.work, tables[kind], MEMBERS), threads=1)
        print(f"[{kind}]", flush=True)
        patients = [case.patient for case in tables[kind].of_split("test")]
        found = strangers_of(kind, scans[kind], scans[other])
        lines += section(f"{kind} (made)", predictor, scans[kind], patients, found)
        known = read(tables[kind], predictor.bundle.recipe.role, "val")
        lines += [redrawn(predictor, [*known, *scans[kind]], len(known)), ""]
        lines += [f"The three distances of a scan of 12 slices take {cost(predictor, scans[kind])} of one core.", ""]
    if (REAL / "stroke_ct").is_dir() and (o.folds / "fold-0" / "bundle").is_dir():
        print("[stroke_ct]", flush=True)
        lines += real(o.folds)
    o.out.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
