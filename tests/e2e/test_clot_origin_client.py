"""A client that was written for another system's API runs unchanged against `insula serve`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests import tiny_bundle

from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.core import recipe as recipes
from insula.infer.predict import Predictor

pytestmark = pytest.mark.serve
CLIENT = Path(__file__).with_name("clot_origin_client.py")
SMALL = (f"inputs.slide.prep=[{{colour: rgb}}, {{resize: {tiny_bundle.SIZE}}}]", "model.encoder=simple_cnn",
         "model.pretrained=false")  # fmt: skip


def bundle(folder: Path) -> Bundle:
    """A bundle of the recipe `clot-origin`, with a network of a few weights."""
    recipe = recipes.load("clot-origin", SMALL)
    return save(folder / "bundle", tiny_bundle.parts(recipe, tiny_bundle.weights(3, 2)))


def pictures(folder: Path, count: int) -> list[Path]:
    """Colour pictures of noise."""
    rng = np.random.default_rng(3)
    found = []
    for n in range(count):
        found.append(folder / f"clot-{n}.png")
        Image.fromarray(rng.integers(0, 255, (48, 48, 3), np.uint8)).save(found[-1])
    return found


@contextmanager
def served(made: Bundle) -> Iterator[str]:
    """The address of `insula serve` on this bundle."""
    start = [sys.executable, "-c", "from insula.cli.serve import serve; serve()"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("INSULA_")} | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*start, str(made.path), "--port", "0", "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield next(word for word in line.split() if word.startswith("http://"))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def test_a_client_of_the_clot_origin_system_runs_unchanged(tmp_path: Path) -> None:
    assert not re.search(r"^\s*(import|from) insula", CLIENT.read_text(), re.MULTILINE), (
        "the script knows nothing of us"
    )
    made, images = bundle(tmp_path), pictures(tmp_path, 3)
    with served(made) as address:
        got = subprocess.run(
            [sys.executable, str(CLIENT), address, *map(str, images)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert got.returncode == 0, got.stderr
    said = json.loads(got.stdout)
    own = [Predictor(made, 1).path(image).probabilities for image in images]
    assert [said["CE"], said["LAA"]] == pytest.approx(list(own[0]), abs=1e-5)
    assert said["confidence"] == max(said["CE"], said["LAA"])
    assert {"classes", "name", "bundle_id"} <= set(said["info"])
    assert said["class"] == ("CE", "LAA")[int(np.argmax(own[0]))]
    assert [one["filename"] for one in said["batch"]] == [image.name for image in images]
    assert [one["CE"] for one in said["batch"]] == pytest.approx([p[0] for p in own], abs=1e-5)
    assert said["uncertainty by form"] == said["uncertainty by query"] > 0
    assert not said["told of uncertainty unasked"]
    assert (said["status without a file"], said["error without a file"]) == (415, True)
