"""Whom Insula asks: nobody but those whom the environment names, wherever an answer, a name or a peer points to."""

from __future__ import annotations

import ipaddress
import itertools
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from tests.faults import made_servers as servers
from tests.faults.made_callers import ALERT, COMMAND, SERVICE, alert_settings, outcome
from tests.faults.tally import Tally, sizes
from tests.serve.monitor.made_records import START

from insula.client.address import address_of
from insula.core.errors import InsulaError
from insula.serve.monitor import webhook
from insula.serve.monitor.settings import check
from insula.serve.narrative.model import endpoint_of
from insula.serve.pacs import peers
from insula.serve.pacs.task import TaskError, destinations_of, inputs_of
from insula.serve.people.issuers import secure_address
from insula.serve.settings import Settings

pytestmark = pytest.mark.serve
CALLERS = {**SERVICE, **COMMAND}


@sizes("rounds", 1, 5)
def test_a_redirect_leads_nowhere(rounds: int, tally: Tally, tmp_path: Path) -> None:
    tried = 0
    wrong: list[str] = []
    with servers.serving(servers.said(b"[]")) as elsewhere:
        kinds = itertools.product(servers.CODES, ("{url}/x", "//127.0.0.1:{port}/x", "http://a@127.0.0.1:{port}/"))
        for code, to in list(kinds)[:: 1 if rounds > 1 else 10]:
            place = to.format(url=elsewhere.url, port=elsewhere.port)
            with servers.serving(servers.redirect(code, place)) as first:
                for (name, call), _ in itertools.product(CALLERS.items(), range(rounds)):
                    found = outcome(call, first.port, tmp_path)
                    tried += 1
                    if found.startswith("!") or (found == "answer" and name not in ("the language model",)):
                        wrong.append(f"{code} {name}: {found}")
                assert first.came >= (len(CALLERS) - 1) * rounds  # the model's caller has one second, which may be over
        assert elsewhere.came == 0, "somebody followed"
    assert not wrong, wrong
    tally.tried("a receiver, issuer, model, archive or service that points elsewhere (redirects)", tried)


def private(random: Random) -> ipaddress.IPv4Address:
    """An address that is not for the public."""
    networks = (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4", "169.254.169.254/32",
    )  # fmt: skip
    network = ipaddress.IPv4Network(random.choice(networks))
    return network[random.randrange(network.num_addresses)]


def disguised(address: ipaddress.IPv4Address, random: Random) -> str:
    """The same place in another writing that a name may stand for."""
    number = int(address)
    made = (
        address,
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x64FF9B0001 << 80) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80) | random.getrandbits(80)),
        ipaddress.IPv6Address((0xFFFF << 48) | number),
        ipaddress.IPv6Address(number),
    )
    return str(random.choice(made))


def of_one_site(random: Random) -> str:
    """An IPv6 address that is not for the public."""
    networks = (
        "::/128", "::1/128", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "64:ff9b:1::/48", "100::/64",
        "2001:db8::/32", "3fff::/20", "5f00::/16", "fd00:ec2::254/128",
    )  # fmt: skip
    network = ipaddress.IPv6Network(random.choice(networks))
    return str(network[random.randrange(network.num_addresses)])


@sizes("count", 300, 100_000)
def test_a_receivers_name_stands_for_no_private_address(count: int, tally: Tally) -> None:
    random, settings = Random("outward"), alert_settings("https://hooks.example.org/", "hooks.example.org")
    taken = []
    for number in range(count):
        bad = disguised(private(random), random) if number % 3 else of_one_site(random)
        behind = [bad] if number % 2 else ["93.184.215.14", bad]
        try:
            taken.append(webhook._checked("hooks.example.org", 443, settings, lambda *_, b=behind: b))
        except webhook.AlertError:
            continue
    for good in ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e", "2002:5db8:d70e::1"):
        assert webhook._checked("hooks.example.org", 443, settings, lambda *_, g=good: [g]) == good
    tally.tried("alerts to a name behind which a private address stands, in any writing", count, leaked=len(taken))


@sizes("count", 10, 500)
def test_a_name_that_changes_its_address_in_between_changes_nothing(
    count: int, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def resolver(host: Any, *more: Any, **given: Any) -> list[Any]:
        nonlocal asked
        if host != "rebinds.example":
            return real(host, *more, **given)
        asked += 1  # at first an address that may be asked, then one that may not
        return real("127.0.0.2" if asked == 1 else "127.0.0.1", *more, **given)

    real: Callable[..., list[Any]] = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    leaked = 0
    with servers.serving(servers.nothing) as inside:
        # the settings ask for https beyond this machine; what is tried here is who is called
        monkeypatch.setattr(webhook, "check", lambda settings: None)
        settings = alert_settings(f"http://rebinds.example:{inside.port}/", "rebinds.example,127.0.0.2")
        for _ in range(count):
            asked = 0
            with pytest.raises(webhook.AlertError, match="did not reach"):
                webhook.send(ALERT, settings, START)
            assert asked == 1, "the name was looked up once more"
        leaked = inside.came
        asked = 1
        with pytest.raises(webhook.AlertError, match="no public address"):
            webhook.send(ALERT, settings, START)
    tally.tried(
        "a receiver's name that is pointed elsewhere between check and use (DNS rebinding)", count, leaked=leaked
    )


HOSTS = (
    "127.0.0.1", "localhost", "LOCALHOST", "localhost.", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0",
    "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "169.254.169.254", "[fd00:ec2::254]",
    "metadata.google.internal", "10.0.0.5", "hooks.example.org", "１２７.０.０.１", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "[::1%25eth0]", "",
    "127.0.0.1%2f.example.org", "%31%32%37.0.0.1", "127.0.0.1\t", "exa\nmple.org", "example.org:80@127.0.0.1",
    "127.0.0.1#@example.org", "127.0.0.1\\@example.org",
)  # fmt: skip
FORMS = (
    "http://{h}/", "https://{h}/", "HTTP://{h}", "http://{h}:{p}/x", "https://user:pass@{h}/", "https://{h}:-1/",
    "https://{h}@example.org/", "data:,{h}",
    "file://{h}/etc/passwd", "file:///etc/passwd", "gopher://{h}:70/_x", "ftp://{h}/", "dict://{h}:11211/", "//{h}/",
    "http:/{h}", "http:\\\\{h}\\", " http://{h}/", "jar:http://{h}!/", "https://{h}:99999/",
)  # fmt: skip


def issuer(text: str) -> str:
    return secure_address(text)


def alerts(text: str) -> str:
    check(alert_settings(text, "hooks.example.org,example.org,127.0.0.1"))
    return text


def model(text: str) -> str:
    found = endpoint_of(Settings(summary_url=text, summary_model="m", summary_key="k"))
    return found.url if found else ""


def archive(text: str) -> str:
    return peers.parse(f"one={text}")["one"].url


def service(text: str) -> str:
    return address_of(text, insecure=False)


READERS: dict[str, Callable[[str], str]] = {
    "an issuer": issuer, "alerts": alerts, "a model": model, "an archive": archive, "a service": service,
}  # fmt: skip


def written(count: int) -> Sequence[str]:
    """Addresses in every form, and as many more with characters that readers of addresses take differently."""
    plain = [form.format(h=host, p=8080) for form, host in itertools.product(FORMS, HOSTS)]
    random, marks = Random("addresses"), "@#\\/?:;%[] \t\n\0\u3002\uff0e\u2100\u00ad.&=ß"
    more = []
    for _ in range(count):
        text = list(random.choice(plain))
        for _ in range(random.randint(1, 3)):
            text.insert(random.randrange(len(text) + 1), random.choice(marks))
        more.append("".join(text))
    return (*plain, *more)


@sizes("count", 300, 20_000)
def test_what_is_taken_for_an_address_is_encrypted_or_of_this_machine_and_read_alike(count: int, tally: Tally) -> None:
    every, taken = written(count)[:: 1 if count > 1000 else 5], 0
    wrong: list[str] = []
    for text, (name, read) in itertools.product(every, READERS.items()):
        try:
            found = read(text)
        except (InsulaError, ValueError):
            continue
        taken += 1
        parts = urlsplit(found)
        asked = httpx.URL(found)
        if asked.scheme not in ("http", "https") or asked.userinfo:
            wrong.append(f"{name}: {text!r} is of another kind")
        elif asked.scheme == "http" and not ipaddress_of(asked.host).is_loopback:
            wrong.append(f"{name}: {text!r} goes to {asked.host} unencrypted")
        elif _name(asked.host) != _name(parts.hostname or ""):
            wrong.append(f"{name}: {text!r} is checked as {parts.hostname} and asked at {asked.host}")
    assert not wrong, wrong[:10]
    assert taken > 20, "nothing is an address"
    tally.tried("odd addresses in the settings (other schemes, users, numbers for hosts)", len(every) * len(READERS))


def ipaddress_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]").partition("%")[0])


def _name(host: str) -> str:
    return httpx.URL(f"https://{f'[{host}]' if ':' in host else host}/").host


@sizes("count", 200, 50_000)
def test_a_work_item_sends_the_node_to_its_peers_alone(count: int, tally: Tally) -> None:
    known = peers.parse("archive=https://pacs.example/dicom-web, scanner=dicom://SCANNER@ct.example:104")
    random, places = Random("work items"), written(count)
    elsewhere = [one for one in places if "pacs.example" not in one]
    leaked = 0
    for number in range(count):
        url = random.choice(elsewhere) if number % 4 else hidden(random)
        item = {
            "00404021": sequence(
                {"0020000D": value("UI", "1.2.3"), "0040E025": sequence({"00081190": value("UR", url)})}
            ),
            "00404070": sequence({"00404072": sequence({"00404073": value("UR", url)})}),
        }
        for read in (lambda i: inputs_of(i, known, "archive"), lambda i: destinations_of(i, known)):
            try:
                read(item)
                leaked += 1
            except TaskError:
                continue
    good = {"00404070": sequence({"00404072": sequence({"00404073": value("UR", "https://pacs.example/dicom-web/x")})})}
    assert destinations_of(good, known) == ("archive",)
    tally.tried("work items that name places which are no peers", 2 * count, leaked=leaked)


def hidden(random: Random) -> str:
    """An address that only looks like that of the archive."""
    return random.choice(
        (
            "https://pacs.example.evil.example/dicom-web", "https://pacs.example@evil.example/dicom-web",
            "https://evil.example/pacs.example/dicom-web", "http://pacs.example/dicom-web",
            "https://pacs.example:8443/dicom-web", "https://pacs.example/dicom-web.evil", "https://pacs.example/",
            "https://evil.example#pacs.example/dicom-web", "https://user@pacs.example/dicom-web",
            "https://pacs.example%2eevil.example/dicom-web",
        )
    )  # fmt: skip


def sequence(*items: dict[str, Any]) -> dict[str, Any]:
    return {"vr": "SQ", "Value": list(items)}


def value(vr: str, content: str) -> dict[str, Any]:
    return {"vr": vr, "Value": [content]}
