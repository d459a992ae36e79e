"""A client of the published clot-origin system's API, as its users write them: `requests`, and nothing of Insula.

python clot_origin_client.py http://127.0.0.1:8000 clot-1.png clot-2.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import requests

CLASSES = ("CE", "LAA")
TIMEOUT = 60


def predict(server: str, image: str, **options: Any) -> dict[str, Any]:
    """One image. options: how the uncertainty is asked for, `data` or `params` of requests."""
    with open(image, "rb") as stream:
        response = requests.post(f"{server}/predict", files={"file": stream}, timeout=TIMEOUT, **options)
    response.raise_for_status()
    result: dict[str, Any] = response.json()
    return result


def batch_predict(server: str, images: list[str]) -> list[dict[str, Any]]:
    """Many images in one request."""
    files = [("files", (Path(image).name, Path(image).read_bytes(), "image/png")) for image in images]
    response = requests.post(f"{server}/batch_predict", files=files, timeout=TIMEOUT)
    response.raise_for_status()
    results: list[dict[str, Any]] = response.json()["results"]
    return results


def main(server: str, images: list[str]) -> None:
    """Print what the service says of the images, as one JSON object."""
    health = requests.get(f"{server}/health", timeout=TIMEOUT).json()
    if health["status"] != "ok" or not health["model_loaded"]:
        sys.exit(f"{server} has no model")
    info = requests.get(f"{server}/model_info", timeout=TIMEOUT).json()

    single = predict(server, images[0])
    if single["class_name"] != CLASSES[single["predicted_class"]]:
        sys.exit("class and name do not belong together")
    by_form = predict(server, images[0], data={"uncertainty": "true"})
    by_query = predict(server, images[0], params={"uncertainty": "true"})
    batch = batch_predict(server, images)

    refused = requests.post(f"{server}/predict", timeout=TIMEOUT)
    found = {
        "info": sorted(info),
        "class": single["class_name"],
        "confidence": single["confidence"],
        "CE": single["probabilities"]["CE"],
        "LAA": single["probabilities"]["LAA"],
        "told of uncertainty unasked": "uncertainty" in single,
        "uncertainty by form": by_form["uncertainty"]["CE"],
        "uncertainty by query": by_query["uncertainty"]["CE"],
        "batch": [
            {
                "filename": batch[i]["filename"],
                "class": batch[i]["class_name"],
                "confidence": batch[i]["confidence"],
                "CE": batch[i]["probabilities"]["CE"],
            }
            for i in range(len(batch))
        ],
        "status without a file": refused.status_code,
        "error without a file": bool(refused.json()["error"]),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), sys.argv[2:])
