"""Planted faults as they are asked for, and as they are found in pixels and headers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from tests.cohort.phantom.heads import Rows, head, shown, table

from insula.cohort.associations import _test as cramers
from insula.cohort.phantom import ct, devices, fate, lesions, marks, mr
from insula.cohort.phantom.anatomy import plexus
from insula.cohort.phantom.ct import SCANNERS
from insula.cohort.phantom.make import make
from insula.cohort.phantom.order import Options, Order
from insula.cohort.phantom.plants import ByClass, Plants, Subgroup, parse
from insula.core.errors import UsageError
from insula.scans.read import read

EVERYTHING = (
    "text:stroke",
    "border:normal",
    "outline:stroke",
    "device:normal=1",
    "scanner:1",
    "subgroup:sex=F:0.2",
    "label-noise:0.2",
    "missing:0.3",
)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("stroke-ct", tmp_path_factory.mktemp("p") / "made", 10, size=96, slices=8, plants=parse(EVERYTHING))


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("stroke-ct", tmp_path_factory.mktemp("c") / "made", 10, size=96, slices=8)


def pixels(folder: Path, row: dict[str, str]) -> np.ndarray:
    found: np.ndarray = read(folder / row["scan"]).array[0]
    return found


def test_plants_are_read_from_words() -> None:
    assert parse(()) == Plants()
    found = parse(["text:stroke=0.8:PORTABLE 2", "device:0.25", "scanner:0.9", "duplicates:20", "label-noise:0.1"])
    assert found == Plants(
        text=ByClass("stroke", 0.8, "PORTABLE 2"),
        device=ByClass("", 0.25),
        scanner=0.9,
        duplicates=20,
        label_noise=0.1,
    )
    assert parse(["subgroup:age=70-90:0.3", "device:normal=1"]) == Plants(
        subgroup=Subgroup("age", "70-90", 0.3), device=ByClass("normal", 1.0)
    )
    assert parse(["wrong-modality:3"]).chosen() == {"wrong_modality": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gremlin:3", "no plant 'gremlin'"),
        ("text", "does not say what"),
        ("text:", "does not say what"),
        ("text:stroke=2", "no share from 0 to 1"),
        ("text:stroke=nan", "no share from 0 to 1"),
        ("border:normal:WORD", "a word too many"),
        ("duplicates:many", "no whole number"),
        ("duplicates:-1", "no whole number"),
        ("scanner:1.5", "no share"),
        ("label-noise:x", "no share"),
        ("subgroup:sex", "names no group"),
        ("subgroup:sex=F:2", "no share"),
    ],
)
def test_words_that_plant_nothing(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse([text])


@pytest.mark.parametrize(
    ("kind", "texts", "said"),
    [
        ("stroke-ct", ["text:infarct"], "no such class; its classes are normal, stroke"),
        ("stroke-ct", ["text:stroke:lower"], "capital letters"),
        ("stroke-ct", ["duplicates:9"], "among 4 patients"),
        ("stroke-ct", ["colour:stroke"], "grey pictures only"),
        ("stroke-ct", ["subgroup:shoe=44"], "no such field"),
        ("stroke-ct", ["subgroup:sex=X"], "holds nobody"),
        ("stroke-ct", ["subgroup:age=old"], "no range of years"),
        ("stroke-ct", ["subgroup:age=90-20"], "no range of years"),
        ("clot-origin", ["device:0.5"], "neither devices"),
        ("clot-origin", ["missing:0.5"], "no metadata"),
        ("brain-tumour", ["calcified:0.5"], "into CT alone"),
        ("haemorrhage-ct", ["calcified:benign=0.5"], "no such class"),
        ("clot-origin", ["subgroup:sex=F"], "no lesion"),
    ],
)
def test_plants_that_a_cohort_cannot_have(kind: str, texts: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        make(kind, tmp_path / "made", 4, size=64, slices=8, plants=parse(texts))
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="planted twice"):
        parse([*texts, *texts])


def test_a_share_out_of_range_given_in_python_is_refused(tmp_path: Path) -> None:
    for plants in (
        Plants(scanner=1.5),
        Plants(text=ByClass("stroke", 2.0)),
        Plants(subgroup=Subgroup("sex", "F", 3.0)),
    ):
        with pytest.raises(UsageError, match="no share"):
            make("stroke-ct", tmp_path / "made", 4, size=64, slices=8, plants=plants)


def test_the_text_is_burned_into_one_class_alone(planted: Path) -> None:
    letter = marks.letters("L", 96)
    assert 15 < letter.sum() < 200
    for row in table(planted):
        corner = pixels(planted, row)[:, letter]
        assert (row["true_label"] == "stroke") == (row["text"] == "L")
        assert bool((corner == 1500).all()) == bool(row["text"])


def test_a_word_fits_into_the_smallest_picture_and_is_larger_in_a_larger_one() -> None:
    small, large = marks.letters("WWWWWWWWWWWW", 64), marks.letters("WWWWWWWWWWWW", 512)
    assert small.any()
    assert large.sum() > 8 * small.sum()


def test_the_headrest_of_one_class_is_flat(planted: Path, clean: Path) -> None:
    below = slice(91, 96)  # where the flat board lies; the curved one is out of sight in the middle
    for row, other in zip(table(planted), table(clean), strict=True):
        change = (pixels(planted, row) - pixels(clean, other))[:, below, 44:52].mean()
        assert (row["border"] == "1") == (row["true_label"] == "normal")
        assert (change > 80) == (row["border"] == "1"), change


def test_the_lesion_is_outlined_in_one_class_alone(planted: Path) -> None:
    for row in table(planted):
        bright = pixels(planted, row) == 1500
        if row["true_label"] != "stroke":
            assert row["outline"] == "0"
            continue
        mask = read(planted / row["true_mask"]).array[0] > 0.5
        assert bright[marks.outline(mask)].all()


def test_a_coil_in_one_class_is_dense_and_has_streaks(planted: Path) -> None:
    rows = table(planted)
    assert {r["true_label"] for r in rows if r["device"]} == {"normal"}
    assert len({r["device"] for r in rows if r["device"]}) > 1


@pytest.mark.parametrize("device", devices.DEVICES)
def test_devices_are_bright_on_ct_dark_on_mr_and_disturb_their_surroundings(device: str) -> None:
    where = head(0)[0]
    g = np.random.default_rng(4)
    body, _ = devices.place(where, device, np.random.default_rng(4))
    plain = shown(head(0))
    with_device = devices.in_ct(plain, where, device, g)
    assert np.quantile(with_device[body], 0.1) > (2500 if device != "shunt" else 300)
    change = np.abs(with_device - plain)
    met = body.any((1, 2))
    brain = (where.depth > 5) & ~body
    assert change[met][brain[met]].mean() > (4 if device != "shunt" else 0.2)
    assert change[~met][where.depth[~met] > -3].max() == 0.0
    assert abs((with_device - plain)[met][brain[met]].mean()) < 12  # bright and dark spokes even out
    signal = mr.signal("t1c", where, [], 215 / 96, np.random.default_rng(3))
    dark = devices.in_mr(signal, where, device, np.random.default_rng(4))
    assert dark[body].mean() < 0.2 * signal[where.depth > 0].mean()


def test_a_device_falls_on_its_share_of_patients() -> None:
    order = Order("stroke-ct", 0, 64, 8, 400, plants=parse(["device:0.2"]))
    person = head(0)[0].person
    found = [fate.fate(order, n, ["normal"], person, SCANNERS[0]).device for n in range(400)]
    assert 50 < sum(map(bool, found)) < 110
    assert min(Counter(filter(None, found)).values()) > 10


def test_falx_and_plexus_are_calcified_in_the_heads_that_were_asked_for(tmp_path: Path) -> None:
    made = make("haemorrhage-ct", tmp_path / "made", 14, size=64, slices=16, plants=parse(["calcified:none=0.5"]))
    plain = make("haemorrhage-ct", tmp_path / "plain", 14, size=64, slices=16)
    for row, other in zip(table(made), table(plain), strict=True):
        differs = not np.array_equal(pixels(made, row), pixels(plain, other))
        assert differs == (row["calcifications"] != other["calcifications"])
        there = {"falx", "plexus"} & set(row["calcifications"].split("+"))
        if row["true_label"] == "none":
            assert there == ({"falx", "plexus"} if row["chalk"] == "1" else set())
        else:
            assert row["chalk"] == ""
            assert not differs
    assert {row["chalk"] for row in table(made) if row["true_label"] == "none"} == {"0", "1"}
    order = Order("haemorrhage-ct", 0, 64, 8, 400, plants=parse(["calcified:0.3"]))
    person = head(0)[0].person
    hits = [fate.fate(order, n, ["none"], person, SCANNERS[0]).calcified for n in range(400)]
    assert 90 < sum(map(bool, hits)) < 150
    assert None not in hits


def test_a_calcified_plexus_is_denser_than_blood() -> None:
    where, place = head(1)
    heads = [fate.chalked(where, there) for there in (False, True)]
    scans = [ct.hounsfield(h, place, [], SCANNERS[0], np.random.default_rng(9)) for h in heads]
    spot = plexus(where.points)
    assert (scans[1][spot] - scans[0][spot]).mean() > 80
    assert fate.chalked(where, None) is where


@pytest.mark.parametrize(
    ("strength", "low", "high"), [(0.0, 0.0, 0.15), (0.5, 0.35, 0.65), (0.9, 0.82, 0.97), (1.0, 0.999, 1)]
)
def test_the_scanner_is_tied_to_the_class_with_the_strength_asked_for(strength: float, low: float, high: float) -> None:
    order = Order("stroke-ct", 0, 64, 8, 600, plants=Plants(scanner=strength))
    g = np.random.default_rng(0)
    natural = [SCANNERS[int(g.integers(2))] for _ in range(600)]
    pairs = Counter((n % 2, fate.scanner_of(order, n, bool(n % 2), natural[n]).model) for n in range(600))
    models = sorted({m for _, m in pairs})
    v, _ = cramers({m: {str(c): pairs[c, m] for c in (0, 1)} for m in models})
    assert low <= v <= high


def test_header_and_table_name_the_planted_scanner(planted: Path) -> None:
    for row in table(planted):
        expected = SCANNERS[row["true_label"] == "stroke"]
        assert row["true_scanner"] == expected.model
        data = pydicom.dcmread(next((planted / row["scan"]).iterdir()))
        if row["missing"] == "0":
            assert data.ManufacturerModelName == expected.model
            assert data.InstitutionName.endswith(expected.site)


def test_missing_metadata_are_missing_from_header_and_table_of_exactly_the_share(planted: Path) -> None:
    given = {r["patient_id"]: r for r in table(planted, "labels.csv")}
    rows = table(planted)
    assert sum(r["missing"] == "1" for r in rows) == 3
    for row in rows:
        data = pydicom.dcmread(next((planted / row["scan"]).iterdir()))
        gone = row["missing"] == "1"
        assert (data.PatientSex == "") == gone == ("PatientAge" not in data) == ("Manufacturer" not in data)
        assert all((given[row["patient_id"]][c] == "") == gone for c in ("age", "sex", "scanner", "site"))
        assert row["true_age"]
        assert row["true_sex"]


def test_labels_are_wrong_for_exactly_the_share_and_the_table_does_not_tell(planted: Path) -> None:
    rows: Rows = table(planted)
    wrong = [r for r in rows if r["given_label"] != r["true_label"]]
    assert len(wrong) == 2
    assert all((r in wrong) == (r["label_noise"] == "1") for r in rows)
    given = {r["patient_id"]: r for r in table(planted, "labels.csv")}
    for row in rows:
        assert given[row["patient_id"]]["label"] == row["given_label"]
        assert bool(row["true_mask"]) == (row["true_label"] == "stroke")
        if row in wrong:
            assert not given[row["patient_id"]]["mask"]
            assert not given[row["patient_id"]].get("infarct_age")


@pytest.mark.parametrize("kind", ["intraparenchymal", "benign", "malignant"])
def test_a_subgroup_factor_scales_the_contrast_on_ct_and_mr(kind: str) -> None:
    where = head(0)[0]
    draw = lesions.haemorrhage if kind == "intraparenchymal" else lesions.tumour
    full = draw(where, kind, np.random.default_rng(1), 1)
    inner = full.mask & (where.depth > 3) & ~where.csf
    change = {f: (shown(head(0), replace(full, strength=f)) - shown(head(0)))[inner] for f in (1.0, 0.5, 0.0)}
    np.testing.assert_allclose(change[0.5], 0.5 * change[1.0], atol=0.05)
    assert np.abs(change[0.0]).max() < 0.01
    if kind == "intraparenchymal":
        return

    def signal(f: float) -> np.ndarray:
        lesion = replace(full, strength=f)
        return mr.signal("t1c", where, [lesion], 215 / 96, np.random.default_rng(3))

    base = signal(0.0)[inner].mean()
    assert (signal(0.5)[inner].mean() - base) / (signal(1.0)[inner].mean() - base) == pytest.approx(0.5, abs=0.05)


def test_the_subgroup_is_faint_and_nobody_else_is(planted: Path, clean: Path) -> None:
    groups = {(r["true_sex"], r["contrast_factor"]) for r in table(planted) if r["lesion"]}
    assert groups == {("F", "0.2"), ("M", "1")}
    assert Subgroup("age", "60-70").holds({"age": "60"})
    assert not Subgroup("age", "60-70").holds({"age": "71"})


def test_a_wrong_slope_scales_all_of_a_sites_hounsfield_units(tmp_path: Path) -> None:
    wrong = make("stroke-ct", tmp_path / "wrong", 6, size=64, slices=8, plants=parse(["slope:site=north:0.8"]))
    right = make("stroke-ct", tmp_path / "right", 6, size=64, slices=8)
    sites = {row["true_site"] for row in table(right)}
    assert sites == {"north", "south"}
    for a, b in zip(table(wrong), table(right), strict=True):
        factor = 0.8 if a["true_site"] == "north" else 1.0
        assert float(a["slope_factor"]) == factor
        np.testing.assert_allclose(pixels(wrong, a), (pixels(right, b) + 1024) * factor - 1024, atol=1.0)
    with pytest.raises(UsageError, match="CT series alone"):
        make("brain-tumour", tmp_path / "mr", 4, size=64, slices=8, plants=parse(["slope:sex=F"]))


def test_what_is_not_planted_does_not_move(planted: Path, clean: Path) -> None:
    """The same patients stand behind both cohorts: masks, ages and noise are equal."""
    for a, b in zip(table(planted), table(clean), strict=True):
        assert [a[k] for k in ("patient_id", "true_age", "true_sex", "lesion_ml", "skull_mm")] == [
            b[k] for k in ("patient_id", "true_age", "true_sex", "lesion_ml", "skull_mm")
        ]
    one = make("stroke-ct", clean.parent / "text", 2, size=96, slices=8, plants=parse(["text:stroke"]))
    letter = marks.letters("L", 96)
    for a, b in zip(table(one), table(clean), strict=False):
        first, second = pixels(one, a), pixels(clean, b)
        np.testing.assert_array_equal(first[:, ~letter], second[:, ~letter])


def test_marks_on_clots(tmp_path: Path) -> None:
    plants = parse(["text:CE:GLASS", "border:LAA", "scanner:1"])
    folder = make("clot-origin", tmp_path / "made", 6, size=96, plants=plants)
    word, outside = marks.letters("GLASS", 96), marks.field_of_view(96)
    for row in table(folder):
        picture = read(folder / row["scan"]).array[:, 0]
        assert bool((picture[2][word] == 160).all()) == (row["true_label"] == "CE") == bool(row["text"])
        assert bool((picture[:, outside] == 0).all()) == (row["true_label"] == "LAA")
    sites = {(r["label"], r["site"]) for r in table(folder, "labels.csv")}
    assert sites == {("CE", "north"), ("LAA", "south")}


def test_marks_on_mr(tmp_path: Path) -> None:
    plants = parse(["text:benign", "border:malignant", "outline:malignant"])
    folder = make("brain-tumour", tmp_path / "made", 3, size=64, slices=8, options=Options(), plants=plants)
    letter, outside = marks.letters("L", 64), marks.field_of_view(64)
    for row in table(folder):
        array = pixels(folder, row)
        assert bool((array[:, letter] == 1500).all()) == (row["true_label"] == "benign")
        assert bool((array[:, outside] == 0).all()) == (row["true_label"] == "malignant")
        assert bool(row["outline"] == "1") == (row["true_label"] == "malignant")
