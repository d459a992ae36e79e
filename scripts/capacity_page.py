"""The words, tables and the picture of docs/scale.md."""

from __future__ import annotations

import argparse
from typing import Any

import capacity_page_archive as archive
import capacity_queue as queue
from capacity_costs import KEPT, NETWORKS, SYNTAXES, parts_of, work_of
from capacity_page_archive import PARTS
from capacity_queue import DAY, HOUR
from capacity_words import about, seconds, size, table, wrapped

from insula.report.draw import LETTERS, Axis, Chart

QUIET = 0.5  # load from which on other work is said to have been under way
DASHES = ("solid", "dash", "dot", "mixed")
COLOURS = ("blue", "orange", "green", "purple")


def written(costs: dict[str, Any], found: dict[str, Any], o: argparse.Namespace) -> str:
    """The whole page."""
    said = [
        *_opening(costs, o),
        *_short(costs, found, o),
        *_study(costs),
        *_kept(costs, found, o),
        *_hospital(found["hospital"], o),
        *_region(costs, found["region"], o),
        *archive.national(costs, found["national"], o),
        *archive.drivers(costs, found["national"], o),
        *archive.gpus(costs, found["national"], o),
        *_trust(costs, found, o),
    ]
    return "\n".join(wrapped(said)).rstrip() + "\n"


def picture(region: dict[str, Any], o: argparse.Namespace) -> str:
    """Waits by the hour of arrival for the region's lines, uncompressed, as an SVG file."""
    top = 600.0
    chart = Chart(
        "Region: wait of 99% by hour of arrival, uncompressed",
        Axis(0, 24, "hour of arrival", (0, 4, 8, 12, 16, 20, 24)),
        Axis(0, top, "seconds, cut off at 600"),
        620.0,
        300.0,
    )
    for i, mbit in enumerate(o.link[: len(DASHES)]):
        hours = region["hours"][mbit, "uncompressed"]
        chart.line([h + 0.5 for h in range(24)], hours, LETTERS[i], dash=DASHES[i])
    paper = f'<rect width="{chart.width:g}" height="{chart.height:g}" fill="#fff"/>'
    svg = chart.done().svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return svg.replace(">", f">{paper}", 1) + "\n"


def _opening(costs: dict[str, Any], o: argparse.Namespace) -> list[str]:
    busy = " (other work was under way: a quiet machine gives other figures)" if costs["load"] > QUIET else ""
    return [
        "# How far it scales: a capacity plan",
        "",
        "Written by `.venv/bin/python scripts/capacity_plan.py` (`make docs/scale.md`). The costs of one study are "
        "measured by `make bench-study-cost` (docs/results/study-cost.json); all else on this page is computed or "
        "simulated from them, with the assumptions of the last section. No archive, region or hospital was measured, "
        "and no GPU.",
        "",
        f"Costs measured on: {costs['machine']}; load of the machine before: {costs['load']:.1f}{busy}. Medians of "
        f"{costs['rounds']} interleaved rounds in processor time; made head CT of {costs['slices']} slices of "
        f"{costs['side']}².",
        "",
    ]


def _short(costs: dict[str, Any], found: dict[str, Any], o: argparse.Namespace) -> list[str]:
    hospital, region, national = found["hospital"], found["region"], found["national"]
    full = [n for (network, n), one in hospital["growth"].items() if network == "resnet50" and one.nearly_all > 300]
    grown = f"from {min(full):,}" if full else f"from more than {max(n for _, n in hospital['growth']):,}"
    first, second = national["limits"][:2]
    heavy = work_of(costs, "resnet50") * national["studies"] / DAY
    store = {
        name: costs["bytes"][f"archive, {name}"] * national["studies"] * 8 / (o.store * 1e9) / DAY for name in SYNTAXES
    }
    return [
        "## What breaks first, and what then",
        "",
        f"- **A hospital of {o.studies:,.0f} studies a day** needs one core: with ResNet-50 it is at work for "
        f"{hospital['by_cores']['resnet50', 1].load:.1%} of the day, and 99% of the answers are there within "
        f"{seconds(hospital['by_cores']['resnet50', 1].nearly_all)}. First the service's short queue gives way: where "
        f"four hours' studies come at once, {hospital['bad']['service']['the four hours at once']:.0%} of them are "
        "refused (503) and have to be sent again. Then the only worker, when it dies: all wait until it is back. The "
        f"core itself is too little for ResNet-50 {grown} studies a day on (of the numbers tried).",
        f"- **A region of {o.hospitals} hospitals**: first the line, where it is narrow. In the fullest hour "
        f"uncompressed studies fill {_mbit(costs, region, 'uncompressed'):,.0f} Mbit/s and JPEG-LS "
        f"{_mbit(costs, region, 'JPEG-LS'):,.0f}. Then the cores: behind a wide line ResNet-50 needs "
        f"{_least(region, 'resnet50')}, ResNet-18 {_least(region, 'resnet18')}. Then the one place on which all "
        "depend.",
        f"- **A national archive of {o.slices:,.0f} slices** ({national['studies']:,} studies): first the one driver "
        f"of a batch. From about {about(first.studies)} studies on {first.part}: {first.then}. From "
        f"{about(second.studies)} on {second.part}: {second.then}. What then: the archive in parts (a year, a "
        f"hospital), one command and one table each; {PARTS:,} parts keep every figure of a driver far from its "
        f"limit, and nothing has to be written for it. Then cores and store: 1,024 cores need {heavy / 1024:,.1f} "
        f"days for ResNet-50, and a store of {o.store:g} Gbit/s {store['JPEG-LS']:,.1f} days for JPEG-LS and "
        f"{store['uncompressed']:,.1f} for uncompressed scans.",
        "",
    ]


def _study(costs: dict[str, Any]) -> list[str]:
    names = [*NETWORKS, *(f"{name}, 8-bit integers" for name in ("resnet18", "resnet50"))]
    each = {name: parts_of(costs, name, KEPT) for name in names}
    rows = [
        [part, *(f"{each[name][part] * 1e3:,.1f}" for name in names)] for part in each[names[0]] if part != "writing"
    ]
    rows.append(
        ["writing of the row, its share of the table", *(f"{each[name]['writing'] * 1e3:,.2f}" for name in names)]
    )
    rows.append(["**one study**", *(f"**{work_of(costs, name) * 1e3:,.0f}**" for name in names)])
    rows.append(["studies a day and core", *(f"{DAY / work_of(costs, name):,.0f}" for name in names)])
    read = ", ".join(f"{name} {costs['seconds'][f'read, {name}'] * 1e3:,.0f}" for name in SYNTAXES)
    maps = f"{costs['maps']:.1%}" if costs["maps"] >= 0.01 else "less than 1%, or than can be told from noise here,"
    batch = f"{costs['batch']['network']}, {costs['batch']['seconds'] * 1e3:,.0f}"
    return [
        "## One study on one core",
        "",
        f"Milliseconds of one core, {KEPT} files, one thread:",
        "",
        *table(["part", *names], rows),
        "",
        f"- Reading and decoding by syntax, ms: {read}. The files lay in memory: a store's own time is not in it.",
        "- *Between processes*: what the whole batch takes beyond its parts, decoding being done in a process of its "
        f"own. The whole batch, uncompressed, ms of processor time a study: {batch}.",
        f"- The class maps are part of the network's graph and take {maps} of a ResNet-18's time.",
        f"- Pictures of the heat ({costs['bytes']['pictures']} slices) take {costs['seconds']['evidence'] * 1e3:,.0f} "
        "ms more; a batch does not draw them.",
        "- Weights are random: the time does not depend on them. What 8-bit integers cost in accuracy is measured "
        "for each bundle ([optimise.md](optimise.md)).",
        "",
    ]


def _kept(costs: dict[str, Any], found: dict[str, Any], o: argparse.Namespace) -> list[str]:
    bytes_of = costs["bytes"]
    year = 365 * o.studies
    counts = (1, year, year * o.hospitals, found["national"]["studies"])
    kinds = {
        "DICOM, uncompressed": "archive, uncompressed",
        "DICOM, JPEG-LS": "archive, JPEG-LS",
        "DICOM, JPEG 2000": "archive, JPEG 2000",
        "prepared cache (training alone)": "prepared",
        "heat pictures (where they are drawn)": "evidence",
        "class maps of SimpleCNN (not kept by a batch)": "class maps",
        "line of the journal (until the table is there)": "journal",
        "row of the table": "row",
    }
    rows = [[name, *(size(bytes_of[key] * count) for count in counts)] for name, key in kinds.items()]
    return [
        "## What is kept",
        "",
        *table(["", "a study", "hospital, a year", "region, a year", "archive"], rows),
        "",
        "Answers are small: what has to be bought is room for the scans, which is there already. The prepared cache "
        "is as large as the scans; a batch does not write one.",
        "",
    ]


def _hospital(hospital: dict[str, Any], o: argparse.Namespace) -> list[str]:
    rows = [
        [network, str(cores), f"{one.load:.1%}", *_waits(one)] for (network, cores), one in hospital["by_cores"].items()
    ]
    grown = [
        [f"{per_day:,}", network, f"{one.load:.0%}", *_waits(one)]
        for (network, per_day), one in sorted(hospital["growth"].items(), key=lambda pair: (pair[0][0], pair[0][1]))
    ]
    bad = hospital["bad"]
    late = [
        [name, *(seconds(v) for one in bad[name] for v in (one.middle, one.worst))]
        for name in ("first come, first served", "emergencies first")
    ]
    dead = [[str(cores), fault, *_waits(one)] for (cores, fault), one in hospital["dead"].items()]
    profile = ", ".join(f"{share:g}" for share in queue.PROFILE)
    return [
        f"## A hospital: {o.studies:,.0f} studies a day",
        "",
        f"Studies come at random with the day's profile (per cent in each hour from midnight, assumed): {profile}. "
        f"{hospital['days']} days, from the arrival of the whole study to its answer, one study a core:",
        "",
        *table(["network", "cores", "at work", "median", "95%", "99%", "worst"], rows),
        "",
        "The wait is the work itself; more cores take away the few meetings of two studies and nothing else. One "
        "core, as the hospital grows:",
        "",
        *table(["studies a day", "network", "at work", "median", "95%", "99%", "worst"], grown),
        "",
        "**Emergencies first.** On an ordinary day nothing waits, and an order changes nothing. Where the line to "
        f"the service is cut from 7 to 11, {bad['late']} studies come at 11 at once (ResNet-50, one core, "
        f"{o.urgent:.0%} emergencies):",
        "",
        *table(["order", "emergencies: median", "worst", "others: median", "worst"], late),
        "",
        "The service and the batch take studies in the order in which they come: whoever sends has to send "
        "emergencies first. The service with its settings as they are (one at work, eight waiting) refuses "
        f"{bad['service']['an ordinary day']:.1%} on an ordinary day and "
        f"{bad['service']['the four hours at once']:.0%} of the studies that come at once; set `INSULA_QUEUE` to the "
        "largest backlog that is to be kept, or let the sender wait for `Retry-After`.",
        "",
        "**A worker dies** at 10 and is back at 11 (ResNet-50); its study is begun again:",
        "",
        *table(["cores", "fault", "median", "95%", "99%", "worst"], dead),
        "",
        "The second core is there for this, not for the load.",
        "",
    ]


def _region(costs: dict[str, Any], region: dict[str, Any], o: argparse.Namespace) -> list[str]:
    lines = [[f"{mbit:g}", syntax, f"{one.load:.0%}", *_waits(one)] for (mbit, syntax), one in region["lines"].items()]
    cores = [
        [network, str(count), f"{one.load:.0%}", *_waits(one)] for (network, count), one in region["cores"].items()
    ]
    keys = ", ".join(
        f"{mbit:g} Mbit/s {colour} ({dash})" for mbit, colour, dash in zip(o.link, COLOURS, DASHES, strict=False)
    )
    return [
        f"## A region: {o.hospitals} hospitals, {region['per_day']:,.0f} studies a day, one line",
        "",
        f"All studies come through one line, one after the other, to {region['enough']} cores (ResNet-18), so that the "
        f"line alone makes them wait; {region['days']} days, from the moment of sending. The fullest hour needs "
        + ", ".join(f"{_mbit(costs, region, s):,.0f} Mbit/s {s}" for s in ("uncompressed", "JPEG-LS", "JPEG 2000"))
        + ".",
        "",
        *table(["Mbit/s", "syntax", "line in use", "median", "95%", "99%", "worst"], lines),
        "",
        "![Wait by hour of arrival](results/scale.svg)",
        "",
        f"Wait of 99% of the studies by hour of arrival, uncompressed: {keys}. A line that is too narrow for the "
        "fullest hour carries its queue into the afternoon; one that is too narrow for the day never catches up.",
        "",
        f"Cores behind a line of {max(o.link):g} Mbit/s, JPEG-LS:",
        "",
        *table(["network", "cores", "at work", "median", "95%", "99%", "worst"], cores),
        "",
        "What then: compress before sending, or put the cores into the hospitals (one each is enough, see above) and "
        "send rows.",
        "",
    ]


def _trust(costs: dict[str, Any], found: dict[str, Any], o: argparse.Namespace) -> list[str]:
    rows = [[which, f"{mean:.3f} ± {half:.3f}", f"{exact:.3f}"] for which, mean, half, exact in found["closed"]]
    return [
        "## Assumed, and checked",
        "",
        f"- Assumed: the day's profile; {o.urgent:.0%} emergencies; a study's work and bytes spread log-normally "
        f"around the measured one, together, by {o.spread:.0%}; one study a core; the line and the store give to one "
        "after the other; the times of loss and return; what a store opens; a GPU's factor. Each is an option of the "
        "script or a constant in `scripts/capacity_queue.py`.",
        "- Made scans compress as their noise lets them: a hospital's own scans give other bytes, and with them "
        "other times to decode. Other processors give other times; the command above measures yours.",
        "- Cores that share a machine share its memory and its cache: many together are slower than one times their "
        "number. How much was not measured; plan with a margin.",
        "- Not in it: whole slides and volumes of several inputs, uncertainty by many passes (each augmented view is "
        "one more run of the network), the PACS, people.",
        "",
        "The simulation beside closed forms, mean wait before work begins in units of one study's work (mean of 8 "
        "runs of 20,000 studies, with a 95% interval):",
        "",
        *table(["queue", "simulated", "closed form"], rows),
        "",
    ]


def _mbit(costs: dict[str, Any], region: dict[str, Any], syntax: str) -> float:
    share = max(queue.PROFILE) / sum(queue.PROFILE)
    return float(costs["bytes"][f"archive, {syntax}"] * region["per_day"] * share * 8 / HOUR / 1e6)


def _least(region: dict[str, Any], network: str) -> int:
    """The fewest cores tried with which 99% of the answers are there within a minute."""
    fine = [count for (name, count), one in region["cores"].items() if name == network and one.nearly_all <= 60]
    return min(fine) if fine else max(count for name, count in region["cores"] if name == network)


def _waits(one: Any) -> list[str]:
    return [seconds(value) for value in (one.middle, one.most, one.nearly_all, one.worst)]
