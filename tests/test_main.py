from __future__ import annotations

import subprocess
import sys

from insula import __version__
from insula.core.errors import CohortError


def test_python_m_insula_is_the_command() -> None:
    said = subprocess.run([sys.executable, "-m", "insula", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.strip().endswith(f"version {__version__}")
    broken = subprocess.run(
        [sys.executable, "-m", "insula", "check", "nowhere.csv"], capture_output=True, text=True, check=False
    )
    assert broken.returncode == CohortError.exit_code
    assert broken.stderr.startswith("insula: There is no cohort 'nowhere.csv'")
