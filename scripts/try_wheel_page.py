"""The page about what an install costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SHOWN = 12


@dataclass(frozen=True)
class Installed:
    """One environment. sizes: bytes by package, without pip's own; seconds: from the command to its end."""

    name: str
    sizes: Mapping[str, int]
    seconds: float
    by: str

    @property
    def megabytes(self) -> float:
        """All packages, in millions of bytes."""
        return sum(self.sizes.values()) / 1e6

    def largest(self, most: int) -> str:
        """The packages that take most, with their megabytes."""
        found = sorted(self.sizes.items(), key=lambda item: -item[1])[:most]
        return ", ".join(f"{name} {size / 1e6:.0f}" for name, size in found)


def page(
    installed: Sequence[Installed], steps: Sequence[tuple[str, float]], wheel: int, machine: str, most: int
) -> str:
    """Sizes and times as Markdown. wheel: its bytes; most: megabytes that `insula` alone may take."""
    rows = [(f"`pip install '{one.name}'`", f"{one.megabytes:,.0f}", len(one.sizes), one.by) for one in installed]
    first = installed[0]
    ranked = sorted(first.sizes.items(), key=lambda item: -item[1])
    rest = sum(size for _, size in ranked[_SHOWN:])
    lines = [
        "# What an install costs",
        "",
        "The built wheel in new environments, with the versions of `constraints.txt`. `make try-wheel` does it and",
        f"leaves this page in `runs/install.md`. The wheel itself has {wheel / 1e6:.1f} MB. {machine}.",
        "",
        "## Size",
        "",
        "Megabytes (10⁶ bytes) of all packages, with the compiled Python where pip compiles it, without pip itself.",
        f"`make try-wheel` fails where `insula` alone takes more than {most} MB; `insula[serve]` was put over it.",
        "",
        *_table(("command", "MB", "packages", "installed by"), rows),
        "",
        f"The largest of `{first.name}`:",
        "",
        *_table(
            ("package", "MB"),
            [(name, f"{size / 1e6:.1f}") for name, size in ranked[:_SHOWN]] + [("all others", f"{rest / 1e6:.1f}")],
        ),
        "",
        "## What was done, in this order",
        "",
        "In the first environment `torch`, `pandas`, `pyarrow`, `sklearn` and `matplotlib` cannot be imported; there",
        "`insula demo`, `insula serve` and `insula evaluate` end with the command that installs what they lack.",
        "The demo runs in the environment with training; its bundle is then used in the first one. Seconds are those",
        "of one run, other work beside it (see the load above), packages from the caches of pip and uv where they were",
        "there: they tell an order of size.",
        "",
        *_table(("step", "seconds"), [(f"`{what}`" if what[:1].islower() else what, f"{s:.1f}") for what, s in steps]),
    ]
    return "\n".join(lines) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    return [f"| {' | '.join(str(cell) for cell in row)} |" for row in (head, ["---"] * len(head), *rows)]
