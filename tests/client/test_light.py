"""The client comes alone: without the service, PyTorch, NumPy, and httpx only once it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.serve


def test_importing_it_imports_nothing_else() -> None:
    code = (
        "import sys, insula.client\n"
        "heavy = {'torch', 'numpy', 'fastapi', 'sqlalchemy', 'pydantic', 'httpx', 'insula.serve', 'insula.scans'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert got.returncode == 0, got.stderr
