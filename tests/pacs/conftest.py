"""What the tests with real peers share: an Orthanc that knows the node, and the node's port."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.pacs.orthanc import Orthanc, free_port, running

NODE_AE = "INSULA"


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
