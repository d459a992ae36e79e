"""`insula audit --bench`: are planted faults named, and are clean cohorts left alone."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from insula.cli.output import emit, say

PAGE = "audit-bench.md"
MISSED = 1


def run(out: Path, seeds: range, clean: range, faults: tuple[str, ...], workers: int, as_json: bool) -> None:
    """Run the bench and write its page to OUT; exit code 1 where it does not hold what it is held to.

    seeds, clean: of the faults' cohorts and of the clean ones, both from the same first seed.
    """
    from insula.cli.training import needs_torch

    needs_torch()
    import torch

    from insula.core.provenance import write_text
    from insula.workflows.bench.page import holds, page
    from insula.workflows.bench.run import bench, find, tally

    torch.set_num_threads(1)
    chosen = find(faults)
    lines = bench(out, chosen, seeds, clean, say, workers)
    tallies = tally(lines, chosen)
    command = f"insula audit --bench --out bench --seeds {len(seeds)} --clean {len(clean)}"
    command += f" --first-seed {seeds.start}" if seeds.start else ""
    command += "".join(f" --fault {name}" for name in faults)
    write_text(out / PAGE, page(tallies, command))
    good = holds(tallies)
    text = "\n".join(f"{one.fault.name}: {one.named} of {one.n}" for one in tallies)
    emit(
        as_json,
        {"holds": good, "page": str(out / PAGE), "lines": [asdict(line) for line in lines]},
        f"{text}\nPage: {out / PAGE}",
    )
    if not good:
        sys.exit(MISSED)
