"""Roles and permissions in words, as a person reads them; the sentences are those of the catalogues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from insula.serve.people.roles import Permission, Role

ROLE_SAYS: Final[Mapping[Role, str]] = {
    "reader": "sees the studies of their projects, uploads and predicts",
    "reviewer": "does what a reader does, reviews, searches a PACS, and exports reviewed cases",
    "admin": "does what a reviewer does, lets people in, makes projects, manages models, erases, reads the trail",
    "auditor": "reads the trail and the monitoring, and sees no patient",
}
MAY: Final[Mapping[Permission, str]] = {
    "study.read": "see studies, predictions, pictures and reports of your projects",
    "study.write": "upload scans, join them into cases and write notes",
    "study.predict": "ask for predictions",
    "study.erase": "erase studies and patients",
    "patient.export": "export everything that is kept about a patient",
    "review.read": "see reviews",
    "review.write": "review: agree, override, or say that it cannot be told",
    "cohort.export": "export reviewed cases for training",
    "summary.ask": "ask for written summaries",
    "glass.break": "open one study of another project for an hour, with a reason",
    "model.read": "see the models and how they were evaluated",
    "model.manage": "register models, put them in charge and retire them",
    "job.read": "see jobs",
    "job.cancel": "cancel jobs",
    "key.own": "make API keys of your own and end them",
    "user.manage": "let people in, change them, end their keys and sessions",
    "project.manage": "make projects, rename them and say for how long they keep what",
    "trail.read": "read the trail",
    "monitor.read": "see the monitoring",
    "pacs.read": "see what came in over the network, and search a PACS",
    "pacs.move": "fetch studies from a PACS and send results to it",
}
