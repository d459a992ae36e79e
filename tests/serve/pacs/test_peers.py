"""Addresses of other machines: what is one, what is refused, and that no secret may stand in them."""

from __future__ import annotations

import pytest

from insula.core.errors import UsageError
from insula.serve.pacs.peers import Peer, is_ae_title, parse

pytestmark = pytest.mark.serve


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("dicom://ARCHIVE@pacs.example:11112", Peer("a", "dicom", False, "pacs.example", 11112, "ARCHIVE")),
        ("dicom://MY-PACS_1@10.0.0.7", Peer("a", "dicom", False, "10.0.0.7", 104, "MY-PACS_1")),
        ("dicoms://ARCHIVE@pacs.example", Peer("a", "dicom", True, "pacs.example", 2762, "ARCHIVE")),
        ("https://pacs.example/dicom-web/", Peer("a", "web", True, "pacs.example", 443, path="/dicom-web")),
        ("http://127.0.0.1:8042/dicom-web", Peer("a", "web", False, "127.0.0.1", 8042, path="/dicom-web")),
        ("mllp://localhost:2575", Peer("a", "hl7", False, "localhost", 2575)),
        ("mllps://his.example", Peer("a", "hl7", True, "his.example", 2575)),
        ("fhir+https://his.example/fhir/r4", Peer("a", "fhir", True, "his.example", 443, path="/fhir/r4")),
    ],
)
def test_an_address_is_a_peer(address: str, peer: Peer) -> None:
    assert parse(f"a={address}") == {"a": peer}


def test_several_are_parted_by_commas_or_blanks() -> None:
    assert list(parse("a=dicom://A@h, b=dicom://B@h\n c=mllps://h")) == ["a", "b", "c"]
    assert parse("") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dicom://A@h", "NAME=ADDRESS"),
        ("a=mllp://127.0.0.1 https://me:hunter2@h", "Entry 2"),
        ("A=dicom://A@h", "NAME=ADDRESS"),
        ("a=dicom://A@h a=dicom://B@h", "twice"),
        ("a=ftp://h", "no address"),
        ("a=dicom://A@h:0", "no address"),
        ("a=dicom://A@h:99999", "no address"),
        ("a=dicom://", "no address"),
        ("a=dicom://h:104", "no AE title"),
        ("a=dicom://AVERYLONGTITLE123@h", "no AE title"),
        ("a=dicom://A:hunter2@h", "INSULA_PACS_LOGIN_A"),
        ("a=https://me:hunter2@h", "INSULA_PACS_LOGIN_A"),
        ("a=https://h/x?key=hunter2", "INSULA_PACS_LOGIN_A"),
        ("a=http://pacs.example/dicom-web", "without encryption"),
        ("a=mllp://10.0.0.7", "without encryption"),
        ("a=fhir+http://his.example", "without encryption"),
    ],
)
def test_what_is_none_is_refused_and_no_secret_repeated(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse(text)
    assert "hunter2" not in str(caught.value)


def test_a_web_peer_has_a_url() -> None:
    (peer,) = parse("a=https://[::1]:8443/dicom-web").values()
    assert peer.url == "https://[::1]:8443/dicom-web"


@pytest.mark.parametrize(
    ("title", "good"),
    [
        ("A", True),
        ("MY PACS", True),
        ("SIXTEENCHARACTER", True),
        ("SEVENTEENCHARACTR", False),
        ("", False),
        (" A", False),
        ("A ", False),
        ("A\\B", False),
        ("A\nB", False),
        ("Ä", False),
    ],
)
def test_titles_of_application_entities(title: str, good: bool) -> None:
    assert is_ae_title(title) is good
