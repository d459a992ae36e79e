"""Each check of `make lint-deploy` finds a fault that is put into a copy of the files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from scripts import lint_deploy
from tests.house.walk import ROOT

NEEDED = ("kubectl", "nginx", "promtool", "shellcheck", "systemd-analyze")
MISSING = [name for name in NEEDED if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {MISSING}; make lint-deploy brings what Debian has"),
]

FAULTS: list[tuple[Callable[[], str], str, str, str, str]] = [
    (lint_deploy.dockerfiles, "containers/Dockerfile", "USER 10001:10001", "USER root", "DL3002"),
    (
        lint_deploy.compose,
        "containers/compose.yaml",
        "    healthcheck: {disable: true}",
        "    helthcheck: {}",
        "helthcheck",
    ),
    (lint_deploy.yamls, "containers/alerts.yml", "groups:", "groups :", "colon"),
    (lint_deploy.kustomizations, "deploy/kubernetes/base/worker.yaml", "replicas: 2", "replicas: two", "replicas"),
    (lint_deploy.kustomizations, "deploy/kubernetes/base/kustomization.yaml", "- node.yaml", "- nod.yaml", "nod.yaml"),
    (
        lint_deploy.proxy,
        "containers/nginx.conf",
        "ssl_session_tickets off;",
        "ssl_session_tickets;",
        "ssl_session_tickets",
    ),
    (
        lint_deploy.prometheus,
        "containers/alerts.yml",
        "sum(max by (kind) (insula_jobs_due)) > 50",
        "sum(insula_jobs_due) > 50",
        "FAILED",
    ),
    (
        lint_deploy.prometheus,
        "containers/prometheus.yml",
        "scrape_interval: 15s",
        "scrape_intervall: 15s",
        "scrape_intervall",
    ),
    (
        lint_deploy.units,
        "deploy/systemd/insula.service",
        "ProtectSystem=strict",
        "ProtectSistem=strict",
        "ProtectSistem",
    ),
    (lint_deploy.units, "deploy/systemd/insula.service", "CapabilityBoundingSet=\n", "", "exposure"),
    (lint_deploy.shells, "containers/make-secrets", 'cd "$(dirname "$0")"', "cd $(dirname $0)", "SC2086"),
]


@pytest.mark.parametrize(("check", "name", "sound", "fault", "told"), FAULTS, ids=[f"{f[1]}-{f[4]}" for f in FAULTS])
def test_a_fault_is_found(
    check: Callable[[], str],
    name: str,
    sound: str,
    fault: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for folder in ("containers", "deploy"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("secrets", "bundles", ".env"))
    for constant, place in (
        ("CONTAINERS", "containers"),
        ("CLUSTER", "deploy/kubernetes"),
        ("UNITS", "deploy/systemd"),
    ):
        monkeypatch.setattr(lint_deploy, constant, tmp_path / place)
    monkeypatch.setattr(lint_deploy, "ROOT", tmp_path)
    text = (tmp_path / name).read_text()
    assert sound in text
    (tmp_path / name).write_text(text.replace(sound, fault))
    assert told in check()
