"""The part of docs/scale.md about a national archive: its batch, its driver, GPUs."""

from __future__ import annotations

import argparse
import math
from typing import Any

from capacity_costs import KEPT, work_of
from capacity_queue import DAY
from capacity_words import about, seconds, size, table

PARTS = 1_000  # into which a national archive is cut
WEEK = 7


def national(costs: dict[str, Any], national: dict[str, Any], o: argparse.Namespace) -> list[str]:
    count, bytes_of = national["studies"], costs["bytes"]
    names = list(dict.fromkeys(name for name, _ in national["runs"]))
    all_cores = sorted({cores for _, cores in national["runs"]})
    rows = [
        [
            name,
            f"{work_of(costs, name) * count / DAY:,.0f}",
            *(
                f"{one['days']:,.1f} ({one['slowest']})"
                for cores in all_cores
                for one in [national["runs"][name, cores]]
            ),
        ]
        for name in names
    ]
    syntaxes = [
        [
            name,
            size(bytes_of[f"archive, {name}"] * count),
            f"{bytes_of[f'archive, {name}'] * count / (o.store * 1e9 / 8) / DAY:,.1f}",
            f"{one['days']:,.1f} ({one['slowest']})",
        ]
        for name, one in national["by_syntax"].items()
    ]
    opened = costs["record"]["opens"]
    again = max(one["again"] for one in national["runs"].values())
    parts = [
        [name, f"{commands}", f"{one['days']:,.1f} ({one['slowest']})"]
        for (name, commands), one in national["parts"].items()
    ]
    ray = "" if costs["record"]["ray_seconds"] else " Ray's handing out was not measured in this run, and is left out."
    waiting = 3 * costs["slices"] * o.latency
    return [
        f"## A national archive: {o.slices:,.0f} slices, {count:,} studies, once",
        "",
        f"Days of one batch, {KEPT}, a store of {o.store:g} Gbit/s, the driver's own time for each study counted as "
        f"if its memory were enough (it is not: see below).{ray} In brackets the slowest part:",
        "",
        *table(["network", "core days", *(f"{cores:,} cores" for cores in all_cores)], rows),
        "",
        "By what the scans are stored in (ResNet-18, 1,024 cores):",
        "",
        *table(["syntax", "archive", "days of the store alone", "days of the batch"], syntaxes),
        "",
        f"In parts, {o.commands} commands beside each other, each with a driver of its own (1,024 cores in all):",
        "",
        *table(["network", "commands", "days"], parts),
        "",
        "- **From an object store** (`s3://…`) an actor fetches a study's files one after the other before it "
        f"begins, three requests each: at {o.latency * 1e3:g} ms a request (assumed) its core stands still for "
        f"{seconds(waiting)} a study, and for ResNet-18 the cluster has to be "
        f"{1 + waiting / work_of(costs, 'resnet18'):.1f} times as large. A shared disk does not have that.",
        f"- **The store by files**: a slice is opened {opened:g} times on its way (for its kind, its header, its "
        f"pixels). A store that opens {o.opens:,.0f} files a second (assumed) needs "
        f"{o.slices * opened / o.opens / DAY:,.1f} days for that, whatever its rate in bytes: with many cores this "
        "comes before the bytes. Where each study is one zip file, it is gone.",
        f"- **Faults**: where a core's process is lost every {o.lost_after:g} days and back after "
        f"{seconds(o.back_after)}, at most {again:,} studies are begun again in a run of the table. A lost process "
        "costs the study in hand. The driver's own loss costs the reading of the journal and of the list of "
        "directories (below).",
        f"- **Studies that cannot be read**: at {o.unreadable:.1%} (assumed) {count * o.unreadable:,.0f} rows carry "
        "an error instead of an answer. Only faults of the machine or of the store are tried again by the next run.",
        "",
    ]


def drivers(costs: dict[str, Any], national: dict[str, Any], o: argparse.Namespace) -> list[str]:
    record, count = costs["record"], national["studies"]
    held = {
        "list of directories, as work for the cluster": "unit_bytes",
        "cases known from an earlier run": "known_bytes",
        "cases met in this run": "met_bytes",
        "most, while the table is made": "most_bytes",
    }
    sizes = (100_000, 1_000_000, 10_000_000, count)
    memory = [[name, f"{record[key]:,.0f}", *(size(record[key] * n) for n in sizes)] for name, key in held.items()]
    clock = [
        ["writing a row down", record["row_seconds"]],
        ["reading the journal when a run goes on", record["open_seconds"]],
        ["making the table", record["table_seconds"]],
        ["Ray, handing out a directory", record.get("ray_seconds")],
    ]
    times = [
        [
            name,
            "not measured" if one is None else f"{one * 1e6:,.0f} µs",
            *("" if one is None else seconds(one * n) for n in sizes),
        ]
        for name, one in clock
    ]
    rows = [[about(one.studies), one.part, one.then] for one in national["limits"]]
    part = math.ceil(count / PARTS)
    told = [f"{size(record['unit_bytes'] * part)} of directories", f"{size(record['most_bytes'] * part)} of digests"]
    if record.get("ray_seconds"):
        told.append(f"{seconds(record['ray_seconds'] * part)} of Ray's handing out")
    return [
        "## What one driver holds",
        "",
        f"Measured on a record of {record['rows']:,} made rows; for more rows multiplied, as all of it grows with "
        "their number (Ray's part at best: its plan grows too).",
        "",
        *table(["in memory", "bytes a study", *(f"{n:,}" for n in sizes)], memory),
        "",
        *table(["time", "a study", *(f"{n:,}" for n in sizes)], times),
        "",
        f"With {o.memory:g} GiB for the driver and {o.actor_memory:g} GiB for each actor one command gives way, in "
        "this order:",
        "",
        *table(["from studies", "what", "then"], rows),
        "",
        f"**What then.** The same command for each part of the archive. A part of {part:,} studies (one in {PARTS:,}) "
        "holds "
        + ", ".join(told)
        + "; several parts run beside each other, a fault costs one part's restart, and a folder of tables of one "
        "bundle is read as one table by any reader of Parquet:",
        "",
        "```sh",
        "insula predict run/bundle ARCHIVE/2019/hospital-07 --out tables/2019-hospital-07.parquet --cluster auto",
        "```",
        "",
        "What could be changed in the program, in the order in which it would matter: several directories in one "
        "unit of Ray; directories handed out as they are found and not listed first; the known cases from a file and "
        "not as a copy in each actor; a store's files fetched while the study before them is worked on.",
        "",
    ]


def gpus(costs: dict[str, Any], national: dict[str, Any], o: argparse.Namespace) -> list[str]:
    count = national["studies"]
    rows = []
    for name in ("resnet18", "resnet50"):
        network = costs["seconds"][f"engine, {name}"] * count / DAY / WEEK
        whole = work_of(costs, name) * count / DAY / WEEK
        rows += [
            [
                name,
                f"{factor:g}",
                f"{math.ceil(network / factor):,}",
                f"{math.ceil(whole - network):,}",
                f"{(whole - network) * factor / network:,.1f}",
                f"{math.ceil(whole):,}",
            ]
            for factor in o.gpu
        ]
    thread = sum(costs["seconds"][name] for name in ("find", "answer", "record"))
    return [
        "## GPUs: assumed, not measured",
        "",
        "No GPU was measured. *Factor* is an assumption (`--gpu`): how many cores' work on the network one GPU does. "
        f"Reading, decoding and preparing stay with the cores. The archive in {WEEK} days, {KEPT}:",
        "",
        *table(["network", "factor", "GPUs", "cores beside them", "cores to feed one GPU", "cores without GPUs"], rows),
        "",
        "Whatever the factor, the cores beside the GPUs do not become fewer: decoding is the floor. The plain batch "
        "finds, asks the network and answers in one thread, one study at a time: without the network's own time that "
        f"is {seconds(thread)} a study, {1 / thread:,.0f} studies a second at most, however fast the GPU. The "
        "cluster's actors ask Ray for CPUs alone; a GPU shared by many actors has not been tried.",
        "",
    ]
