"""What the tests with real peers share: an Orthanc that knows the node, the node's port, and Insula beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.browser import made_bundle
from tests.pacs.orthanc import AE, Orthanc, free_port, running
from tests.pacs.site import PROJECT, Hospital, hospital

NODE_AE = "INSULA"
RULES = f"""
rules:
  - name: research
    when: {{source: RESEARCH, modality: CT}}
    project: {PROJECT}
    model: haemorrhage-ct
    send: [archive]
    pseudonymise: true
  - name: by the web
    when: {{source: reviewer, modality: CT}}
    project: {PROJECT}
    model: haemorrhage-ct
    send: [web]
  - name: head CT
    when: {{modality: CT}}
    project: {PROJECT}
    model: haemorrhage-ct
    send: [archive]
    objects: [report, capture, map, region, pdf]
"""


@pytest.fixture(scope="session")
def node_port() -> int:
    """The port under which Orthanc knows the node INSULA."""
    return free_port()


@pytest.fixture(scope="session")
def orthanc_server(tmp_path_factory: pytest.TempPathFactory, node_port: int) -> Iterator[Orthanc]:
    """One Orthanc for all tests of a process; tests add other callers through its REST interface."""
    folder = tmp_path_factory.mktemp("orthanc")
    with running(folder, {"insula": (NODE_AE, node_port)}) as found:
        yield found


@pytest.fixture
def orthanc(orthanc_server: Orthanc) -> Orthanc:
    """That Orthanc, empty."""
    orthanc_server.clear()
    return orthanc_server


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, orthanc_server: Orthanc, node_port: int) -> Iterator[Hospital]:
    """Service and node with a model that finds bright blood; Orthanc is the archive, by DICOM and by the web."""
    folder = tmp_path_factory.mktemp("hospital")
    peers = f"archive=dicom://{AE}@127.0.0.1:{orthanc_server.dicom} web={orthanc_server.web}"
    bundle = made_bundle.make(folder / "model" / "bundle")
    told = {"PEERS": peers, "ALLOW": f"SCANNER,RESEARCH,{AE}", "IDENTITY_KEY": "k" * 40}
    with hospital(folder, bundle, node_port, RULES, **told) as found:
        yield found
