"""Alerts to a receiver elsewhere: one signed POST, to a host that is allowed, and to no other address behind its name.

Headers and signature are those of Standard Webhooks (https://www.standardwebhooks.com), for which receivers have
libraries: HMAC-SHA256 (RFC 2104) over id, time and body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import httpx

from insula.core.errors import InsulaError
from insula.serve.monitor.alerts import Alert
from insula.serve.monitor.settings import MonitorSettings, check
from insula.serve.outward import Bounded, addresses
from insula.serve.store.schema import now

SECONDS: Final = 10.0  # for the whole of it
# networks of IPv6 in which an IPv4 address stands, to which a connection leads, and the bit from which on it does
_EMBEDDED: Final = (
    (ipaddress.IPv6Network("64:ff9b::/96"), 96),  # NAT64 (RFC 6052)
    (ipaddress.IPv6Network("2002::/16"), 16),  # 6to4 (RFC 3056)
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 96),  # RFC 2765
    (ipaddress.IPv6Network("::/96"), 96),  # RFC 4291, 2.5.5.1
)
_OWN: Final = (  # of one site or network, which Python 3.11 calls public
    ipaddress.IPv6Network("fec0::/10"),  # RFC 3879
    ipaddress.IPv6Network("64:ff9b:1::/48"),  # RFC 8215
    ipaddress.IPv6Network("5f00::/16"),  # RFC 9602
    ipaddress.IPv6Network("3fff::/20"),  # RFC 9637
    ipaddress.IPv4Network("192.0.0.0/24"),  # RFC 6890
)
Resolve = Callable[[str, int], Sequence[str]]


class AlertError(InsulaError):
    """An alert that did not reach its receiver; trying again later may help."""

    exit_code = 10
    code = "alert_not_sent"


def send(alert: Alert, settings: MonitorSettings, at: datetime | None = None, resolve: Resolve = addresses) -> None:
    """Send one alert, once; nothing happens without INSULA_ALERT_URL.

    The connection goes to the address that was checked, so that a name cannot be pointed elsewhere in between. Proxies
    of the environment and redirects are not followed. Raises AlertError where it was not taken (no answer within 10 s,
    no 2xx), and where the name stands for an address that is not public and not in INSULA_ALERT_HOSTS; UsageError for
    settings that are refused.
    """
    check(settings)
    if not settings.url:
        return
    url = httpx.URL(settings.url)
    port = url.port or (443 if url.scheme == "https" else 80)
    address = _checked(url.host, port, settings, resolve)
    content = body(alert)
    headers = {"Host": url.netloc.decode(), "Content-Type": "application/json", "User-Agent": "insula"}
    headers |= signed(content, _message_id(alert), at or now(), settings.signing_key)
    trusted = ssl.create_default_context() if url.scheme == "https" else None
    try:
        with (
            httpx.Client(transport=Bounded(SECONDS, trusted), trust_env=False) as client,
            client.stream(
                "POST",
                url.copy_with(host=address),
                content=content,
                headers=headers,
                extensions={"sni_hostname": url.host},
            ) as answer,
        ):
            status = answer.status_code
    except httpx.HTTPError as error:
        raise AlertError(
            f"The alert did not reach '{url.host}' ({type(error).__name__}); see whether it listens there."
        ) from error
    if not 200 <= status < 300:
        raise AlertError(f"'{url.host}' answered an alert with {status}, and 2xx is the rule; see what it says there.")


def body(alert: Alert) -> bytes:
    """What is sent: `type`, `timestamp` and `data`, as Standard Webhooks proposes."""
    closed = alert.closed_at is not None
    said = {
        "type": "insula.alert.closed" if closed else "insula.alert.opened",
        "timestamp": (alert.closed_at or alert.opened_at).isoformat(),
        "data": {
            "id": alert.id,
            "kind": alert.kind,
            "bundle_id": alert.bundle_id,
            "message": alert.message,
            "detail": dict(alert.detail),
        },
    }
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def signed(content: bytes, message_id: str, at: datetime, key: bytes) -> dict[str, str]:
    """The three headers of a body: its id, the second it was sent, and `v1,` with the signature in base64."""
    stamp = str(int(at.timestamp()))
    mac = hmac.digest(key, f"{message_id}.{stamp}.".encode() + content, hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


def _message_id(alert: Alert) -> str:
    return (
        f"{alert.id}.{'opened' if alert.closed_at is None else 'closed'}"  # alike for each try, so that one can be told
    )


def _checked(host: str, port: int, settings: MonitorSettings, resolve: Resolve) -> str:
    """The first address behind a host, after all of them were looked at."""
    try:
        found = [ipaddress.ip_address(text.partition("%")[0]) for text in resolve(host, port)]
    except OSError as error:
        raise AlertError(f"The name '{host}' stands for no address; see INSULA_ALERT_URL.") from error
    for address in found:
        plain = _meant(address)
        listed = any(plain in network for network in settings.networks if network.version == plain.version)
        if not listed and not _is_public(plain):
            raise AlertError(
                f"'{host}' stands for {plain}, which is no public address; name it in INSULA_ALERT_HOSTS if alerts may "
                "go there."
            )
    if not found:
        raise AlertError(f"The name '{host}' stands for no address; see INSULA_ALERT_URL.")
    return str(found[0])


def _meant(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address that stands in an IPv6 one, which is where a connection ends; else the address itself."""
    if address.version == 4 or int(address) < 2:  # `::` and `::1` stand for themselves
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    for network, bit in _EMBEDDED:
        if address in network:
            return ipaddress.IPv4Address((int(address) >> (96 - bit)) & 0xFFFFFFFF)
    return address


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    own = any(address in network for network in _OWN if network.version == address.version)
    return address.is_global and not address.is_multicast and not own
