from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.evaluate.made_pictures import case, head, put

from insula.core.types import Case, Scan
from insula.evaluate import trivial_features as features
from insula.evaluate.pictures import gather


def rows(count: int = 12) -> list[Case]:
    """Ages, two scanners, free text, an id, a label's column."""
    made = []
    for i in range(count):
        one = case(
            f"c{i}",
            f"p{i}",
            age=f"{40 + i:03d}Y" if i else "",
            scanner="AB"[i % 2],
            note=f"free text {i}",
            patient_id=f"p{i}",
            stage="I" if i < 6 else "II",
        )
        scan = replace(one.scans["ct"], attributes={"size": f"{200 + i}x160", "mode": "L"})
        made.append(replace(one, scans={"ct": scan}))
    return made


def test_columns_that_vary_are_learned_and_ids_labels_and_free_text_are_not() -> None:
    got = features.learn(rows(), {"stage"})
    assert set(got.numbers) == {"age", "ct.size[0]"}
    assert got.values == {"scanner": ("A", "B")}
    assert got.names == ("age", "ct.size[0]", "scanner")
    assert "stage" in features.learn(rows(), ()).values


def test_numbers_fill_gaps_with_the_training_median_and_flag_them() -> None:
    cases = rows()
    columns = features.learn(cases, {"stage"})
    x = features.metadata(cases, columns)
    assert x.shape == (12, 6)
    assert x[0].tolist() == [46.0, 1.0, 200.0, 0.0, 1.0, 0.0]  # no age: the median of 41 to 51
    assert x[3].tolist() == [43.0, 0.0, 203.0, 0.0, 0.0, 1.0]


def test_values_unknown_in_training_are_none_of_its_values() -> None:
    columns = features.learn(rows(), {"stage"})
    other = case("x", "x", age="050Y", scanner="Z")
    assert features.metadata([other], columns)[0].tolist() == [50.0, 0.0, 160.0, 0.0, 0.0, 0.0]


def test_the_border_sees_the_frame_alone_and_the_thumbnail_the_whole(tmp_path: Path) -> None:
    plain = np.full((160, 160), 40, np.uint8)
    plain[:, 80:] = 60
    centre, edge = plain.copy(), plain.copy()
    centre[70:90, 70:90] = 250
    edge[:10] = 250
    for key, picture in (("plain", plain), ("centre", centre), ("edge", edge)):
        put(tmp_path / f"{key}.jpg", picture, 100)
    pictures = gather([case(key, key) for key in ("plain", "centre", "edge")], tmp_path)
    border, small = features.border(pictures), features.thumbnail(pictures)
    assert border.shape == (3, 32 * 32 - 26 * 26)
    assert small.shape == (3, 64)
    assert np.abs(border[0] - border[1]).max() < 0.03
    assert np.abs(border[0] - border[2]).max() > 0.5
    assert np.abs(small[0] - small[1]).max() > 0.1


def test_a_case_without_a_picture_is_all_zero(tmp_path: Path) -> None:
    put(tmp_path / "a.jpg", head(1))
    pictures = gather([case("gone", "g"), case("a", "a")], tmp_path)
    x = features.thumbnail(pictures)
    assert not x[0].any()
    assert x[1].any()


def test_a_mean_picture_weighs_its_slices_alike(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    dark = rng.normal(20, 5, (10, 32, 32)).astype(np.float32)
    np.savez(tmp_path / "v.npz", array=dark, units="HU")
    volume = Case("v", "v", {"ct": Scan(("v.npz",), "npz")}, {})
    pictures = gather([volume], tmp_path)
    assert len(pictures.found) == 3
    want = np.clip(dark[4:7] / 80, 0, 1).reshape(3, 8, 4, 8, 4).mean(axis=(0, 2, 4))
    assert features.mean_pictures(pictures, 8)[0] == pytest.approx(want, abs=0.02)


def test_the_silhouette_sees_the_outline_and_nothing_of_what_lies_in_it(tmp_path: Path) -> None:
    plain = np.zeros((160, 160), np.uint8)
    plain[40:120, 40:120] = 100
    lesion, hole, wider = plain.copy(), plain.copy(), plain.copy()
    lesion[70:90, 70:90] = 250
    hole[70:90, 70:90] = 0
    wider[40:120, 20:140] = 100
    named = {"plain": plain, "lesion": lesion, "hole": hole, "wider": wider}
    for key, picture in named.items():
        put(tmp_path / f"{key}.jpg", picture, 100)
    outline = features.silhouette(gather([case(key, key) for key in named], tmp_path))
    assert outline.shape == (4, 256)
    assert np.abs(outline[0] - outline[1]).max() < 0.05
    assert np.abs(outline[0] - outline[2]).max() < 0.05
    assert np.abs(outline[0] - outline[3]).max() > 0.9
