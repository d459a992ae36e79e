"""What the PACS node may be told, from the environment (`INSULA_PACS_…`)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from insula.core.errors import UsageError
from insula.serve import secret_files
from insula.serve.pacs import peers as peers_of
from insula.serve.pacs.peers import Peer

_SHORTEST = 32


class PacsSettings(secret_files.FromEnvironment):
    """Each field is read from `INSULA_PACS_<NAME>`; secrets from there alone.

    ae_title, host, port: where the node listens; port 0 for any free one. allow: calling AE titles that may open an
    association, each with the address it calls from where it is given (`MODALITY1@10.0.0.7`), separated by commas.
    tls_cert, tls_key: files of the node's certificate, for TLS; tls_ca: whose certificates are believed, of callers
    (who then have to show one) and of peers. peers: other machines, see `peers.parse`. rules: the YAML file that says
    what becomes of a study, see `rules`. quiet_seconds: after the last instance, until a study counts as whole.
    most_associations: at a time. most_waiting: studies that wait for an answer, beyond which associations are refused.
    least_free_mb: free disk, below which they are refused too. max_instance_mb: of one object. keep_unrouted_days: how
    long is kept what no rule takes or what could not be taken. identity_key: seals who a pseudonymised patient was;
    whoever has it can tell. orthanc: name of the peer whose changes are watched, "" for none. workitems: name of the
    peer whose work items are taken (UPS-RS), "" for none.
    """

    # what is set to nothing is not set: a path of no letters would be that of the folder where the node was started
    model_config = SettingsConfigDict(env_prefix="INSULA_PACS_", extra="ignore", frozen=True, env_ignore_empty=True)

    ae_title: str = "INSULA"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 11112
    allow: str = ""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None
    peers: str = ""
    rules: Path | None = None
    quiet_seconds: Annotated[float, Field(gt=0.0, le=3600.0)] = 20.0
    most_associations: Annotated[int, Field(ge=1, le=256)] = 16
    most_waiting: Annotated[int, Field(ge=1)] = 500
    least_free_mb: Annotated[int, Field(ge=0)] = 1024
    max_instance_mb: Annotated[int, Field(ge=1, le=4096)] = 512
    keep_unrouted_days: Annotated[int, Field(ge=1)] = 7
    identity_key: SecretStr | None = None
    orthanc: str = ""
    workitems: str = ""

    @cached_property
    def peer(self) -> Mapping[str, Peer]:
        """The peers by name."""
        return peers_of.parse(self.peers)

    @cached_property
    def callers(self) -> Mapping[str, frozenset[str]]:
        """AE title → the addresses that it may call from; none where it may from any."""
        found: dict[str, set[str]] = {}
        for entry in (part.strip() for part in self.allow.split(",") if part.strip()):
            title, _, host = entry.partition("@")
            found.setdefault(title, set()).update({host} if host else set())
        return {title: frozenset(hosts) for title, hosts in found.items()}


def login(peer: str) -> str:
    """What a web peer asks for: `NAME:PASSWORD` or a bearer token, from `INSULA_PACS_LOGIN_<PEER>`; "" for none."""
    return secret_files.given(f"INSULA_PACS_LOGIN_{peer.upper().replace('-', '_')}")


def read_pacs_settings(**given: object) -> PacsSettings:
    """Settings from the environment, with what the command line gave on top; UsageError names a wrong value."""
    try:
        settings = PacsSettings(**{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(p) for p in first["loc"])
        raise UsageError(
            f"The setting '{name}' is refused: {first['msg']}; change INSULA_PACS_{name.upper()}."
        ) from error
    check(settings)
    return settings


def find_peer(settings: PacsSettings, name: str) -> Peer:
    """A peer by its name. Raises UsageError where there is none, with those there are."""
    found = settings.peer.get(name)
    if found is None:
        known = ", ".join(sorted(settings.peer)) or "none is set"
        raise UsageError(f"'{name[:40]}' is no peer; INSULA_PACS_PEERS has: {known}.")
    return found


def check(settings: PacsSettings) -> None:
    """Refuse titles that are none, a half set of TLS, names that are no peers, and a key too short to be one."""
    for title in (settings.ae_title, *settings.callers):
        if not peers_of.is_ae_title(title):
            raise UsageError(f"'{title[:20]}' is no AE title; it has 1 to 16 printable characters and no backslash.")
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise UsageError("TLS needs both INSULA_PACS_TLS_CERT and INSULA_PACS_TLS_KEY; set the one that is missing.")
    for setting in ("orthanc", "workitems"):
        name = str(getattr(settings, setting))
        if name and find_peer(settings, name).kind != "web":
            raise UsageError(
                f"INSULA_PACS_{setting.upper()} names '{name[:32]}', which is no web server; give "
                "INSULA_PACS_PEERS its address as http://… or https://…."
            )
    if settings.identity_key is not None and len(settings.identity_key.get_secret_value()) < _SHORTEST:
        raise UsageError(
            f"INSULA_PACS_IDENTITY_KEY is shorter than {_SHORTEST} characters; make one with: "
            "python -c 'import secrets; print(secrets.token_urlsafe(48))'."
        )
