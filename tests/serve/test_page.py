from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests import tiny_bundle as tiny_parts
from tests.serve.client import client, dicom

from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.infer.heatmap import class_scale, top_slices
from insula.infer.predict import Predictor

pytestmark = pytest.mark.serve


def test_the_start_page_names_the_model_and_takes_a_file(tiny_bundle: Callable[..., Bundle]) -> None:
    bundle = tiny_bundle()
    got = client(bundle).get("/")
    assert got.headers["content-type"].startswith("text/html")
    assert bundle.id in got.text
    assert bundle.recipe.question in got.text
    assert 'enctype="multipart/form-data"' in got.text
    assert "Research use only" in got.text
    assert '<label for="file">' in got.text


def test_the_page_asks_nobody_else_for_anything(tiny_bundle: Callable[..., Bundle]) -> None:
    service = client(tiny_bundle())
    for page in (service.get("/").text, service.post("/", files={"file": dicom()}).text):
        assert not re.search(r"https?://", page)
        assert "<script" not in page
        assert " style=" not in page
        assert " onclick" not in page
    css = service.get("/insula.css")
    assert css.headers["content-type"].startswith("text/css")
    assert "url(" not in css.text
    assert "@import" not in css.text


def test_the_result_page_shows_what_predict_says_and_a_picture(tiny_bundle: Callable[..., Bundle]) -> None:
    service = client(tiny_bundle())
    said = service.post("/predict?uncertainty=true", files={"file": dicom()}).json()
    page = service.post("/", files={"file": dicom()}, data={"uncertainty": "true"})
    assert page.status_code == 200
    for name, p in said["probabilities"].items():
        assert name in page.text
        assert f"{p:.3f}" in page.text
        assert f"{said['uncertainty'][name]:.3f}" in page.text
    for reason in said["insula"]["reasons"]:
        assert reason in page.text
    picture = re.search(r'src="data:image/png;base64,([^"]+)"', page.text)
    assert picture is not None
    assert Image.open(io.BytesIO(base64.b64decode(picture[1]))).size[1] == 384
    assert re.search(
        r"Slice 1 of 1 of the prepared scan, the one with most evidence for “(normal|stroke)”\. Bar: 0 to", page.text
    )
    assert "score per cell" in page.text
    assert "lies on it is no proof" in page.text


@pytest.mark.parametrize("kind", ["binary", "multilabel"])
def test_the_map_beside_a_no_is_that_of_the_finding_and_says_so(tmp_path: Path, kind: str) -> None:
    recipe = tiny_parts.recipe(kind)
    made = tiny_parts.weights(1, len(recipe.target.classes))
    k = recipe.target.positive_index
    made.head[k] = np.abs(made.head[k])  # every feature speaks for it
    made.offset[:] = 0.0
    made.offset[k] = -50.0  # and yet it is not called present
    bundle = save(tmp_path / "b", tiny_parts.parts(recipe, made))
    files = [("file", (f"{i}.dcm", dicom(number=i))) for i in (1, 2, 3)]
    page = client(bundle).post("/", files=files).text
    name = recipe.target.positive
    found = re.search(
        rf"Slice ([123]) of 3 of the prepared scan, the one with most evidence for “{name}”, which the model does not "
        r"call present\. Bar: 0 to ([\d.e-]+), score per cell",
        page,
    )
    assert found is not None
    assert f'alt="Slice {found[1]} of 3 with evidence for “{name}”, which the model does not call present' in page
    predictor = Predictor(bundle, threads=1)
    (tmp_path / "scan").mkdir()
    for _, (file, data) in files:
        (tmp_path / "scan" / file).write_bytes(data)
    heat = predictor.path(tmp_path / "scan").heatmaps["ct"]
    assert float(found[2]) == pytest.approx(class_scale(heat, k), rel=0.01)  # the whole scan's, as of `insula explain`
    assert int(found[1]) == top_slices(heat, k, 1)[0] + 1


def test_where_nothing_raises_the_score_no_picture_is_drawn(tmp_path: Path) -> None:
    made = tiny_parts.weights(1, 2)
    made.head[1] = -np.abs(made.head[1])
    made.offset[:] = [-50.0, 50.0]
    page = (
        client(save(tmp_path / "b", tiny_parts.parts(tiny_parts.recipe(), made)))
        .post("/", files={"file": dicom()})
        .text
    )
    assert "No heat: no part of the scan is evidence for “stroke”." in page
    assert "<img" not in page


def test_a_rejected_scan_gets_no_answer_and_no_picture(tmp_path: Path) -> None:
    bundle = save(tmp_path / "b", tiny_parts.rejecting(tiny_parts.parts(tiny_parts.recipe(), tiny_parts.weights(1, 2))))
    page = client(bundle).post("/", files={"file": dicom()}, data={"uncertainty": "true"}).text
    assert "No answer" in page
    assert "too unlike the training scans" in page
    assert 'role="alert"' in page
    for absent in ("Probabilities", "No reason to refer", "<img", "No heat", "no proof", "<meter"):
        assert absent not in page


def test_errors_stand_on_the_page_with_their_status_and_escaped(tiny_bundle: Callable[..., Bundle]) -> None:
    service = client(tiny_bundle())
    got = service.post("/", files={"file": ("<b>x</b>", b"rubbish")})
    assert got.status_code == 415
    assert 'role="alert"' in got.text
    assert "<b>" not in got.text
    assert service.post("/").status_code == 415
    assert client(None).post("/", files={"file": dicom()}).status_code == 503
