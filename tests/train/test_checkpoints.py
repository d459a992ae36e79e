"""What a run leaves to go on with."""

from pathlib import Path

import pytest
import torch

from insula.train import checkpoints

pytestmark = pytest.mark.train


def test_a_checkpoint_is_written_beside_its_place_and_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Path, list[str]]] = []
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        seen.append((self.parent, sorted(p.name for p in Path(target).parent.iterdir())))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    path = tmp_path / "checkpoints" / "last.ckpt"
    checkpoints.WholeFiles().save_checkpoint({"w": torch.arange(3.0)}, path)
    ((folder, names),) = seen
    assert folder == path.parent
    assert "last.ckpt" not in names
    assert names[0].startswith(".last.ckpt.")
    assert torch.equal(torch.load(path, weights_only=True)["w"], torch.arange(3.0))
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]


def test_sweeping_takes_half_written_files_alone(tmp_path: Path) -> None:
    place = tmp_path / "checkpoints"
    place.mkdir()
    for name in ("best.ckpt", "last.ckpt", ".last.ckpt.x1y2", ".best.ckpt.abc", "notes.txt"):
        (place / name).write_text("x")
    checkpoints.sweep(tmp_path)
    assert sorted(p.name for p in place.iterdir()) == ["best.ckpt", "last.ckpt", "notes.txt"]
    checkpoints.sweep(tmp_path / "nowhere")


def test_the_best_file_is_known_again_in_a_moved_folder(tmp_path: Path) -> None:
    old, _ = checkpoints.keepers(tmp_path / "old")
    path = str(tmp_path / "old/checkpoints/best.ckpt")
    state = old.state_dict() | {
        "best_model_score": torch.tensor(0.25),
        "best_model_path": path,
        "kth_best_model_path": path,
        "best_k_models": {path: torch.tensor(0.25)},
    }
    new, newest = checkpoints.keepers(tmp_path / "new")
    new.load_state_dict(state)
    here = str(tmp_path / "new/checkpoints/best.ckpt")
    assert (new.best_model_path, new.kth_best_model_path, list(new.best_k_models)) == (here, here, [here])
    assert new.best_model_score == torch.tensor(0.25)
    assert new.last_model_path == ""
    assert new.state_key != newest.state_key
