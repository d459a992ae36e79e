"""Bundles that were changed, and bundles whose manifest was made to fit what is wrong in them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from tests.tiny_bundle import parts, recipe, weights

from insula.bundle.layout import LIMITS, MANIFEST
from insula.bundle.save import manifest_bytes, save
from insula.bundle.types import Parts


def changes(bundle: Path, seed: int, count: int) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Seeded changes of single files, every file in turn: a bit, a byte, a cut, an end, a hole, two halves swapped."""
    random, names = Random(seed), sorted(one.name for one in bundle.iterdir())
    for number in range(count):
        name = names[number % len(names)]
        data = (bundle / name).read_bytes()
        place, how = random.randrange(len(data)), random.randrange(7)
        one = 1 << random.randrange(8)
        made = (
            data[:place] + bytes((data[place] ^ one,)) + data[place + 1 :],
            data[:place] + bytes(((data[place] + random.randrange(1, 256)) % 256,)) + data[place + 1 :],
            data[:place],
            data + random.randbytes(1 + random.randrange(64)),
            data[:place] + random.randbytes(1) + data[place:],
            data[:place] + data[place + 1 :],
            data[place:] + data[:place] if place and data[place:] + data[:place] != data else data + b"\0",
        )[how]
        if name == MANIFEST and _means_the_same(data, made):
            made = data[:-3]
        yield (
            f"{name} {('bit', 'byte', 'cut', 'longer', 'put in', 'taken out', 'turned')[how]} at {place}",
            _write(name, made),
        )


def structures(bundle: Path) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Every file as a whole removed, renamed, doubled, emptied, and replaced by a link, a folder and a pipe."""
    ways: dict[str, Callable[[Path, str], object]] = {
        "removed": lambda place, name: (place / name).unlink(),
        "renamed": lambda place, name: (place / name).rename(place / f"{name}.old"),
        "in capitals": lambda place, name: (place / name).rename(place / name.upper()),
        "doubled": lambda place, name: shutil.copy(place / name, place / f"copy-{name}"),
        "emptied": lambda place, name: (place / name).write_bytes(b""),
        "a link to itself elsewhere": _linked,
        "a folder": _folder,
        "a pipe": _pipe,
    }
    for name in sorted(one.name for one in bundle.iterdir()):
        for what, way in ways.items():
            yield f"{name} {what}", partial(_done, way, name)
    yield "a hidden file beside", _write(".hidden", b"x")
    yield "a folder beside", lambda place: (place / "more").mkdir()
    yield "a pickle beside", _write("model.pt", b"\x80\x04.")


def liars(seed: int = 1) -> dict[str, dict[str, bytes]]:
    """Bundles whose manifest is right and whose contents are not: name → the files that differ from a sound one."""
    made = sound()
    tensors = made.weights
    length = int.from_bytes(tensors[:8], "little")
    head = json.loads(tensors[8 : 8 + length])
    first = next(name for name in head if name != "__metadata__")
    graph = made.model_onnx

    def header(**entry: Any) -> bytes:
        text = json.dumps({**head, first: {**head[first], **entry}}).encode()
        return struct.pack("<Q", len(text)) + text + tensors[8 + length :]

    found: dict[str, dict[str, bytes]] = {
        "weights of a header beyond the file": {"weights.safetensors": struct.pack("<Q", 1 << 60) + tensors[8:]},
        "weights of a header of 16 MB": {
            "weights.safetensors": struct.pack("<Q", (16 << 20) + 1) + b" " * ((16 << 20) + 1)
        },
        "weights of a header without an end": {"weights.safetensors": struct.pack("<Q", 60_000) + b'{"a":' * 12_000},
        "weights beyond the file": {"weights.safetensors": header(data_offsets=[0, 1 << 40])},
        "weights that overlap": {"weights.safetensors": header(data_offsets=[4, 8])},
        "weights of a negative place": {"weights.safetensors": header(data_offsets=[-8, 8])},
        "weights of a huge shape": {"weights.safetensors": header(shape=[1 << 40, 1 << 40])},
        "weights of a type that is none": {"weights.safetensors": header(dtype="PY")},
        "weights cut short": {"weights.safetensors": tensors[:-4]},
        "weights that go on": {"weights.safetensors": tensors + bytes(8)},
        "a table cut short": {"baseline.safetensors": struct.pack("<Q", 2) + b"{}"},
        "a table of nonsense": {"baseline.safetensors": b"\xff" * 64},
        "no graph": {"model.onnx": b""},
        "a graph of nonsense": {"model.onnx": b"\x08" * 999},
        "a graph cut short": {"model.onnx": graph[: len(graph) // 2]},
        "a graph without an end": {"model.onnx": b"\x3a\xff\xff\xff\xff\x7f" + graph},
        "a graph within graphs": {"model.onnx": _nested_graph(2000)},
        "a graph whose data lie elsewhere": {"model.onnx": _elsewhere(graph, "../../../etc/passwd")},
        "a graph of two graphs": {"model.onnx": graph + graph},
        "a graph of another model": {"model.onnx": made.head_onnx},
        "a graph of an operator that is none": {"model.onnx": _renamed(graph, "Conv", "Convict")},
        "a graph of another domain": {"model.onnx": _domain(graph)},
        "a graph that asks for 32 TB": {"model.onnx": swollen(graph, 1 << 43)},
        "a graph that asks for 8 GB": {"model.onnx": swollen(graph, 1 << 31)},
        "a recipe of laughs": {"recipe.yaml": _laughs()},
        "a recipe of merged laughs": {"recipe.yaml": _merged()},
        "a recipe without an end": {"recipe.yaml": b"a: " + b"[" * 200_000},
        "a recipe with a day that is none": {"recipe.yaml": b"name: 2020-13-45\n"},
        "a recipe that runs a program": {"recipe.yaml": b"!!python/object/apply:os.system ['false']\n"},
        "a decision without an end": {"decision.json": b"[" * 200_000},
        "a decision of a number without an end": {"decision.json": b'{"temperature": ' + b"9" * 100_000 + b"}"},
        "a decision of infinity": {"decision.json": b'{"temperature": 1e999}'},
        "metrics that are a list": {"metrics.json": b"[]"},
        "metrics without an end": {"metrics.json": b'{"a":' * 100_000},
        "provenance of half a character": {"provenance.json": b'{"a": "\xff"}'},
    }
    return found


def sound() -> Parts:
    """The parts of a bundle that is right."""
    made = recipe()
    return parts(made, weights(1, len(made.target.classes)))


def lying(folder: Path, files: dict[str, bytes]) -> Path:
    """A bundle's folder with some files replaced, and the manifest that goes with what is there."""
    path = save(folder / "bundle", sound()).path
    there = {name: files.get(name, (path / name).read_bytes()) for name in LIMITS}
    for name, data in there.items():
        (path / name).write_bytes(data)
    (path / MANIFEST).write_bytes(manifest_bytes(there))
    assert all(hashlib.sha256((path / n).read_bytes()).hexdigest().encode() in manifest_bytes(there) for n in files)
    return path


def another(folder: Path, offset: float) -> Path:
    """A sound bundle of the same recipe that gives other answers."""
    made = recipe()
    w = weights(1, len(made.target.classes))
    return save(
        folder / "bundle", parts(made, replace(w, offset=w.offset + np.asarray([offset, -offset], np.float32)))
    ).path


def swollen(graph: bytes, values: int) -> bytes:
    """A graph of the same ends that makes an array of so many float32 of a few bytes on its way.

    Their number is a product that the graph works out itself, so that no constant in it is too large.
    """
    model = onnx.load_from_string(graph)
    for name, value in (("some", values >> 20), ("times", 1 << 20)):
        model.graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), name))
    last = next(node for node in model.graph.node if node.output[0] == "logits")
    last.output[0] = "plain"
    more = [
        helper.make_node("Mul", ["some", "times"], ["many"]),
        helper.make_node("ConstantOfShape", ["many"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
        helper.make_node("Add", ["plain", "sum"], ["logits"]),
    ]
    model.graph.node.extend(more)
    data: bytes = model.SerializeToString()
    return data


def _elsewhere(graph: bytes, place: str) -> bytes:
    model = onnx.load_from_string(graph)
    one = model.graph.initializer[0]
    one.ClearField("raw_data")
    one.data_location = onnx.TensorProto.EXTERNAL
    entry = one.external_data.add()
    entry.key, entry.value = "location", place
    data: bytes = model.SerializeToString()
    return data


def _renamed(graph: bytes, old: str, new: str) -> bytes:
    model = onnx.load_from_string(graph)
    for node in model.graph.node:
        node.op_type = new if node.op_type == old else node.op_type
    data: bytes = model.SerializeToString()
    return data


def _domain(graph: bytes) -> bytes:
    model = onnx.load_from_string(graph)
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    data: bytes = model.SerializeToString()
    return data


def _nested_graph(depth: int) -> bytes:
    """Subgraphs within attributes within nodes (onnx.proto: graph.node = 1, node.attribute = 5, attribute.g = 6)."""
    inner = b""
    for _ in range(depth):
        for number in (6, 5, 1):
            inner = bytes((number << 3 | 2,)) + _varint(len(inner)) + inner
    return b"\x3a" + _varint(len(inner)) + inner


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _laughs() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    return "\n".join(lines).encode()


def _merged() -> bytes:
    lines = ["a0: &a0 {k0: 1, k1: 2}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}], z{i}: 1}}" for i in range(1, 10)]
    return "\n".join(lines).encode()


def _write(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda place: _nothing((place / name).write_bytes(data))


def _done(way: Callable[[Path, str], object], name: str, place: Path) -> None:
    way(place, name)


def _nothing(_: object) -> None:
    return None


def _linked(place: Path, name: str) -> None:
    target = place.parent / f"target-{name}"
    (place / name).rename(target)
    (place / name).symlink_to(target)


def _folder(place: Path, name: str) -> None:
    (place / name).unlink()
    (place / name).mkdir()


def _pipe(place: Path, name: str) -> None:
    (place / name).unlink()
    os.mkfifo(place / name)


def _means_the_same(old: bytes, new: bytes) -> bool:
    """Whether a manifest says the same as before: JSON's own blanks may change, and the version that wrote it."""
    try:
        before, after = json.loads(old), json.loads(new)
    except ValueError:
        return False
    return isinstance(after, dict) and {**before, "insula": ""} == {**after, "insula": ""}
