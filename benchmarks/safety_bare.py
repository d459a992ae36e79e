"""A service without any safety: FastAPI, pydicom, the same preparation, ONNX Runtime, and nothing else (see safety.py).

No process for decoding, no checks of what is sent or asked, no limits, no queue, no records, no log, no judgement of
the answer: what somebody writes who wants a number over HTTP. Started by uvicorn (`safety_bare:app`) with the bundle's
folder in BENCH_BUNDLE. It takes what /predict takes.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pydicom
from fastapi import FastAPI, UploadFile

from insula.bundle.load import load
from insula.core.types import FloatArray, Volume
from insula.infer.feed import of_case
from insula.infer.providers import start
from insula.prep.run import prepare

bundle = load(Path(os.environ["BENCH_BUNDLE"]))
recipe = bundle.recipe
session, _ = start((bundle.path / "model.onnx").read_bytes(), "model.onnx", ("cpu",), None)
shapes = {recipe.role: tuple(session.get_inputs()[0].shape[2:])}
app = FastAPI()


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/predict")
def predict(file: UploadFile) -> dict[str, float]:
    found = session.run(["logits"], of_case({recipe.role: (prepared(file),)}, (), shapes, recipe))[0][0]
    raised = np.exp(found - found.max())
    return dict(zip(recipe.target.classes, (raised / raised.sum()).tolist(), strict=True))


def prepared(file: UploadFile) -> FloatArray:
    """The slice as the network gets it: (1, C, H, W)."""
    read = pydicom.dcmread(file.file)
    hu = read.pixel_array.astype(np.float32) * float(read.RescaleSlope) + float(read.RescaleIntercept)
    down, across = (float(value) for value in read.PixelSpacing)
    affine = np.diag([across, down, float(read.SliceThickness), 1.0])
    return prepare(Volume(hu[None, None], affine, "HU", "CT", "upload"), recipe.inputs[recipe.role])
