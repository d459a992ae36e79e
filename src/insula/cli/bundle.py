"""`insula bundle`: whether a bundle is as it was made, and whose it is."""

from __future__ import annotations

from pathlib import Path

import click

from insula.cli.output import emit, json_option

_FILE = click.Path(path_type=Path)


@click.group()
def bundle() -> None:
    """Verify a bundle, sign it, and make the keys for that.

    A signature says whose bundle it is. Where INSULA_TRUSTED_KEYS names public keys (files, or folders of *.pub.pem,
    separated by ':'), every verb and the service open signed bundles of these keys alone.
    """


@bundle.command()
@click.argument("folder", type=_FILE, metavar="BUNDLE")
@json_option
def verify(folder: Path, as_json: bool) -> None:
    """Read every byte of BUNDLE, and say whether it is as it was made and by whose key it is signed.

    Without INSULA_TRUSTED_KEYS a signature is named and not judged.
    """
    from insula.bundle import signature
    from insula.bundle.load import load

    found = load(folder)
    place = folder / signature.SIGNATURE
    keys = signature.trusted()
    signed = (
        signature.read((folder / "manifest.json").read_bytes(), place.read_bytes(), keys or {})
        if place.exists()
        else None
    )
    said = f"Bundle {found.id} ('{found.recipe.name}') is as it was made: {len(found.files)} files."
    if signed is None:
        said += " It is not signed."
    elif keys is None:
        said += f" It is signed with the key {signed.key}; set INSULA_TRUSTED_KEYS to have that judged."
    else:
        said += f" Its signature holds under the trusted key {signed.key}."
    data = {
        "bundle_id": found.id,
        "recipe": found.recipe.name,
        "files": dict(found.files),
        "signed": None if signed is None else {"key": signed.key, "trusted": signed.holds},
    }
    emit(as_json, data, said)


@bundle.command()
@click.argument("folder", type=_FILE, metavar="BUNDLE")
@click.option("--key", "secret", type=_FILE, metavar="FILE", help="The secret key (INSULA_SIGNING_KEY holds its text).")
@json_option
def sign(folder: Path, secret: Path | None, as_json: bool) -> None:
    """Verify BUNDLE and write its signature into it; an older signature is replaced. Nothing else is changed."""
    from insula.bundle import signature
    from insula.bundle.load import load

    key = signature.secret_key(secret)
    found = load(folder, signed=False)
    name = signature.sign(folder, key)
    emit(as_json, {"bundle_id": found.id, "key": name}, f"Bundle {found.id} is signed with the key {name}.")


@bundle.command()
@click.argument("out", type=_FILE, metavar="FILE")
@json_option
def key(out: Path, as_json: bool) -> None:
    """Make a key to sign with: FILE, the secret part for its owner alone, and FILE with .pub.pem, the public one.

    The secret part is not protected by a password: keep it where bundles are signed, and nowhere else.
    """
    from insula.bundle import signature

    public, name = signature.new_key(out)
    data = {"secret": str(out), "public": str(public), "key": name}
    emit(as_json, data, f"Key {name}: {out} signs, {public} is for INSULA_TRUSTED_KEYS where bundles are used.")
