"""Insula: from a folder of brain scans to a classifier that its owner can defend. Research use only."""

from __future__ import annotations

import os

__version__ = "0.1.0"

# Libraries that tell their makers how they are used, unasked: ONNX Runtime keeps an id of the machine and reports each
# model that is loaded. It has to be said before they are imported, and who has said otherwise is heard.
for _name, _told in (
    ("ORT_DISABLE_TELEMETRY", "1"),
    ("RAY_USAGE_STATS_ENABLED", "0"),
    ("HF_HUB_DISABLE_TELEMETRY", "1"),
    ("MLFLOW_DISABLE_TELEMETRY", "true"),
):
    os.environ.setdefault(_name, _told)
