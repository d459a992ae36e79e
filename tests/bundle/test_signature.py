"""Signed bundles: what is refused where trusted keys are named, and what is not."""

from __future__ import annotations

import json
import os
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.tiny_bundle import parts, recipe, weights

from insula.bundle import signature
from insula.bundle.layout import LIMITS, MANIFEST
from insula.bundle.load import load
from insula.bundle.save import manifest_bytes, save
from insula.bundle.signature import ENDING, SIGNATURE, SIGNING, TRUSTED
from insula.cli.main import main
from insula.core.errors import BundleError, InsulaError, UsageError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with keys `ours` and `theirs`, and the bundle `signed` by ours."""
    folder = tmp_path_factory.mktemp("signed")
    for name in ("ours", "theirs"):
        signature.new_key(folder / f"{name}.pem")
    save(folder / "signed", parts(recipe(), weights(1, 2)))
    signature.sign(folder / "signed", signature.secret_key(folder / "ours.pem"))
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all of it, where the key `ours` is trusted."""
    monkeypatch.setenv(TRUSTED, str(tmp_path / f"ours{ENDING}"))
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def said(*words: str | Path) -> Any:
    got = CliRunner().invoke(main, ["bundle", *map(str, words), "--json"], catch_exceptions=False)
    return json.loads(got.output)


def test_a_signed_bundle_of_a_trusted_key_is_opened(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = load(place / "signed")
    monkeypatch.delenv(TRUSTED)
    assert load(place / "signed").id == found.id, "a signature is no part of what a bundle is"


@pytest.mark.parametrize("name", sorted([*LIMITS, MANIFEST, SIGNATURE]))
def test_any_byte_that_is_changed_is_refused(place: Path, name: str) -> None:
    path = place / "signed" / name
    whole = path.read_bytes()
    for at in {0, len(whole) // 3, len(whole) // 2, len(whole) - 2}:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(BundleError):
            load(place / "signed")


def test_each_digit_of_a_signature_counts(place: Path) -> None:
    path = place / "signed" / SIGNATURE
    whole = json.loads(path.read_text())
    for field in ("signature", "manifest", "key"):
        for at in range(len(whole[field])):
            digit = "1" if whole[field][at] == "0" else "0"
            path.write_text(json.dumps(whole | {field: whole[field][:at] + digit + whole[field][at + 1 :]}))
            with pytest.raises(BundleError):
                load(place / "signed")


def test_files_that_were_changed_together_with_their_manifest_are_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hashes alone cannot tell: the changed bundle is a sound one, of another id."""
    folder = place / "signed"
    (folder / "model-card.md").write_text("Cures everything.")
    (folder / MANIFEST).write_bytes(manifest_bytes({name: (folder / name).read_bytes() for name in LIMITS}))
    with pytest.raises(BundleError, match="of another bundle, or its manifest was changed"):
        load(folder)
    content = json.loads((folder / SIGNATURE).read_text())
    content["manifest"] = sha256((folder / MANIFEST).read_bytes()).hexdigest()
    (folder / SIGNATURE).write_text(json.dumps(content))
    with pytest.raises(BundleError, match="does not hold under the key"):
        load(folder)
    monkeypatch.delenv(TRUSTED)
    load(folder)


def test_a_bundle_without_a_signature_and_one_of_another_key_are_refused(place: Path) -> None:
    save(place / "other", parts(recipe(), weights(1, 2, seed=2)))
    with pytest.raises(BundleError, match="'other' is not signed"):
        load(place / "other")
    shutil.copy(place / "signed" / SIGNATURE, place / "other" / SIGNATURE)
    with pytest.raises(BundleError, match="of another bundle"):
        load(place / "other")
    name = signature.sign(place / "other", signature.secret_key(place / "theirs.pem"))
    with pytest.raises(BundleError, match=f"signed with the key {name}, and trusted are"):
        load(place / "other")
    (place / "other" / SIGNATURE).unlink()
    (place / "other" / SIGNATURE).symlink_to(place / "signed" / SIGNATURE)
    with pytest.raises(BundleError, match="is a link"):
        load(place / "other")


def test_somebody_elses_key_under_a_trusted_name_does_not_pass(place: Path) -> None:
    path = place / "signed" / SIGNATURE
    trusted = json.loads(path.read_text())["key"]
    signature.sign(place / "signed", signature.secret_key(place / "theirs.pem"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"key": trusted}))
    with pytest.raises(BundleError, match="does not hold"):
        load(place / "signed")


@pytest.mark.parametrize("raw", [b"", b"{}", b"[" * 9000, b'{"key": 1}', b"\xff", b" " * 20_000])
def test_a_signature_that_is_none_is_refused(place: Path, raw: bytes) -> None:
    (place / "signed" / SIGNATURE).write_bytes(raw)
    with pytest.raises(BundleError, match=SIGNATURE):
        load(place / "signed")


def test_keys_are_files_and_folders(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "keys").mkdir()
    shutil.move(place / f"ours{ENDING}", place / "keys")
    for named in (place / "keys", f"{place / f'theirs{ENDING}'}{os.pathsep}{place / 'keys'}"):
        monkeypatch.setenv(TRUSTED, str(named))
        load(place / "signed")
    monkeypatch.setenv(TRUSTED, str(place / f"theirs{ENDING}"))
    with pytest.raises(BundleError, match="trusted are"):
        load(place / "signed")


@pytest.mark.parametrize(
    ("content", "match"),
    [(None, "cannot be read"), (b"nothing", "is no public key"), (b"", "is no public key")],
)
def test_a_setting_that_names_no_key_opens_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, match: str
) -> None:
    if content is not None:
        (place / f"key{ENDING}").write_bytes(content)
    monkeypatch.setenv(TRUSTED, str(place / f"key{ENDING}"))
    with pytest.raises(UsageError, match=match):
        load(place / "signed")
    (place / "empty").mkdir()
    monkeypatch.setenv(TRUSTED, str(place / "empty"))
    with pytest.raises(UsageError, match="names no public key"):
        load(place / "signed")


def test_a_secret_key_is_for_its_owner_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place / "ours.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        signature.secret_key(path)
    path.chmod(0o600)
    with pytest.raises(UsageError, match="is no secret key"):
        signature.secret_key(_private(place / f"ours{ENDING}"))
    with pytest.raises(UsageError, match=f"set {SIGNING}"):
        signature.secret_key(None)
    monkeypatch.setenv(SIGNING, path.read_text())
    assert signature.id_of(signature.secret_key(None).public_key()) in (place / "signed" / SIGNATURE).read_text()


def _private(path: Path) -> Path:
    path.chmod(0o600)
    return path


def test_the_verbs_make_a_key_sign_and_verify(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = said("key", place / "new.pem")
    assert made["public"] == str(place / f"new{ENDING}")
    save(place / "fresh", parts(recipe(), weights(1, 2)))
    assert said("sign", place / "fresh", "--key", place / "new.pem")["key"] == made["key"]
    with pytest.raises(BundleError, match="trusted are"):
        said("verify", place / "fresh")
    monkeypatch.setenv(TRUSTED, made["public"])
    assert said("verify", place / "fresh")["signed"] == {"key": made["key"], "trusted": True}
    monkeypatch.delenv(TRUSTED)
    assert said("verify", place / "fresh")["signed"] == {"key": made["key"], "trusted": False}
    with pytest.raises(UsageError, match="not written over"):
        said("key", place / "new.pem")
    (place / "fresh" / "metrics.json").write_text("{}")
    with pytest.raises(InsulaError, match=r"metrics\.json"):
        said("sign", place / "fresh", "--key", place / "new.pem")


def test_a_bundle_that_is_made_anew_has_no_signature_of_the_old_one(place: Path) -> None:
    save(place / "signed", parts(recipe(), weights(1, 2, seed=3)))
    assert not (place / "signed" / SIGNATURE).exists()


def test_no_scan_is_predicted_with_an_unsigned_bundle(place: Path) -> None:
    (place / "signed" / SIGNATURE).unlink()
    (place / "scan.dcm").write_bytes(b"scan")
    got = CliRunner().invoke(main, ["predict", str(place / "signed"), str(place / "scan.dcm")])
    assert isinstance(got.exception, BundleError), got.output
    assert "is not signed" in str(got.exception)
