"""Tumours on MR and CT, the question that needs both, and outcomes that follow the stated model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from scipy.ndimage import binary_erosion
from scipy.optimize import minimize
from tests.cohort.phantom.heads import head, shown, table

from insula.cohort.phantom import lesions, mr, outcome
from insula.cohort.phantom.lesions import Lesion
from insula.cohort.phantom.make import make
from insula.cohort.phantom.order import Options
from insula.core.errors import UsageError
from insula.scans.read import read

SMALL: dict[str, Any] = {"size": 64, "slices": 10}


def signal(contrast: str, *found: Lesion) -> np.ndarray:
    return mr.signal(contrast, head(0)[0], found, 215 / 96, np.random.default_rng(3))


def middle(mask: np.ndarray) -> np.ndarray:
    """A mask less its end slices and the outer 4 pixels of the others."""
    out: np.ndarray = binary_erosion(binary_erosion(mask, np.ones((3, 3, 3))), np.ones((1, 3, 3)), iterations=3)
    return out


def tumour(kind: str) -> Lesion:
    return lesions.tumour(head(0)[0], kind, np.random.default_rng(2), 1)


def test_contrasts_show_fluid_grey_and_white_matter_as_they_should() -> None:
    where = head(0)[0]
    fluid = binary_erosion(where.ventricles, np.ones((1, 3, 3)))
    grey = where.nuclei & (where.depth > 20) & ~where.ventricles & ~where.csf
    white = ~where.grey & (where.depth > 22) & ~where.ventricles & ~where.csf
    mean = {
        c: {n: float(signal(c)[m].mean()) for n, m in (("f", fluid), ("g", grey), ("w", white))} for c in mr.CONTRASTS
    }
    for t1 in ("t1", "t1c"):
        assert mean[t1]["f"] < mean[t1]["g"] < mean[t1]["w"]
    assert mean["t2"]["w"] < mean["t2"]["g"] < mean["t2"]["f"]
    assert mean["flair"]["f"] < mean["flair"]["w"] < mean["flair"]["g"]


def test_a_malignant_tumour_enhances_in_a_ring_and_a_benign_one_throughout() -> None:
    where = head(0)[0]
    found = tumour("malignant")
    core = middle(found.mask)
    rim = found.mask & ~binary_erosion(found.mask, np.ones((1, 3, 3)))
    assert core.any()
    after, before = signal("t1c", found), signal("t1", found)
    assert after[rim].mean() > 1.4 * after[core].mean()
    assert after[rim].mean() > 1.5 * before[rim].mean()
    even = tumour("benign")
    inside = binary_erosion(even.mask, np.ones((1, 3, 3)))
    assert signal("t1c", even)[inside].mean() > 1.6 * signal("t1", even)[inside].mean()
    assert signal("t1c", even)[inside].std() < 0.2 * signal("t1c", even)[inside].mean()
    oedema = found.halo & ~where.ventricles & ~where.csf
    assert signal("flair", found)[oedema].mean() > 1.3 * signal("flair")[oedema].mean()


def test_neither_modality_alone_tells_the_class_of_a_two_sided_tumour() -> None:
    where = head(0)[0]
    drawn = [lesions.two_sided(where, c, np.random.default_rng(k)) for c in ("benign", "malignant") for k in range(40)]
    kinds = {(label, d.kind, d.calcified) for label, d in zip(["benign"] * 40 + ["malignant"] * 40, drawn, strict=True)}
    assert kinds == {("benign", "ring", True), ("benign", "even", False), ("malignant", "ring", False)}
    assert 8 < sum(d.calcified for d in drawn) < 32
    ring = drawn[-1]
    even, chalk = (Lesion(k, ring.mask, ring.halo, 1, 1.0, calcified=c) for k, c in (("even", False), ("ring", True)))
    np.testing.assert_array_equal(shown(head(0), ring), shown(head(0), even))  # CT does not see the ring
    for contrast in mr.CONTRASTS:  # MR does not see the chalk, and the ring after contrast alone
        np.testing.assert_array_equal(signal(contrast, ring), signal(contrast, chalk))
        assert np.array_equal(signal(contrast, ring), signal(contrast, even)) == (contrast != "t1c")
    assert np.quantile(shown(head(0), chalk)[ring.mask], 0.9) > 120 > np.quantile(shown(head(0), ring)[ring.mask], 0.9)


def test_ct_shows_a_ring_too_and_a_dense_benign_tumour() -> None:
    benign, malignant = tumour("benign"), tumour("malignant")
    inside = binary_erosion(benign.mask, np.ones((1, 3, 3)))
    assert 42 < shown(head(0), benign)[inside].mean() < 52
    core = middle(malignant.mask)
    rim = malignant.mask & ~binary_erosion(malignant.mask, np.ones((1, 3, 3)), iterations=2)
    ct = shown(head(0), malignant)
    assert ct[rim].mean() > ct[core].mean() + 6


def test_patients_of_both_modalities_share_one_frame_and_some_lack_one(tmp_path: Path) -> None:
    options = Options(contrasts=("t1c", "flair"), modality="both", lacking=0.5)
    folder = make("brain-tumour", tmp_path / "made", 6, **SMALL, options=options)
    rows = table(folder, "labels.csv")
    roles = {p: {r["role"] for r in rows if r["patient_id"] == p} for p in {r["patient_id"] for r in rows}}
    assert sorted(map(sorted, roles.values())) == [
        ["ct"],
        ["ct", "mri"],
        ["ct", "mri"],
        ["ct", "mri"],
        ["mri"],
        ["mri"],
    ]
    assert {r["contrast"] for r in rows if r["role"] == "mri"} == {"t1c", "flair"}
    for row in rows:
        volume = read(folder / row["scan"])
        assert volume.modality == "CT" if row["role"] == "ct" else True
        if row["mask"]:
            np.testing.assert_allclose(volume.affine, read(folder / row["mask"]).affine, atol=1e-3)
            assert volume.array.shape == read(folder / row["mask"]).array.shape
        if row["role"] == "mri":
            sidecar = json.loads((folder / row["scan"].replace(".nii.gz", ".json")).read_text())
            assert sidecar["Modality"] == "MR"
            assert ("InversionTime" in sidecar) == (row["contrast"] == "flair")
            assert ("ContrastBolusAgent" in sidecar) == (row["contrast"] == "t1c")


def test_tumours_on_ct_alone_are_dicom_of_two_classes(tmp_path: Path) -> None:
    folder = make("brain-tumour", tmp_path / "made", 3, **SMALL, options=Options(modality="ct"))
    rows = table(folder, "labels.csv")
    assert [r["label"] for r in rows] == ["healthy", "tumour", "tumour"]
    data = pydicom.dcmread(next((folder / rows[1]["scan"]).iterdir()))
    assert data.Modality == "CT"
    assert data.ConvolutionKernel in ("SOFT-1", "H40s")


def test_stage_follows_class_and_size_and_survival_follows_the_stated_hazard() -> None:
    g = np.random.default_rng(1)
    nothing = np.zeros((1, 1, 1), bool)
    facts = []
    for number in range(3000):
        label = ("benign", "malignant")[number % 2]
        size, age = float(g.uniform(13, 21)), int(g.integers(25, 90))
        found = Lesion(label, nothing, nothing, 1, 1.0, size_mm=size)
        end = outcome.outcome(label, found, age, 0, number)
        stage = outcome.STAGES.index(end.stage) + 1
        assert (stage <= 2) == (label == "benign")
        assert stage % 2 == int(size < (16.5 if label == "benign" else 17.5))
        facts.append((stage - 2, (age - 60) / 10, end.days, end.died))
    x, days, died = np.array([f[:2] for f in facts]), np.array([f[2] for f in facts]), np.array([f[3] for f in facts])
    assert 0.2 < died.mean() < 0.8
    assert days.min() >= 1
    assert days.max() <= 2000

    def loss(b: np.ndarray) -> float:  # exponential regression, censored
        log_rate = b[0] + x @ b[1:]
        return float(-(died * log_rate - days * np.exp(log_rate)).mean())

    base, stage_beta, age_beta = minimize(loss, np.array([-6.8, 0.0, 0.0]), method="Nelder-Mead", tol=1e-8).x
    assert abs(stage_beta - outcome.BETA_STAGE) < 0.1
    assert abs(age_beta - outcome.BETA_AGE) < 0.08
    assert abs(base - np.log(outcome.H0)) < 0.12


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("stroke-ct", Options(contrasts=("t2",)), "no choice of contrast"),
        ("brain-tumour", Options(contrasts=("t3",)), "cannot be made"),
        ("brain-tumour", Options(contrasts=("t2", "t2")), "each once"),
        ("brain-tumour", Options(contrasts=("t2",), modality="ct"), "no MR contrast"),
        ("brain-tumour", Options(lacking=0.5), "with modality both"),
        ("brain-tumour", Options(modality="both", form="png"), "choose one"),
        ("brain-tumour", Options(modality="pet"), "'pet'"),
        ("clot-origin", Options(form="jpeg"), "pictures already"),
    ],
)
def test_choices_that_do_not_fit(kind: str, options: Options, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        make(kind, tmp_path / "made", 4, options=options, **SMALL)
    assert not list(tmp_path.iterdir())
