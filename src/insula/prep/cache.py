"""The prepared cache: each case decoded and prepared once, then read as slices of one memory-mapped array.

A cache is a folder (see `prep.store`), named by the role, the recipe's input section and Insula's version, so that a
changed step never meets old slices. Within it a case is found by the SHA-256 of its files: a changed file is prepared
again, and cohorts, splits and folds that share scans share their slices. Files of the size and time of change that they
had when they were hashed are not hashed again. Slices of files that have changed since stay in the array unused; delete
the folder to be rid of them.

A build that was stopped, by whatever means, goes on where it was. Cases are decoded by several processes and written in
the order of their keys, so the bytes do not depend on how many there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from insula import __version__
from insula.core.errors import CohortError, InsulaError
from insula.core.provenance import sha256_text
from insula.core.recipe import Input, Recipe
from insula.core.types import Case, FloatArray
from insula.prep import store
from insula.prep.store import Store, Table
from insula.prep.work import Stamp, content, inputs
from insula.scans import sandbox
from insula.scans.cluster_pool import ClusterPool
from insula.scans.sandbox import Sandbox

_SECONDS = 900.0  # for one case: hashing and cutting a whole slide takes minutes
_AHEAD = 2  # cases for each process that may wait for their turn to be written
_TASK = "insula.prep.work:task"
Pool = Sandbox | ClusterPool


@dataclass(frozen=True)
class Prepared:
    """An opened cache: `slices[offset : offset + count]` are one scan's slices, (count, C, H, W).

    slices may hold cases of other cohorts too; `places` has those that were asked for, a case's first scan under its
    key and further ones under `key#2`, `key#3`. failures: the same keys → reason.
    """

    slices: NDArray[np.float32]
    places: dict[str, tuple[int, int]]
    failures: dict[str, str]

    def case(self, key: str) -> FloatArray:
        """The prepared slices of one case's first scan, as a view of the mapped file."""
        offset, count = self.places[key]
        return self.slices[offset : offset + count]

    def bags(self, case: Case) -> tuple[tuple[int, int], ...]:
        """(offset, count) of each scan of a case that could be prepared, in order."""
        keys = [_key(case, i) for i in range(max(1, len(case.scans)))]
        return tuple(self.places[k] for k in keys if k in self.places)

    def arrays(self, case: Case) -> tuple[FloatArray, ...]:
        """The slices of each scan of a case that could be prepared, (count, C, H, W) each, as views."""
        return tuple(self.slices[offset : offset + count] for offset, count in self.bags(case))

    def rows(self, keys: Iterable[str] | None = None) -> NDArray[np.int64]:
        """The rows of `slices` that belong to some cases (those that were prepared), by default to all, in order."""
        places = [self.places[k] for k in (self.places if keys is None else keys) if k in self.places]
        return np.sort(np.concatenate([np.arange(o, o + n) for o, n in places] or [np.zeros(0, np.int64)]))


@dataclass(frozen=True)
class _Outcome:
    """What became of a case's files. content: "" where they could not even be hashed."""

    content: str
    stamps: list[Stamp]
    slices: FloatArray | None
    failure: str
    lasting: bool


def build(
    cases: Iterable[Case],
    root: Path,
    role: str,
    section: Input,
    folder: Path,
    progress: Callable[[Iterable[Case]], Iterator[Case]] = iter,
    workers: int | None = None,
    pool: Pool | None = None,
) -> Prepared:
    """Prepare each scan of a role that the cache does not hold yet and open it; what cannot be read is listed.

    workers: decoding processes, by default one for each core (at most 8). pool: those of a cluster, which this leaves
    open. Raises CohortError when no case at all can be prepared, or the prepared slices differ in shape.
    """
    chosen = sorted(_single_scans(cases, role), key=lambda c: c.key)
    target = folder / cache_name(role, section)
    with store.opened(target) as kept:
        if pool is not None:
            return _fill(chosen, root, role, section, kept, progress, lambda: pool)
        if workers is None:
            return _fill(chosen, root, role, section, kept, progress, sandbox.shared)
        with Sandbox(workers) as mine:
            return _fill(chosen, root, role, section, kept, progress, lambda: mine)


def build_all(
    cases: Iterable[Case],
    root: Path,
    recipe: Recipe,
    folder: Path,
    progress: Callable[[Iterable[Case]], Iterator[Case]] = iter,
    pool: Pool | None = None,
) -> dict[str, Prepared]:
    """The caches of all roles of a recipe; CohortError when a role has no scan at all that could be prepared."""
    chosen = tuple(cases)
    for role in recipe.inputs:
        if not any(role in case.scans for case in chosen):
            has = sorted({name for case in chosen for name in case.scans})
            raise CohortError(
                f"No case has a scan for the recipe's input '{role}' (there is {', '.join(has) or 'none'}): "
                "index with this recipe, or join the tables of its inputs by insula join."
            )
    return {
        role: build(chosen, root, role, section, folder, progress, None, pool)
        for role, section in recipe.inputs.items()
    }


def _single_scans(cases: Iterable[Case], role: str) -> list[Case]:
    """A case of its own for each scan of the role, under the key by which `Prepared.places` has it."""
    return [
        Case(_key(case, i), case.patient, {role: scan}, {})
        for case in cases
        for i, scan in enumerate(case.scans_of(role))
    ]


def _key(case: Case, number: int) -> str:
    return case.key if number == 0 else f"{case.key}#{number + 1}"


def open_cache(folder: Path) -> Prepared:
    """Map a cache that `build` wrote, with every case at its last known content; CohortError when it holds none."""
    table, _ = store.read(folder)
    last = {case: contents[-1] for case, contents in table.contents.items()}
    failures = {case: table.failures[one] for case, one in last.items() if one in table.failures}
    return _prepared(folder, table, {case: one for case, one in last.items() if one in table.places}, failures)


def cache_name(role: str, section: Input) -> str:
    """A folder's name that changes with the input section, and with Insula's version, since readers change too."""
    return f"{role}-{sha256_text([section.model_dump_json(), role, __version__])[:16]}"


def _fill(
    cases: list[Case],
    root: Path,
    role: str,
    section: Input,
    kept: Store,
    progress: Callable[[Iterable[Case]], Iterator[Case]],
    pool: Callable[[], Pool],
) -> Prepared:
    table, found, failures = kept.table, dict[str, str](), dict[str, str]()
    shape: store.Shape | None = None
    base = root.resolve()
    outcomes = _outcomes(cases, base, role, section, table, pool)
    try:
        for case in progress(cases):
            outcome = next(outcomes)
            if outcome.stamps and (outcome.lasting or not outcome.failure):
                files = [(str(base / name), size, time, digest) for name, size, time, digest in outcome.stamps]
                kept.add(case.key, outcome.content, files, outcome.slices, outcome.failure)
            failure = outcome.failure or table.failures.get(outcome.content, "")
            if failure:
                failures[case.key] = failure
                continue
            place = table.places[outcome.content]
            found[case.key] = outcome.content
            shape = shape or place.shape
            if place.shape != shape:
                advice = "a 'resize' step" if place.shape[1:] != shape[1:] else "a 'colour: grey' (or rgb) step"
                raise CohortError(
                    f"Case '{case.key}' gives slices of {place.shape} (channels, height, width), the cases before it "
                    f"{shape}; add {advice} to the recipe so that all are alike."
                )
    except (KeyboardInterrupt, SystemExit):
        pool().close()  # so that nobody waits for what is being decoded
        raise
    finally:
        outcomes.close()
    kept.sync()
    return _prepared(kept.folder, table, found, failures)


def _prepared(folder: Path, table: Table, found: dict[str, str], failures: dict[str, str]) -> Prepared:
    shapes = {table.places[one].shape for one in found.values()}
    if not shapes:
        reason = next(iter(failures.values()), "the cohort is empty")
        raise CohortError(f"None of {len(failures)} cases could be prepared; the first reason: {reason}")
    if len(shapes) > 1:
        raise CohortError(f"The cache '{folder.name}' holds slices of {len(shapes)} shapes; build it for one cohort.")
    shape = shapes.pop()
    array = np.memmap(store.array_path(folder, shape), np.float32, "r", shape=(table.rows[shape], *shape))
    places = {case: (table.places[one].offset, table.places[one].count) for case, one in found.items()}
    return Prepared(array, places, failures)


def _outcomes(
    cases: list[Case], base: Path, role: str, section: Input, table: Table, pool: Callable[[], Pool]
) -> Generator[_Outcome, None, None]:
    """What becomes of each case, in order, while the processes are a few cases ahead."""
    text, threads = section.model_dump_json(), None
    waiting: deque[_Outcome | Future[_Outcome]] = deque()
    rest = iter(cases)
    try:
        while True:
            ahead = _AHEAD * pool().workers if threads else 1
            while len(waiting) < ahead and (case := next(rest, None)) is not None:
                names = list(case.scans[role].paths)
                known = table.contents.get(case.key, [])
                if (same := _unchanged(base, names, table)) in known:
                    waiting.append(_Outcome(same, [], None, "", lasting=True))
                    continue
                threads = threads or ThreadPoolExecutor(pool().workers, "insula-prepare")
                ahead = _AHEAD * pool().workers
                waiting.append(threads.submit(_work, pool(), base, names, text, list(known)))
            if not waiting:
                return
            first = waiting.popleft()
            yield first.result() if isinstance(first, Future) else first
    finally:
        if threads:
            threads.shutdown(cancel_futures=True)


def _unchanged(base: Path, names: list[str], table: Table) -> str:
    """The content of files that have the size and time of change that they had when they were hashed, else ""."""
    stamps: list[Stamp] = []
    for name in inputs(base, names):
        path = base / name
        size, time, digest = table.seen.get(str(path), (-1, -1, ""))
        try:
            state = path.stat()
        except OSError:
            return ""
        if (state.st_size, state.st_mtime_ns) != (size, time):
            return ""
        stamps.append((name, size, time, digest))
    return content(stamps)


def _work(pool: Pool, base: Path, names: list[str], section: str, known: list[str]) -> _Outcome:
    request = {"root": str(base), "names": names, "section": section, "known": known}
    about = Path(names[0]).name if len(names) == 1 else f"{len(names)} files"
    try:
        answer = pool.run(_TASK, about, request, _SECONDS)
    except InsulaError as error:
        return _Outcome("", [], None, str(error), lasting=False)
    facts = answer.facts
    stamps = [(str(n), int(s), int(t), str(d)) for n, s, t, d in facts["stamps"]]
    slices = answer.arrays[0] if answer.arrays else None
    return _Outcome(str(facts["id"]), stamps, slices, str(facts["failure"]), bool(facts["lasting"]))
