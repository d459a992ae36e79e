"""Nobody is sent on to another site, and no name of another host gets into an answer, whoever writes it where."""

from __future__ import annotations

import html
import random
import re
from urllib.parse import urljoin, urlsplit

import pytest
from tests.faults.made_rooms import Rooms
from tests.faults.tally import Tally, sizes

from insula.serve.web.errors import onward

pytestmark = pytest.mark.serve
PAGE = {"Accept": "text/html"}
PATHS = ("//evil.example", "//evil.example/..", "/\\evil.example", "//evil.example//worklist/", "/%2f/evil.example/")
HOSTS = ("evil.example", "127.0.0.1:1@evil.example", "localhost/@evil.example", "[::1]evil.example", "127.0.0.1#evil.x")
TOLD = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example", "X-Forwarded-Proto": "gopher"}


def addresses() -> list[str]:
    """Where an attacker would like somebody sent on to."""
    hosts = ("evil.example", "evil.example/", "evil.example:443/x", "127.0.0.1@evil.example", "evil。example")
    starts = (
        "//", "/\\", "\\\\", "\\/", "///", "////", "/\t/", "/\n/", "/\r/", "https://", "https:", "http:/", "HTTPS://",
        " //", "\x00//", "/.//", "/..//", "/%09/", "/%5c", "//%2f", "\u2028//", "ftp://", "javascript://",
        "javascript:", "data:text/html,", "//[", "//@", "/;//", "?//", "#//", "/x//../..//", "blob:https://",
        "//user:pass@",
    )  # fmt: skip
    return [start + host for start in starts for host in hosts]


def leads_out(address: str) -> bool:
    """Whether a browser would leave the service for an address, read as WHATWG's URL has it."""
    seen = "".join(c for c in address if c not in "\t\n\r").strip("".join(map(chr, range(33)))).replace("\\", "/")
    try:
        parts = urlsplit(urljoin("https://127.0.0.1/login", seen))
    except ValueError:
        return True
    return parts.scheme != "https" or parts.netloc != "127.0.0.1"


@sizes("many", 300, 100_000)
def test_nobody_is_sent_to_another_site(rooms: Rooms, tally: Tally, many: int) -> None:
    assert leads_out("//evil.example")
    assert leads_out("/\\evil.example")
    assert not leads_out("/worklist?next=//evil.example")
    rng = random.Random(11)
    letters = [*"/\\:@.\t\n\r \0x#?[．／", "//", "%2f", "%5c", "evil.example", "https"]
    made = [*addresses(), *("".join(rng.choices(letters, k=rng.randint(1, 6))) for _ in range(many))]
    wrong = [wanted for wanted in made if leads_out(onward(wanted))]
    client = rooms.made.fresh()
    asked = addresses()[:: 1 if many > 1000 else 6]
    for wanted in asked:
        page = client.get("/login", params={"next": wanted}, headers=PAGE).text
        places = [html.unescape(one) for one in re.findall(r'(?:value|href|action|data-[a-z-]+)="([^"]*)"', page)]
        wrong += [one for one in places if "evil" in one and leads_out(one)]
    for path in PATHS:
        for host in ("127.0.0.1", *HOSTS):
            answer = client.get(path, headers={**PAGE, "Host": host}, follow_redirects=False)
            wrong += [f"{host} {path}"] if leads_out(answer.headers.get("location", "/")) else []
    assert not wrong, wrong[:5]
    tried = len(made) + len(asked) + len(PATHS) * (1 + len(HOSTS))
    tally.tried("an address of another site as the place to go to after a log-in, or as a path", tried)


@sizes("rounds", 1, 20)
def test_no_other_host_gets_into_an_answer(rooms: Rooms, tally: Tally, rounds: int) -> None:
    client, study = rooms.made.client("reader"), rooms.ours["study"]
    paths = (f"/dicom-web/studies/{study}/series", "/dicom-web/workitems", "/worklist/", "/login", "/dicom-web/studies")
    for _ in range(rounds):
        for path in paths:
            for host in HOSTS:
                answer = client.get(path, headers={**TOLD, "Host": host}, follow_redirects=False)
                assert answer.status_code == 403, (host, path)
                assert "evil" not in answer.text + str(answer.headers)
            answer = client.get(path, headers=TOLD, follow_redirects=False)
            assert answer.status_code in (200, 204, 307), path
            assert not any(word in answer.text + str(answer.headers) for word in ("evil", "gopher"))
    tally.tried(
        "a request for another host, or one that a proxy is said to have had", rounds * len(paths) * (len(HOSTS) + 1)
    )
