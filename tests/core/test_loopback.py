from __future__ import annotations

import pytest

from insula.core.loopback import is_loopback, is_web_address


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "LocalHost", "::1", "[::1]"])
def test_addresses_of_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.1", "2130706433", "localhost.", "::", "10.0.0.1", "a.example"])
def test_addresses_that_are_not_known_to_be_of_this_machine(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "text",
    [
        "https://a.example", "http://127.0.0.1:8042/dicom-web", "https://[2001:db8::1]:8443/x?a=b#c", "mllp://h_1:2575",
        "https://user:word@a.example/", "fhir+https://a.example/fhir", "https://a-b.example./", "https://1.example/",
    ],
)  # fmt: skip
def test_addresses_that_read_in_one_way(text: str) -> None:
    assert is_web_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "a.example", "//a.example/", "https:///x", "https://", "https:/a.example", " https://a.example",
        "https://a.example\n/", "https://a\t.example/", "https://a.example\\@b.example/", "https://2130706433/",
        "https://127.1/", "https://0x7f000001/", "https://0177.0.0.1/", "https://a.0x1/", "https://a.example:0/",
        "https://a.example:99999/", "https://a.example:x/", "https://１２７.0.0.1/", "https://a.example/ä",
        "https://[::1/", "https://[fe80::1%25eth0]/", "https://%31.example/", "https://-a.example/", "https://[1]/",
    ],
)  # fmt: skip
def test_addresses_that_readers_could_take_differently_are_none(text: str) -> None:
    assert not is_web_address(text)
