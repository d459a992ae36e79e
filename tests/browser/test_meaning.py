"""The slider of the case page computes what the report computes: both formulas, held against each other."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from insula.metrics.intervals import Figure
from insula.metrics.prevalence import Ends, at_prevalence
from insula.report.case import say, texts

pytestmark = pytest.mark.browser
WEB = Path(__file__).parents[2] / "web"
Span = tuple[float, float, float]
PAIRS: tuple[tuple[Span, Span], ...] = (
    ((0.943, 0.881, 0.974), (0.848, 0.767, 0.904)),
    ((0.9, 0.8, 1.0), (1.0, 0.95, 1.0)),
    ((0.0, 0.0, 0.2), (1.0, 0.9, 1.0)),  # no answer is positive: there is no PPV
    ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
)
PREVALENCES = (0.001, 0.01, 0.05, 0.2, 0.5, 0.9)
_RUN = """
import {{ atPrevalence, percent, placeOf, prevalenceAt }} from {module};
const plain = (ends) => ends.map((x) => (Number.isFinite(x) ? x : null));
const rows = {asked}.map(([se, sp, p]) => {{
  const {{ ppv, npv, alerts }} = atPrevalence(se, sp, p);
  const said = [...ppv, ...npv].map(percent);
  const back = placeOf(prevalenceAt(placeOf(p))) - placeOf(p);
  return {{ ppv: plain(ppv), npv: plain(npv), alerts: plain(alerts), said, back }};
}});
console.log(JSON.stringify(rows));
"""


def _computed(asked: Sequence[tuple[Span, Span, float]], folder: Path) -> list[dict[str, Any]]:
    """What the page's script says, run by Node after the same compiler that builds the pages."""
    module = folder / "meaning.mjs"
    source = WEB / "src" / "case" / "meaning.ts"
    compiler = WEB / "node_modules" / ".bin" / "rolldown"
    subprocess.run([compiler, source, "--format", "esm", "--file", module], check=True, capture_output=True, cwd=WEB)
    script = folder / "run.mjs"
    script.write_text(_RUN.format(module=json.dumps(str(module)), asked=json.dumps(asked)))
    done = subprocess.run(["node", script], check=True, capture_output=True, text=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _figure(one: Span) -> Figure:
    return Figure(one[0], (one[1], one[2]), "", 10, 10, 5, "")


def _near(found: list[float | None], wanted: Ends) -> bool:
    return all(
        (a is None) == (not math.isfinite(b)) and (a is None or math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12))
        for a, b in zip(found, wanted, strict=True)
    )


def test_both_formulas_say_the_same(tmp_path: Path) -> None:
    asked = [(se, sp, p) for se, sp in PAIRS for p in PREVALENCES]
    t = texts.texts("en")
    for (se, sp, p), row in zip(asked, _computed(asked, tmp_path), strict=True):
        wanted = at_prevalence(_figure(se), _figure(sp), p)
        assert wanted is not None
        assert _near(row["ppv"], wanted.ppv), (se, sp, p)
        assert _near(row["npv"], wanted.npv), (se, sp, p)
        assert _near(row["alerts"], wanted.alerts_per_1000), (se, sp, p)
        assert row["said"] == [say.percent(x, t) for x in (*wanted.ppv, *wanted.npv)], (se, sp, p)
        assert row["back"] == 0
