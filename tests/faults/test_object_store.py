"""An object store (S3) that is down, slow or lying: what is acknowledged is kept, and what waits goes on afterwards."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.faults.made_failing import Trial
from tests.faults.made_s3_liar import KEEPS_NOTHING, MODES, liar
from tests.faults.tally import Tally, sizes
from tests.serve.api.made import service
from tests.tiny_bundle import make

from insula.serve.store import elsewhere

pytestmark = pytest.mark.serve
HARMLESS = ("is slow", "gives other bytes", "gives half the bytes")  # to whoever stores, or waits
ACTS = ("upload", "predict", "store", "backup", "download")


def download(trial: Trial, mode: Any) -> str:
    """What is wrong with a download: anything but the bytes, or a refusal without them."""
    client = trial.reviewer
    file = client.get(f"/api/v1/studies/{trial.study}").json()["files"][0]
    place = f"/api/v1/studies/{trial.study}/files/{file['id']}"
    with mode():
        answer = client.get(place)
    known = answer.status_code == 200 or answer.json()["code"] in ("storage", "changed_file", "missing_file")
    whole = client.get(place)
    fine = known and whole.status_code == 200 and len(whole.content) == file["size"]
    return "" if fine and (answer.status_code != 200 or answer.content == whole.content) else answer.text[:200]


@sizes("rounds", 0, 1)
def test_an_object_store_that_fails_or_lies_loses_nothing(
    tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    modes, acts = (MODES * rounds, ACTS) if rounds else (("gives no access", KEEPS_NOTHING), ("upload", "download"))
    quick = {"connect_timeout": 1, "read_timeout": 1}
    monkeypatch.setattr(elsewhere, "_CONFIG", {**elsewhere._CONFIG, **quick})
    monkeypatch.setattr(elsewhere, "_LONGEST", 6.0)
    sums: Counter[str] = Counter()
    wrong: list[str] = []
    refused = 0
    bundle = make(tmp_path, unit="series")
    with (
        liar(tmp_path / "nothing") as store,
        service(bundle, f"sqlite:///{tmp_path}/insula.db", tmp_path, files=store.address) as made,
        tally.log("object-store.jsonl").open("w") as log,
    ):
        trial = Trial(made, tmp_path)
        for mode in modes:
            for act in acts:
                store.asked = 0
                arm = partial(store.doing, mode)
                if act == "download":
                    said = download(trial, arm)
                    found = {"failed": int(bool(said)), "said": said}
                else:
                    found = vars(getattr(trial, act)(arm))
                log.write(json.dumps({"mode": mode, "act": act, "asked": store.asked, **found}) + "\n")
                log.flush()
                assert store.asked > 0, f"{act} asked the store for nothing"
                sums.update({kind: found.get(kind, 0) for kind in ("lost", "doubled", "leaked", "failed")})
                wrong += [f"{act}, {mode}: {found}"] if sum(v for v in found.values() if isinstance(v, int)) else []
                refused += found["said"] in ("503", "waiting")
        whole = trial.whole()
    assert (wrong, whole) == ([], ())
    assert refused >= len(modes) - rounds * len(HARMLESS), "the store's faults were met by few"
    tally.tried(
        "uploads, predictions, objects from the network, backups and downloads while the object store fails or lies",
        len(modes) * len(acts),
        **sums,
        figures={"kinds of fault": float(len(set(modes)))},
    )
