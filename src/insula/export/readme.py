"""The README of each form."""

from __future__ import annotations

from insula.core.recipe import Recipe
from insula.evaluate.outcome import LIMITS

_PATIENTS = (
    "Nothing here is of single patients: the hashes of training patients and files, and what a new scan would be held\n"
    "against, stay in the bundle. So whether a scan is like those it was trained on is not judged here, no scan is\n"
    "refused, and no answer is referred to a person."
)


def onnx(recipe: Recipe) -> str:
    """README.md of the ONNX form."""
    role = recipe.role
    return f"""# {recipe.name}, as ONNX

{recipe.question} {LIMITS}

| file | what it is |
|---|---|
| `model.onnx` | prepared scans in; logits, embedding and class maps out |
| `head.onnx` | embedding and a dropout mask in, logits out: Monte Carlo dropout without running the network again |
| `model.json` | inputs, shapes, preparation, order of classes, temperature, thresholds, how slices are pooled |
| `predict.py` | from prepared arrays to probabilities, with `numpy` and `onnxruntime` alone |
| `check/` | arrays of noise; the answer that is due for them is in `model.json` |
| `recipe.yaml`, `model-card.md` | as in the bundle |

```sh
pip install numpy onnxruntime
python predict.py --check
python predict.py {" ".join(f"{name}={name}.npy" for name in recipe.inputs)}
```

`{role}.npy` is one prepared scan: float32 (slices, channels, rows, columns), made by the steps that `model.json` names
(`prepared_by`) of a volume whose indices run to the patient's left, back and head. Means and standard deviations of
the channels are subtracted and divided in the graph: do not do it before. Insula prepares a scan so:

```python
from insula.bundle.load import load
from insula.infer.predict import Predictor
from insula.scans.read import read

array, warnings = Predictor(load("BUNDLE")).prepare(read("SCAN"), "{role}")
```

A class counts as present from its threshold on (`answer.thresholds`); for exclusive classes that of `answer.positive`
decides.{_further(recipe)}

{_PATIENTS}
"""


def safetensors(recipe: Recipe) -> str:
    """README.md of the safetensors form."""
    return f"""# {recipe.name}, as PyTorch weights

{recipe.question} {LIMITS}

| file | what it is |
|---|---|
| `weights.safetensors` | the weights by their names in the network{_members(recipe)}; no pickle |
| `recipe.yaml` | which network it is: encoder, pooling, heads |
| `model.json` | inputs, shapes, preparation, order of classes, temperature, thresholds, how slices are pooled |
| `load.py` | builds the network and fills it |
| `check/` | arrays of noise; the logits that are due for them are in `model.json` |
| `model-card.md` | as in the bundle |

```sh
pip install 'insula[train]'
python load.py
```

```python
from load import network

module = network()  # a torch.nn.Module
```

`module.explain(pictures, masks)` takes dictionaries by role and gives logits, embedding and class maps; temperature,
softmax and pooling over slices come after it and stand in `model.json` (`answer`). There is no TorchScript and nothing
that is unpickled.{_further(recipe)}

{_PATIENTS}
"""


def monai(recipe: Recipe, bundle: str) -> str:
    """docs/README.md of the MONAI form."""
    layout = (
        "one file, or one\nfolder with one series"
        if len(recipe.inputs) == 1
        else f"a folder that holds {' and '.join(f'`{role}`' for role in recipe.inputs)},\neach a file or a folder "
        "with one series; further scans of a role are `role.2`, `role.3`; one that is missing is left out"
    )
    clinical = "\nClinical columns are known as far as the files' headers tell them.\n" if recipe.clinical else ""
    return f"""# {recipe.name}, as a MONAI bundle

{recipe.question} {LIMITS}

What runs is Insula's own predictor on Insula's own bundle {bundle}, which lies whole in `models/insula`: reading,
checks, preparation, network, thresholds and decision are those that were evaluated. It is verified against its hashes
whenever it is opened.

It needs `insula` beside `monai` and `fire`; neither this bundle nor Insula asks for a GPU.

```sh
pip install insula 'monai[fire]'
python -m monai.bundle run --config_file configs/inference.json --dataset_dir SCANS --output_file predictions.json
```

in this folder; from elsewhere add `--bundle_root THIS_FOLDER`. In `SCANS` each entry is a case: {layout}.
The output is one JSON object with a result for each case: probabilities, decision (accept, refer or reject) with its
reasons, prediction set, distance from the training scans; or the error of a scan that cannot be read or is none for
this model.
{clinical}
There is no `model.pt`, which is a pickle, and no TorchScript; programs that take `network_def` out of a bundle find
none. The weights for PyTorch are written by `insula export --format safetensors`.

`models/insula/baseline.json` holds salted hashes of the training patients and hashes of the files, and `decision.json`
those of the patients it was decided on: pseudonyms, not anonymous. Ask whoever is responsible for the data before this
folder leaves the house.
"""


def _further(recipe: Recipe) -> str:
    names = ", ".join(f"`{name}`" for name in recipe.further)
    return f" The columns of the further targets ({names}) stand behind those of the first one." if names else ""


def _members(recipe: Recipe) -> str:
    count = recipe.model.members
    return f", member by member (`members.0.` to `members.{count - 1}.`)" if count > 1 else ""
