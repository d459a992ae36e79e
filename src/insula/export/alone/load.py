"""The network of an exported model as a PyTorch module, in evaluation on the CPU. It needs insula[train].

    python load.py        load it, and compare it with the answer that is due for the check's arrays

It ends with 0, with 1 where another answer is found, and with 2 where a file is not as it was written.
In another program beside this file: `from load import network`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from insula.core import recipe as recipes
from insula.core.errors import InsulaError
from insula.infer.feed import of_case
from insula.model.ensemble import Ensemble
from insula.model.network import Network
from insula.train.of_bundle import of_tensors

HERE = Path(__file__).parent


def network(folder: Path = HERE) -> Network | Ensemble:
    """The network with its weights: `explain(pictures, masks, clinical)` gives logits (N, K), embedding and class maps.

    pictures: role → (N, S, C, H, W), prepared and not yet normalised. masks: role → (N, B, S). An ordinary nn.Module:
    its parameters can be fitted further, and `state_dict()` is what lies in weights.safetensors (of an ensemble member
    by member).
    """
    facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    shapes = {one["role"]: tuple(one["shape"][2:]) for one in facts["inputs"]}
    return of_tensors(recipes.load(folder / "recipe.yaml"), shapes, load_file(folder / "weights.safetensors"))


def check(folder: Path = HERE) -> float:
    """The largest difference between the network's logits for the check's arrays and those that are due, relative."""
    facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    recipe = recipes.load(folder / "recipe.yaml")
    shapes = {one["role"]: tuple(one["shape"][2:]) for one in facts["inputs"]}
    views = {role: (np.load(folder / name, allow_pickle=False),) for role, name in facts["check"]["scans"].items()}
    feed = of_case(views, [float("nan")] * len(facts["clinical"]), shapes, recipe)
    tensors = {name: torch.from_numpy(array) for name, array in feed.items()}
    pictures, masks = {r: tensors[r] for r in shapes}, {r: tensors[f"{r}_mask"] for r in shapes}
    with torch.no_grad():
        found = network(folder).explain(pictures, masks, tensors.get("clinical")).logits.numpy()
    due = np.asarray(facts["check"]["logits"])
    return float(np.abs(found - due).max() / max(1.0, float(np.abs(due).max())))


def main(words: Sequence[str]) -> int:
    """The command line."""
    if words:
        known = list(words) in (["-h"], ["--help"])
        (sys.stdout if known else sys.stderr).write(
            f"{__doc__}\n" if known else f"load.py takes nothing, and it was given '{words[0]}'.\n\n{__doc__}\n"
        )
        return 0 if known else 2
    try:
        apart = check()
    except (OSError, ValueError, EOFError, InsulaError) as error:
        sys.stderr.write(f"A file of this folder cannot be read ({error}); export the model again.\n")
        return 2
    sys.stdout.write(f"largest difference {apart:.2g}\n")
    return 0 if apart <= 1e-3 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
