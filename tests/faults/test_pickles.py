"""Pickles wherever a file of numbers is expected: none of them is run."""

from __future__ import annotations

import ast
import io
import pickle
import re
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.faults.made_bundles import lying
from tests.faults.tally import Tally, sizes

from insula.bundle import tensors
from insula.bundle.load import load
from insula.cohort.deidentify import arrays as cleaned
from insula.cohort.deidentify.tally import Tally as Removed
from insula.core import recipe as recipes
from insula.core.errors import InsulaError
from insula.scans import arrays, read, sandbox
from insula.serve import view

SOURCE = Path(__file__).parents[2] / "src" / "insula"
BANNED = frozenset({"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "jsonpickle"})


@pytest.fixture(autouse=True)
def form() -> str:
    """Which form of a test runs: both try the same where there is no more to try."""
    return "short"


class Trap:
    """What leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def object_array(mark: Path) -> bytes:
    stream = io.BytesIO()
    made = np.empty((2, 2), object)
    made[:] = Trap(mark)
    np.save(stream, made, allow_pickle=True)
    return stream.getvalue()


def archive(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for name, data in members.items():
            packed.writestr(f"{name}.npy", data)
    return stream.getvalue()


def plain() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros((4, 4), np.float32))
    return stream.getvalue()


def traps(folder: Path, mark: Path) -> dict[str, Callable[[], Any]]:
    """What opens a file that is a pickle, or holds one."""
    raw = pickle.dumps(Trap(mark))
    (folder / "a.npy").write_bytes(object_array(mark))
    (folder / "raw.npy").write_bytes(raw)
    (folder / "a.npz").write_bytes(archive(array=object_array(mark)))
    (folder / "beside.npz").write_bytes(archive(array=plain(), more=object_array(mark)))
    (folder / "units.npz").write_bytes(archive(array=plain(), units=object_array(mark)))
    (folder / "tag.yaml").write_text(f"name: !!python/object/apply:pathlib.Path.touch ['{mark}']\n")
    (folder / "new.yaml").write_text(f"!!python/object/new:os.system [touch {mark}]\n")
    found: dict[str, Callable[[], Any]] = {
        "reader, .npy": lambda: read.read(folder / "a.npy"),
        "reader, a bare pickle": lambda: read.read(folder / "raw.npy"),
        "reader, .npz": lambda: read.read(folder / "a.npz"),
        "reader, beside the array": lambda: read.read(folder / "beside.npz"),
        "reader, units": lambda: read.read(folder / "units.npz"),
        "reader, arrays alone": lambda: arrays.read(folder / "a.npy"),
        "reader, sandbox": lambda: sandbox.read(folder / "a.npy"),
        "cleaning, .npy": lambda: cleaned.clean(folder / "a.npy", Removed()),
        "cleaning, beside the array": lambda: cleaned.clean(folder / "beside.npz", Removed()),
        "kept view": lambda: view.unpack(archive(slices=object_array(mark))),
        "recipe, a call": lambda: recipes.load(folder / "tag.yaml"),
        "recipe, a program": lambda: recipes.load(folder / "new.yaml"),
        "recipe, an override": lambda: recipes.load(
            "stroke-ct", (f"seed=!!python/object/apply:os.system ['touch {mark}']",)
        ),
        "safetensors": lambda: tensors.read(raw),
    }
    for name in (
        "weights.safetensors",
        "baseline.safetensors",
        "model.onnx",
        "head.onnx",
        "metrics.json",
        "recipe.yaml",
    ):
        path = lying(folder / f"bundle-{name}", {name: raw})
        found[f"bundle, {name}"] = partial(load, path)
    return found


@sizes("form", "short", "full")
def test_no_pickle_is_run(tmp_path: Path, tally: Tally) -> None:
    mark, ran, other = tmp_path / "ran", [], []
    opened = traps(tmp_path, mark)
    for name, open_it in opened.items():
        try:
            open_it()
        except InsulaError:
            pass
        except ValueError as error:
            other += [] if name in ("safetensors", "kept view") else [(name, error)]
        if mark.exists():
            ran.append(name)
            mark.unlink()
    pickle.loads(pickle.dumps(Trap(mark)))  # the trap works
    assert mark.exists()
    tally.tried("pickles where numbers are expected", len(opened), failed=len(ran) + len(other))
    assert not other


@pytest.mark.faults
def test_no_pickle_is_run_when_weights_are_read_and_a_run_goes_on(tmp_path: Path, tally: Tally) -> None:
    torch = pytest.importorskip("torch")
    from insula.model import weights

    mark, failed = tmp_path / "ran", []
    stored = {
        "a pickle": pickle.dumps({"a": Trap(mark)}),
        "torch's own": _torch(torch, {"state_dict": {"a": torch.zeros(2)}, "more": Trap(mark)}),
        "torch's old form": _torch(torch, {"a": Trap(mark)}, _use_new_zipfile_serialization=False),
    }
    for name, data in stored.items():
        for suffix in (".pt", ".ckpt", ".pth", ".safetensors"):
            path = tmp_path / f"w{suffix}"
            path.write_bytes(data)
            try:
                weights.read(path)
                failed.append((name, suffix))
            except InsulaError:
                pass
            failed += [(name, suffix)] if mark.exists() else []
    tally.tried("pickles where weights are read", 4 * len(stored), failed=len(failed))


def _torch(torch: Any, content: Any, **more: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **more)
    return stream.getvalue()


@sizes("form", "short", "full")
def test_nothing_in_the_source_unpickles(tally: Tally) -> None:
    wrong, count = [], 0
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if not re.search(
            r"(np|numpy|torch|yaml)\.\w*load|pickle|marshal|shelve|joblib|dill|\beval\(|\bexec\(|ckpt_path", text
        ):
            continue
        for node in ast.walk(ast.parse(text)):
            count += isinstance(node, ast.Call)
            wrong += [f"{path.name}:{getattr(node, 'lineno', 0)} {why}" for why in _unsafe(node)]
    assert not wrong, wrong
    tally.tried("calls in the source that could unpickle or run text", count, failed=len(wrong))


def _unsafe(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [one.name for one in node.names] + [getattr(node, "module", None) or ""]
        return [name for name in names if name.partition(".")[0] in BANNED]
    if not isinstance(node, ast.Call):
        return []
    called, told = ast.unparse(node.func), {one.arg: ast.unparse(one.value) for one in node.keywords}
    if called in ("eval", "exec", "builtins.eval", "builtins.exec"):
        return [called]
    if called == "torch.load" and told.get("weights_only") != "True":
        return [called]
    if called in ("np.load", "numpy.load") and told.get("allow_pickle", "False") != "False":
        return [called]
    if called.endswith(".fit") and "ckpt_path" in told and "weights_only" not in told:
        return [called]
    if called in ("yaml.load", "yaml.unsafe_load", "yaml.full_load") and told.get("Loader") not in (
        "loader",
        "_LOADER",
    ):
        return [called]
    return []


def test_the_look_at_the_source_sees_what_it_looks_for() -> None:
    said = "import pickle\ntorch.load(p)\nnp.load(p, allow_pickle=True)\neval(t)\nyaml.load(t, Loader=yaml.Loader)"
    assert sum(len(_unsafe(node)) for node in ast.walk(ast.parse(said))) == 5
