"""The page about what Insula is delivered with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from scripts.supply_bill import UNKNOWN, Advisories, Part, copyleft
from scripts.supply_wheel import EPOCH, Wheels


def page(
    wheels: Wheels,
    strangers: Sequence[str],
    parts: Sequence[Part],
    invalid: str,
    licences: Mapping[str, str],
    found: Advisories,
) -> str:
    """All findings as Markdown."""
    always = sum("" in part.extras for part in parts)
    size = wheels.path.stat().st_size
    lines = [
        "# What Insula is delivered with",
        "",
        "Written by `make supply`, which also leaves the bill of materials (`bill.cdx.json`, CycloneDX 1.6), the list",
        "of all licences (`licences.json`) and pip-audit's answer (`advisories.json`) under `runs/supply`.",
        "",
        "## The wheel",
        "",
        "Built twice from copies in two folders, with other times of files, another mask, time zone and hash seed, and "
        f"`SOURCE_DATE_EPOCH={EPOCH}`: {_equal(wheels)}; "
        f"{size / 1e6:.1f} MB. (Its SHA-256 cannot stand here: this page is in it. `make supply` says it.)",
        "",
        "In it that do not belong (pickles, programs, archives, arrays, unknown endings): "
        + ("none." if not strangers else "**" + "; ".join(strangers) + "**."),
        "",
        "## Bill of materials",
        "",
        f"{len(parts)} distributions come by the wheel and its parts for users (docs/install.md), {always} of them "
        "always. " + ("The bill is valid CycloneDX 1.6." if not invalid else f"**The bill is not valid: {invalid}**"),
        "",
        "## Licences",
        "",
        *_table(("licence, as its makers say it", "parts"), Counter(licences.values()).most_common()),
        "",
        *_named(
            "Of licences that ask to share changes (copyleft)",
            {k: v for k, v in licences.items() if copyleft(v)},
            parts,
        ),
        "",
        *_named("Of no licence that the metadata name", {k: v for k, v in licences.items() if v == UNKNOWN}, parts),
        "",
        "## Known advisories",
        "",
        *_advisories(found, len(parts)),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _equal(wheels: Wheels) -> str:
    if wheels.same:
        return "equal to the last bit"
    return f"**not equal: {', '.join(wheels.different[:5]) or 'the order of what they hold'}**"


def _named(what: str, found: Mapping[str, str], parts: Sequence[Part]) -> list[str]:
    if not found:
        return [f"{what}: none."]
    by = {f"{part.name} {part.version}": part.extras for part in parts}
    rows = [(name, licence, ", ".join(extra or "always" for extra in by[name])) for name, licence in found.items()]
    return [f"{what}:", "", *_table(("part", "licence", "comes by"), rows)]


def _advisories(found: Advisories, count: int) -> list[str]:
    if found.unreached and not found.known:
        return [f"Not known: {found.unreached}."]
    note = [f"Not asked for all of them: {found.unreached}.", ""] if found.unreached else []
    if not found.known:
        return [*note, f"None for these {count} versions in PyPI's own records, by pip-audit."]
    return [*note, *_table(("part", "version", "advisory", "mended in"), found.known)]


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    return [f"| {' | '.join(str(cell) for cell in row)} |" for row in (head, ["---"] * len(head), *rows)]
