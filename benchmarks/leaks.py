"""Finding duplicates: time and memory on 100,000 codes, and recall and precision beside cleanvision and imagededup.

The peers run in the Python that INSULA_PEERS_PYTHON names (default: this one); a peer that is not installed there is
named as missing and judged by nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path

SIZES = (25_000, 50_000, 100_000)
ROUNDS = 3
PICTURES = 400
PER_CHANGE = 40
REAL = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "stroke_ct"
PEERS = ("cleanvision", "imagededup PHash", "imagededup DHash")
GOALS = {"seconds_100k": 60.0, "memory_ratio": 2.5, "recall_24_bits": 0.99, "ahead_of_each": 1}


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def search(size: int) -> None:
    """One search among random codes with planted neighbours, under 28 looks; prints its figures as JSON."""
    import numpy as np

    from insula.cohort.codes import LOOKS
    from insula.cohort.nearest import Index

    random = np.random.default_rng(size)
    codes = random.integers(0, 2**64, (size, 4), dtype=np.uint64)
    planted = size // 20
    flips = np.tile([8, 16, 24, 32, 40], planted // 5)
    bits = np.unpackbits(codes[:planted].view(np.uint8), axis=1)
    for row, count in zip(bits, flips, strict=True):
        row[random.choice(256, count, replace=False)] ^= 1
    codes[planted : 2 * planted] = np.packbits(bits, axis=1).view(np.uint64)
    # the other looks at a picture have codes of their own, unlike any other
    mixing = random.integers(0, 2**64, (len(LOOKS), 4), dtype=np.uint64)
    mixing[0] = 0
    before, start = memory_mb(), time.perf_counter()
    index = Index(codes, np.arange(size, dtype=np.int32))
    found: set[tuple[int, int]] = set()
    for block in index.near(lambda a, b: [codes[a:b] ^ mixed for mixed in mixing]):
        found.update(zip(block.first.tolist(), block.second.tolist(), strict=True))
    seconds = time.perf_counter() - start
    hit = np.array([(i, planted + i) in found for i in range(planted)])
    recall = {str(count): float(hit[flips == count].mean()) for count in np.unique(flips)}
    print(json.dumps({"seconds": seconds, "memory_mb": memory_mb() - before, "recall": recall}))


def changed(grey: object, change: str, random: object) -> object:
    import cv2
    import numpy as np

    picture = np.asarray(grey)
    height, width = picture.shape
    if change == "rescaled":
        by = random.choice([0.5, 0.7, 1.4])  # type: ignore[attr-defined]
        return cv2.resize(picture, None, fx=by, fy=by, interpolation=cv2.INTER_AREA if by < 1 else cv2.INTER_CUBIC)
    if change == "cropped 5%":
        x, y = (int(random.integers(0, int(0.05 * side) + 1)) for side in (width, height))  # type: ignore[attr-defined]
        return picture[y : y + int(0.95 * height), x : x + int(0.95 * width)]
    if change == "flipped":
        return picture[:, ::-1] if random.random() < 0.5 else picture[::-1]  # type: ignore[attr-defined]
    if change == "brightness":
        gain = random.choice([0.7, 1.25])  # type: ignore[attr-defined]
        return np.clip(picture * gain + 10, 0, 255).astype(np.uint8)
    return picture


def plant(folder: Path) -> tuple[dict[frozenset[str], str], str]:
    """Pictures in a folder, some with one changed copy each; the planted pairs with their change, and the source."""
    import cv2
    import numpy as np

    random = np.random.default_rng(7)
    originals: list[object] = []
    if REAL.is_dir():
        source = f"{PICTURES} neighbouring slices of real head CT"
        paths = sorted(REAL.glob("*/*/*.jpg"))[::2][:PICTURES]
        originals = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths]
    else:
        from insula.cohort.phantom.make import make
        from insula.scans.read import read

        source = f"{PICTURES} slices of phantoms (the real scans are not here)"
        made = make("stroke-ct", folder.parent / "phantoms", 25, 0, 192, 24)
        for path in sorted(p for p in made.rglob("*") if p.is_file() and "masks" not in p.parts):
            if path.suffix in (".csv", ".json"):
                continue
            array = read(path).array[0]
            gain = 255 / 80 if array.min() < -100 else 1
            originals += [np.clip(plane * gain, 0, 255).astype(np.uint8) for plane in array[4:-4]]
        originals = originals[:PICTURES]
    changes = ("recompressed", "rescaled", "cropped 5%", "flipped", "brightness", "all at once")
    truth: dict[frozenset[str], str] = {}
    order = random.permutation(len(originals))
    for place, number in enumerate(order):
        grey = originals[number]
        name = f"o{number:04d}.jpg"
        cv2.imwrite(str(folder / name), grey, [cv2.IMWRITE_JPEG_QUALITY, 92])
        change = changes[place // PER_CHANGE] if place < PER_CHANGE * len(changes) else ""
        if change == "all at once":
            grey = changed(changed(changed(grey, "cropped 5%", random), "rescaled", random), "brightness", random)
        elif change:
            grey = changed(grey, change, random)
        if change:
            copy = f"c{number:04d}.jpg"
            quality = 40 if change == "recompressed" else 75
            cv2.imwrite(str(folder / copy), np.ascontiguousarray(grey), [cv2.IMWRITE_JPEG_QUALITY, quality])
            truth[frozenset((name, copy))] = change
    return truth, source


def ours(folder: Path) -> set[frozenset[str]]:
    from insula.cohort.leaks import find
    from insula.core.types import Case, Cohort, Scan

    cases = tuple(Case(p.name, p.name, {"ct": Scan((p.name,), "jpeg")}, {}) for p in sorted(folder.glob("*.jpg")))
    report = find(Cohort(cases, str(folder), "", False))
    return {frozenset((pair.first, pair.second)) for pair in report.pairs}


def peer(name: str, folder: Path) -> None:
    """The pairs that a peer finds with its own settings; printed as JSON on the last line."""
    pairs: set[frozenset[str]] = set()
    if name == "cleanvision":
        from cleanvision import Imagelab

        lab = Imagelab(data_path=str(folder))
        lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, verbose=False)
        for kind in ("exact_duplicates", "near_duplicates"):
            for group in lab.info[kind]["sets"]:
                pairs |= {frozenset((Path(a).name, Path(b).name)) for a, b in combinations(group, 2)}
    else:
        from imagededup.methods import DHash, PHash

        method = PHash() if name.endswith("PHash") else DHash()
        for first, others in method.find_duplicates(image_dir=str(folder)).items():
            pairs |= {frozenset((first, other)) for other in others}
    print(json.dumps([sorted(pair) for pair in pairs]))


def ask(arguments: list[str], python: str = sys.executable) -> object:
    done = subprocess.run([python, __file__, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        missing = "No module named" in done.stderr
        return None if missing else sys.exit(f"{arguments} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def scored(pairs: set[frozenset[str]], truth: dict[frozenset[str], str]) -> dict[str, float]:
    right = len(pairs & truth.keys())
    recall, precision = right / len(truth), right / len(pairs) if pairs else 0.0
    f1 = 2 * recall * precision / (recall + precision) if right else 0.0
    return {"recall": round(recall, 4), "precision": round(precision, 4), "f1": round(f1, 4), "reported": len(pairs)}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--search", type=int)
    parser.add_argument("--peer", nargs=2)
    arguments = parser.parse_args()
    if arguments.search:
        search(arguments.search)
        return 0
    if arguments.peer:
        peer(arguments.peer[0], Path(arguments.peer[1]))
        return 0

    cores = os.cpu_count()
    print(
        f"{platform.system()} {platform.machine()}, {cores} cores, Python {platform.python_version()}, "
        f"{ROUNDS} rounds, interleaved; load {os.getloadavg()[0]:.1f}"
    )
    runs: dict[int, list[dict[str, object]]] = {size: [] for size in SIZES}
    for _ in range(ROUNDS):
        for size in SIZES:
            runs[size].append(ask(["--search", str(size)]))  # type: ignore[arg-type]
    print(f"\n{'codes (28 looks each)':<24}{'median s':>10}{'least':>8}{'most':>8}{'MB':>8}   recall by flipped bits")
    middle: dict[int, tuple[float, float]] = {}
    recalls: dict[str, float] = {}
    for size, found in runs.items():
        times = [float(str(run["seconds"])) for run in found]
        megabytes = statistics.median(float(str(run["memory_mb"])) for run in found)
        recalls = found[0]["recall"]  # type: ignore[assignment]
        middle[size] = (statistics.median(times), megabytes)
        shown = ", ".join(f"{bits}: {value:.3f}" for bits, value in recalls.items())
        print(f"{size:<24}{middle[size][0]:>10.1f}{min(times):>8.1f}{max(times):>8.1f}{megabytes:>8.0f}   {shown}")

    python = os.environ.get("INSULA_PEERS_PYTHON", sys.executable)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "pictures"
        folder.mkdir()
        truth, source = plant(folder)
        start = time.perf_counter()
        sides: dict[str, tuple[set[frozenset[str]], float]] = {}
        sides["insula"] = (ours(folder), time.perf_counter() - start)
        for name in PEERS:
            start = time.perf_counter()
            pairs = ask(["--peer", name, str(folder)], python)
            if pairs is None:
                print(f"{name}: not installed, left out")
                continue
            sides[name] = ({frozenset(pair) for pair in pairs}, time.perf_counter() - start)  # type: ignore[attr-defined]
    changes = sorted(set(truth.values()))
    print(f"\n{source}; {len(truth)} planted copies, {PER_CHANGE} a change; each side with its own settings")
    print(f"{'side':<18}{'recall':>8}{'precision':>11}{'F1':>7}{'pairs':>7}{'s':>7}   recall by change")
    scores = {name: scored(pairs, truth) for name, (pairs, _) in sides.items()}
    for name, (pairs, seconds) in sides.items():
        by = ", ".join(
            f"{c}: {statistics.fmean(pair in pairs for pair, change in truth.items() if change == c):.2f}"
            for c in changes
        )
        s = scores[name]
        line = f"{name:<18}{s['recall']:>8.3f}{s['precision']:>11.3f}{s['f1']:>7.3f}{s['reported']:>7}{seconds:>7.1f}"
        print(f"{line}   {by}")
    ahead = all(
        scores["insula"][what] > score[what] for name, score in scores.items() if name != "insula" for what in ("f1",)
    )
    figures = {
        "seconds_100k": round(middle[100_000][0], 2),
        "memory_ratio": round(middle[100_000][1] / max(1.0, middle[50_000][1]), 2),
        "recall_24_bits": recalls["24"],
        "ahead_of_each": int(ahead),
        "scores": scores,
        "missing": [name for name in PEERS if name not in sides],
    }
    holds = (
        figures["seconds_100k"] <= GOALS["seconds_100k"]  # type: ignore[operator]
        and figures["memory_ratio"] <= GOALS["memory_ratio"]  # type: ignore[operator]
        and figures["recall_24_bits"] >= GOALS["recall_24_bits"]  # type: ignore[operator]
        and ahead
    )
    print(json.dumps({"bench": "leaks", "figures": figures, "goals": GOALS, "holds": bool(holds)}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
