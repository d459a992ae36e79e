from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tiny_bundle import parts, recipe, weights

from insula import __version__
from insula.bundle import tensors
from insula.bundle.layout import LIMITS, MANIFEST
from insula.bundle.load import load, read_verified
from insula.bundle.patients import hash_patient, new_salt
from insula.bundle.save import manifest_bytes, save
from insula.bundle.types import Bundle, DecisionFacts, FurtherFacts
from insula.core.errors import BundleError
from insula.core.recipe import Recipe, Target

FILES = sorted([*LIMITS, MANIFEST])


def rewrite(folder: Path, name: str, data: bytes) -> None:
    """Change a file and make the manifest agree, as somebody who knows the format would."""
    (folder / name).write_bytes(data)
    (folder / MANIFEST).write_bytes(manifest_bytes({n: (folder / n).read_bytes() for n in LIMITS}))


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    made = parts(recipe(), weights(1, 2))
    bundle = save(tmp_path / "b", made)
    again = load(tmp_path / "b")
    assert again.id == bundle.id
    assert len(again.id) == 16
    assert again.recipe == made.recipe
    assert again.decision == made.decision
    assert again.metrics == made.metrics
    assert again.baseline.patients == tuple(sorted(made.baseline.patients))
    np.testing.assert_array_equal(again.baseline.embedding_precision, made.baseline.embedding_precision)
    np.testing.assert_array_equal(again.baseline.distances, made.baseline.distances)
    assert sorted(os.listdir(tmp_path / "b")) == FILES
    assert os.listdir(tmp_path) == ["b"]


def several() -> Recipe:
    """The tiny recipe with three further targets."""
    more = {
        "grade": Target.model_validate({"kind": "ordinal", "classes": ["I", "II", "III"]}),
        "death": Target.model_validate({"kind": "survival", "time": "days", "event": "dead", "horizons": [90, 9000]}),
        "volume": Target.model_validate({"kind": "regression"}),
    }
    made = recipe()
    return made.model_copy(update={"targets": made.targets | more})


def test_facts_of_further_targets_come_back_and_what_is_unknown_stays_unknown(tmp_path: Path) -> None:
    made = parts(several(), weights(1, 2))
    further = {
        "grade": FurtherFacts(temperature=1.7),
        "death": FurtherFacts(hazards=(0.25, float("nan"))),
        "volume": FurtherFacts(),
    }
    facts = replace(made.decision, further=further, accept_from=np.float32(0.8125))  # type: ignore[arg-type]
    again = save(tmp_path / "b", replace(made, decision=facts)).decision
    assert dict(again.thresholds) == dict(facts.thresholds)
    assert (again.temperature, again.conformal, again.accept_from) == (1.5, (0.9, 0.9), 0.8125)
    assert set(again.further) == {"grade", "death", "volume"}
    assert again.further["grade"] == FurtherFacts(temperature=1.7)
    assert again.further["volume"] == FurtherFacts()
    np.testing.assert_array_equal(again.further["death"].hazards, [0.25, np.nan])
    assert "NaN" not in (tmp_path / "b" / "decision.json").read_text()


@pytest.mark.parametrize(
    ("further", "said"),
    [
        ({}, r"speaks of the further targets \[\] and the recipe has \['death', 'grade', 'volume'\]"),
        ({"grade": 0, "death": 2, "volume": 0, "more": 0}, "'more'"),
        ({"grade": 0, "death": 1, "volume": 0}, "has 1 hazards for 'death', and the recipe asks for 2"),
        ({"grade": 0, "death": 2, "volume": 1}, "has 1 hazards for 'volume', and the recipe asks for 0"),
    ],
)
def test_facts_that_do_not_fit_the_further_targets_are_refused(
    tmp_path: Path, further: dict[str, int], said: str
) -> None:
    made = parts(several(), weights(1, 2))
    facts = {name: FurtherFacts(hazards=(0.1,) * count) for name, count in further.items()}
    with pytest.raises(BundleError, match=said):
        save(tmp_path / "b", replace(made, decision=replace(made.decision, further=facts)))
    assert os.listdir(tmp_path) == []


def test_equal_parts_give_an_equal_id_and_other_parts_another(tmp_path: Path) -> None:
    made = parts(recipe(), weights(1, 2))
    first, second = save(tmp_path / "a", made), save(tmp_path / "b", made)
    third = save(tmp_path / "c", replace(made, model_card="other"))
    assert first.id == second.id != third.id


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_byte_in_any_file_is_found(tiny_bundle: Callable[..., Bundle], name: str) -> None:
    path = tiny_bundle().path
    data = bytearray((path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (path / name).write_bytes(data)
    with pytest.raises(BundleError, match=r"manifest\.json" if name == MANIFEST else name.replace(".", r"\.")):
        load(path)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tiny_bundle: Callable[..., Bundle], name: str) -> None:
    path = tiny_bundle().path
    (path / name).unlink()
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        load(path)


@pytest.mark.parametrize("name", FILES)
def test_a_link_in_place_of_a_file_is_refused(tiny_bundle: Callable[..., Bundle], tmp_path: Path, name: str) -> None:
    path = tiny_bundle().path
    (path / name).rename(tmp_path / "elsewhere")
    (path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="is a link"):
        load(path)


def test_extra_files_and_folders_are_refused(tiny_bundle: Callable[..., Bundle]) -> None:
    path = tiny_bundle().path
    (path / "model.onnx.data").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"model\.onnx\.data"):
        load(path)


def test_a_pipe_in_place_of_a_file_does_not_hang(tiny_bundle: Callable[..., Bundle]) -> None:
    path = tiny_bundle().path
    (path / "model-card.md").unlink()
    os.mkfifo(path / "model-card.md")
    with pytest.raises(BundleError, match="no plain file"):
        load(path)


def test_a_file_above_its_limit_is_refused_unread(tiny_bundle: Callable[..., Bundle]) -> None:
    path = tiny_bundle().path
    with (path / "decision.json").open("r+b") as stream:
        stream.truncate(LIMITS["decision.json"] + 1)
    with pytest.raises(BundleError, match=r"decision\.json.*limit"):
        load(path)


def test_another_schema_version_is_refused_with_both_versions(tiny_bundle: Callable[..., Bundle]) -> None:
    path = tiny_bundle().path
    manifest = json.loads((path / MANIFEST).read_bytes())
    manifest["schema_version"] = 2
    (path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"version 2, and this Insula reads version 1.*Update Insula"):
        load(path)
    manifest |= {"schema_version": 0, "insula": "0.0.7"}
    (path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(
        BundleError, match=rf"written by Insula 0\.0\.7, this is {__version__}.*`insula export RUN COHORT`"
    ):
        load(path)


def test_whole_files_that_do_not_fit_are_said_to_be_of_another_version(tiny_bundle: Callable[..., Bundle]) -> None:
    path = tiny_bundle().path
    manifest = json.loads((path / MANIFEST).read_bytes())
    decision = json.loads((path / "decision.json").read_bytes())
    del decision["temperature"]
    raw = json.dumps(decision).encode()
    (path / "decision.json").write_bytes(raw)
    manifest["files"]["decision.json"] = {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
    manifest["insula"] = "0.0.7"
    (path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"temperature.*manifest names 0\.0\.7, this is .*`insula export RUN COHORT`"):
        load(path)


def test_a_manifest_cannot_lead_out_of_the_folder(tiny_bundle: Callable[..., Bundle]) -> None:
    path = tiny_bundle().path
    manifest = json.loads((path / MANIFEST).read_bytes())
    manifest["files"]["../secret"] = manifest["files"].pop("model-card.md")
    (path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="no part of a bundle"):
        load(path)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("decision.json", {"temperature": 0}, "temperature"),
        ("decision.json", {"thresholds": {"normal": 0.5}}, "thresholds"),
        ("decision.json", {"conformal": [0.5]}, "conformal"),
        ("decision.json", {"conformal": [0.5, 1.5]}, "conformal"),
        ("decision.json", {"surprise": 1}, "surprise"),
        ("decision.json", {"accept_from": 2.5}, "accept_from"),
        ("decision.json", {"accept_from": -0.5}, "accept_from"),
        ("decision.json", {"further": {"x": {"temperature": 1.0, "hazards": []}}}, "further targets"),
        ("decision.json", {"further": {"x": {"temperature": -1.0, "hazards": []}}}, "temperature"),
        ("baseline.json", {"patients": ["Jane Doe"]}, "patients"),
        ("baseline.json", {"split_level": "slice"}, "split_level"),
    ],
)
def test_values_out_of_range_are_refused_though_the_manifest_agrees(
    tiny_bundle: Callable[..., Bundle], name: str, change: dict[str, Any], said: str
) -> None:
    path = tiny_bundle().path
    rewrite(path, name, json.dumps(json.loads((path / name).read_bytes()) | change).encode())
    with pytest.raises(BundleError, match=said) as caught:
        load(path)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"embedding_mean": np.zeros(5)}, "do not fit together"),
        ({"distances": np.zeros(0)}, "one or more"),
        ({"distances": np.array([2.0, 1.0])}, "rising"),
        ({"embedding_mean": np.full(6, np.nan)}, "not finite"),
        ({"embedding_mean": np.zeros(6, np.int64)}, "int64"),
    ],
)
def test_a_baseline_that_cannot_be_is_refused(
    tiny_bundle: Callable[..., Bundle], change: dict[str, Any], said: str
) -> None:
    path = tiny_bundle().path
    tables = tensors.read((path / "baseline.safetensors").read_bytes())
    rewrite(path, "baseline.safetensors", tensors.write(tables | change))
    with pytest.raises(BundleError, match=said):
        load(path)


def test_safetensors_headers_that_lie_are_refused(tiny_bundle: Callable[..., Bundle]) -> None:
    path = tiny_bundle().path
    good = (path / "weights.safetensors").read_bytes()
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    first = next(k for k in header if k != "__metadata__")
    huge = {**header, first: {**header[first], "shape": [1 << 40]}}
    for bad in (
        (1 << 62).to_bytes(8, "little") + good[8:],
        good + b"\0",
        good[:4],
        _with_header(huge, good[8 + length :]),
        _with_header({**header, first: {**header[first], "data_offsets": [0, 10**15]}}, good[8 + length :]),
        _with_header({**header, first: {"dtype": "O"}}, good[8 + length :]),
    ):
        rewrite(path, "weights.safetensors", bad)
        with pytest.raises(BundleError, match=r"weights\.safetensors"):
            load(path)
    rewrite(path, "weights.safetensors", good)
    load(path)


def test_a_swap_after_opening_is_found_before_it_runs(tiny_bundle: Callable[..., Bundle]) -> None:
    bundle = tiny_bundle()
    assert read_verified(bundle, "head.onnx")
    rewrite(bundle.path, "head.onnx", (bundle.path / "model.onnx").read_bytes())
    with pytest.raises(BundleError, match=r"head\.onnx"):
        read_verified(bundle, "head.onnx")


def test_saving_replaces_a_bundle_and_nothing_else(tmp_path: Path) -> None:
    made = parts(recipe(), weights(1, 2))
    save(tmp_path / "b", made)
    assert save(tmp_path / "b", replace(made, model_card="new")).metrics == made.metrics
    assert (tmp_path / "b" / "model-card.md").read_text() == "new"
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match="other things"):
        save(tmp_path / "b", made)
    assert (tmp_path / "b" / "notes.txt").read_text() == "mine"


def test_parts_that_do_not_fit_leave_the_goal_as_it_was(tmp_path: Path) -> None:
    made = parts(recipe(), weights(1, 2))
    first = save(tmp_path / "b", made)
    with pytest.raises(BundleError, match="thresholds"):
        save(tmp_path / "b", replace(made, decision=DecisionFacts({"x": 0.5}, 1.0, (0.5, 0.5))))
    with pytest.raises(BundleError, match="JSON"):
        save(tmp_path / "b", replace(made, metrics={"auroc": float("nan")}))
    assert load(tmp_path / "b").id == first.id
    assert os.listdir(tmp_path) == ["b"]


def test_patient_hashes_depend_on_salt_and_patient() -> None:
    salt = new_salt()
    assert hash_patient(salt, "P1") == hash_patient(salt, "P1")
    assert len({hash_patient(salt, "P1"), hash_patient(salt, "P2"), hash_patient(new_salt(), "P1")}) == 3
    assert "P1" not in hash_patient(salt, "P1")


def _with_header(header: dict[str, Any], rest: bytes) -> bytes:
    raw = json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + rest
