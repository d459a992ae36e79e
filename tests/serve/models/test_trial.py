"""A bundle is run in a process of its own before the service loads it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tests.faults.made_bundles import sound, swollen
from tests.serve.api.made import service
from tests.tiny_bundle import make

from insula.bundle import signature
from insula.bundle.save import save
from insula.core.errors import BundleError
from insula.infer import providers
from insula.scans.sandbox import Answer, Sandbox
from insula.serve.models.trial import tried

pytestmark = pytest.mark.serve


def test_a_sound_bundle_passes_and_no_graph_of_it_is_loaded_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(onnxruntime, "InferenceSession")  # of this process alone
    tried(make(tmp_path).path)
    assert providers.VARIABLE not in os.environ


def test_a_graph_that_asks_for_much_memory_is_refused(tmp_path: Path) -> None:
    made = sound()
    path = save(tmp_path / "bundle", replace(made, model_onnx=swollen(made.model_onnx, 1 << 40))).path
    with pytest.raises(BundleError, match="in a process of its own"):
        tried(path)


def test_one_that_takes_its_process_with_it_costs_the_service_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle is a sound one, so that nothing but the end of the process that tries it can refuse it."""
    (tmp_path / "models").mkdir()
    save(tmp_path / "models" / "one", sound())
    run, tasks = Sandbox.run, []
    with service(make(tmp_path), f"sqlite:///{tmp_path}/insula.db", tmp_path, models=tmp_path / "models") as site:
        admin = site.client("admin")
        for end in ("aborted", "killed", "segfault", "left"):

            def ending(own: Sandbox, task: str, *rest: Any, end: str = end) -> Answer:
                tasks.append(task)
                return run(own, f"tests.scans.made_faults:{end}", *rest)

            with monkeypatch.context() as changed:
                changed.setattr(Sandbox, "run", ending)
                answer = admin.post("/api/v1/models", json={"name": "one"})
            assert (answer.status_code, answer.json()["code"]) == (422, "bundle"), end
            assert "in a process of its own" in answer.json()["detail"]
            assert len(admin.get("/api/v1/models").json()) == 1
        assert tasks == ["insula.infer.trial:task"] * 4
        assert admin.post("/api/v1/models", json={"name": "one"}).status_code == 201


def test_a_bundle_that_is_not_signed_by_a_trusted_key_is_not_added_and_the_live_model_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    save(tmp_path / "models" / "unsigned", sound())
    public, _ = signature.new_key(tmp_path / "ours.pem")
    with service(make(tmp_path), f"sqlite:///{tmp_path}/insula.db", tmp_path, models=tmp_path / "models") as site:
        admin = site.client("admin")
        before = admin.get("/api/v1/models").json()
        monkeypatch.setenv(signature.TRUSTED, str(public))
        answer = admin.post("/api/v1/models", json={"name": "unsigned"})
        assert (answer.status_code, answer.json()["code"]) == (422, "bundle")
        assert "not signed" in answer.json()["detail"]
        assert admin.get("/api/v1/models").json() == before
        signature.sign(tmp_path / "models" / "unsigned", signature.secret_key(tmp_path / "ours.pem"))
        assert admin.post("/api/v1/models", json={"name": "unsigned"}).status_code == 201


def test_bytes_that_pass_for_two_formats_are_read_as_the_one_that_was_checked() -> None:
    graph = sound().model_onnx
    both = b"\x7a\x10\x00\x00ORTM" + bytes(10) + graph  # an unknown field of protobuf; ONNX Runtime's mark at byte 4
    with pytest.raises(Exception, match=r".+"):
        onnxruntime.InferenceSession(both, providers=["CPUExecutionProvider"])
    session, _ = providers.start(both, "model.onnx", ("cpu",), 1)
    feed = {"ct": np.zeros((1, 1, 1, 16, 16), np.float32), "ct_mask": np.ones((1, 1, 1), np.float32)}
    assert session.run(["logits"], feed)[0].shape == (1, 2)
