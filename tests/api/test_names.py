"""`import insula` loads nothing, and what it offers is there, documented and typed."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import insula as ins


def test_import_alone_loads_neither_the_api_nor_anything_heavy() -> None:
    code = (
        "import sys, insula\n"
        "print(sorted(n for n in sys.modules if n.startswith('insula')), 'numpy' in sys.modules)\n"
        "insula.load, insula.Cohort\n"
        "print(sorted({'torch', 'pandas', 'sklearn', 'pyarrow', 'fastapi', 'matplotlib'} & sys.modules.keys()))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == ["['insula'] False", "[]"]


def test_every_name_is_there_and_documented() -> None:
    assert set(ins.__all__) <= set(dir(ins))
    for name in ins.__all__:
        found = getattr(ins, name)
        assert name.startswith("__") or inspect.getdoc(found), name
    import insula.api as api

    assert set(api.__all__) == set(ins.__all__) - {"__version__"}


def test_a_name_that_is_none_says_what_may_be_meant() -> None:
    code = (
        "import insula\n"
        "for name in ('evaluate', 'nothing'):\n"
        "    try:\n"
        "        getattr(insula, name)\n"
        "    except AttributeError as error:\n"
        "        print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == [
        "module 'insula' has no attribute 'evaluate'; for a model write insula.load(BUNDLE).evaluate(...)",
        "module 'insula' has no attribute 'nothing'",
    ]


@pytest.mark.parametrize("kind", [ins.Cohort, ins.Model, ins.Result, ins.Explanation])
def test_every_method_has_types_and_a_sentence(kind: type) -> None:
    for name, found in vars(kind).items():
        one = found.__func__ if isinstance(found, classmethod) else found
        if name.startswith("_") or not inspect.isfunction(one):
            continue
        assert inspect.getdoc(one), name
        signature = inspect.signature(one)
        assert signature.return_annotation is not signature.empty, name
        given = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
        assert all(p.annotation is not p.empty for p in given), name
