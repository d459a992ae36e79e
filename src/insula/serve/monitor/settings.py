"""What monitoring may be told, from the environment (`INSULA_…`)."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from insula.core.errors import UsageError
from insula.core.loopback import is_web_address
from insula.serve.secret_files import FromEnvironment
from insula.serve.settings import is_loopback

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PREFIX = "whsec_"
_SECRET = "INSULA_ALERT_SECRET"  # noqa: S105 - a variable's name


class MonitorSettings(FromEnvironment):
    """Each field is read from `INSULA_<NAME>`.

    drift_rate: chance of a false alarm of drift in one watch over one bundle. drift_reference: first served patients
    that later ones are compared with. alert_url: where alerts are sent, none for nowhere; its path may be secret.
    alert_hosts: host names, addresses and networks that may get them, separated by commas. alert_secret: signs them,
    `whsec_` and base64. alert_error_rate: share of failed requests in a quarter of an hour, from which on an alert is
    opened. alert_failed_jobs: number of failed jobs in it, likewise. alert_accuracy: accuracy that reviews must not
    show to be missed, 0 for none.
    """

    model_config = SettingsConfigDict(env_prefix="INSULA_", extra="ignore", frozen=True)

    drift_rate: Annotated[float, Field(gt=0.0, le=0.5)] = 0.05
    drift_reference: Annotated[int, Field(ge=20, le=10_000)] = 200
    alert_url: SecretStr | None = None
    alert_hosts: str = ""
    alert_secret: SecretStr | None = None
    alert_error_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.05
    alert_failed_jobs: Annotated[int, Field(ge=1)] = 5
    alert_accuracy: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0

    @property
    def url(self) -> str:
        """Where alerts are sent, "" for nowhere."""
        return self.alert_url.get_secret_value() if self.alert_url else ""

    @property
    def host(self) -> str:
        """The host that alerts are sent to, "" for none."""
        return (urlsplit(self.url).hostname or "").lower()

    @property
    def names(self) -> frozenset[str]:
        """The host names that may get alerts."""
        return frozenset(entry for entry in self._entries() if _network(entry) is None)

    @property
    def networks(self) -> tuple[Network, ...]:
        """The addresses and networks that may get alerts, private ones too."""
        return tuple(found for entry in self._entries() if (found := _network(entry)) is not None)

    @property
    def signing_key(self) -> bytes:
        """The bytes that alerts are signed with. Raises ValueError for a secret that is none."""
        text = self.alert_secret.get_secret_value() if self.alert_secret else ""
        try:
            key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except binascii.Error as error:
            raise ValueError("it is no base64") from error
        if not text.startswith(_PREFIX) or not 24 <= len(key) <= 64:
            raise ValueError(f"it is not '{_PREFIX}' and 24 to 64 bytes in base64")
        return key

    def _entries(self) -> tuple[str, ...]:
        return tuple(entry.strip().lower() for entry in self.alert_hosts.split(",") if entry.strip())


def read_monitor_settings() -> MonitorSettings:
    """Settings from the environment, checked; UsageError names a wrong value and never shows the secret."""
    try:
        settings = MonitorSettings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(p) for p in first["loc"])
        raise UsageError(f"The setting '{name}' is refused: {first['msg']}; change INSULA_{name.upper()}.") from error
    check(settings)
    return settings


def check(settings: MonitorSettings) -> None:
    """Refuse an address for alerts that is not encrypted, not allowed, or would be sent to unsigned."""
    if not settings.url:
        return
    if not is_web_address(settings.url) or urlsplit(settings.url).scheme not in ("https", "http"):
        raise UsageError("INSULA_ALERT_URL is no web address; write https://HOST/PATH.")
    parts = urlsplit(settings.url)
    if parts.username or parts.password:
        raise UsageError("INSULA_ALERT_URL holds a password, which logs could show; put what is secret into its path.")
    if parts.scheme == "http" and not is_loopback(settings.host):
        raise UsageError(
            f"INSULA_ALERT_URL sends to '{settings.host}' without encryption; write https, or a program on 127.0.0.1 "
            "that passes alerts on."
        )
    listed = _network(settings.host)
    if settings.host not in settings.names and not (
        listed is not None and any(_within(listed, network) for network in settings.networks)
    ):
        raise UsageError(
            f"INSULA_ALERT_URL sends to '{settings.host}', which INSULA_ALERT_HOSTS does not name; add it there."
        )
    try:
        settings.signing_key  # noqa: B018 - it is read for its error
    except ValueError as error:
        raise UsageError(
            f"{_SECRET} cannot sign alerts: {error}; make one with: python -c 'import base64, secrets; "
            'print("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())\'.'
        ) from error


def _network(entry: str) -> Network | None:
    try:
        return ipaddress.ip_network(entry)
    except ValueError:
        return None


def _within(one: Network, other: Network) -> bool:
    return one.version == other.version and one.network_address in other
