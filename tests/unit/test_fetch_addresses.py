"""Which addresses and spellings the checked client calls, and which never."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fetch import Fetcher, Unfetched, shown, why_refused

INNER = [
    ("10.1.2.3", "private"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.168.1.1", "private"),
    ("fd12:3456::1", "private"),
    ("127.0.0.1", "loopback"),
    ("127.8.8.8", "loopback"),
    ("::1", "loopback"),
    ("100.64.0.1", "carrier-grade NAT"),
    ("::ffff:127.0.0.1", "loopback"),
    ("::ffff:10.0.0.1", "private"),
    ("64:ff9b::10.0.0.1", "private"),
    ("2002:7f00:1::", "loopback"),
    ("2002:c0a8:101::1", "private"),
]
NEVER = [
    ("169.254.169.254", "a cloud's metadata service"),
    ("169.254.170.2", "a cloud's metadata service"),
    ("100.100.100.200", "a cloud's metadata service"),
    ("168.63.129.16", "a cloud's metadata service"),
    ("192.0.0.192", "a cloud's metadata service"),
    ("fd00:ec2::254", "a cloud's metadata service"),
    ("fd20:ce::254", "a cloud's metadata service"),
    ("::ffff:169.254.169.254", "a cloud's metadata service"),
    ("64:ff9b::a9fe:a9fe", "a cloud's metadata service"),
    ("2002:a9fe:a9fe::", "a cloud's metadata service"),
    ("169.254.1.1", "link-local"),
    ("fe80::1", "link-local"),
    ("fe80::1%eth0", "link-local"),
    ("::ffff:169.254.1.1", "link-local"),
    ("0.0.0.0", "unspecified"),
    ("0.1.2.3", "unspecified"),
    ("::", "unspecified"),
    ("::ffff:0.0.0.0", "unspecified"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.250", "multicast"),
    ("ff02::1", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "reserved"),
    ("192.0.2.1", "reserved"),
    ("198.18.0.1", "reserved"),
    ("198.51.100.7", "reserved"),
    ("203.0.113.7", "reserved"),
    ("2001:db8::1", "reserved"),
    ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "reserved"),  # Teredo
    ("64:ff9b:1::1", "reserved"),
    ("100::1", "reserved"),
    ("fec0::1", "reserved"),
    ("::127.0.0.1", "reserved"),  # the old compatible form
    ("::8.8.8.8", "reserved"),
    ("4000::1", "reserved"),
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::8.8.8.8", "2002:808:808::1"]


@pytest.mark.parametrize(("address", "why"), INNER)
def test_inner_addresses_are_called_only_where_the_setting_says_so(address: str, why: str) -> None:
    assert why_refused(address, allow_private=False) == why
    assert why_refused(address, allow_private=True) is None


@pytest.mark.parametrize(("address", "why"), NEVER)
def test_these_are_never_called(address: str, why: str) -> None:
    assert why_refused(address, allow_private=False) == why
    assert why_refused(address, allow_private=True) == why


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_called(address: str) -> None:
    assert why_refused(address, allow_private=False) is None


@given(st.ip_addresses())
def test_nothing_is_called_that_the_standard_library_calls_private(ip: object) -> None:
    """Its table is a second opinion: every address we let through is a global one there, or a wrapped global one."""
    from ipaddress import IPv6Address, ip_address

    address = ip_address(str(ip))
    if why_refused(str(ip), allow_private=False) is None:
        wrapped = isinstance(address, IPv6Address) and str(address).startswith(("2002:", "64:ff9b:", "::ffff:"))
        assert address.is_global or wrapped
        assert not address.is_multicast


def resolving(*addresses: str) -> tuple[list[tuple[str, int]], object]:
    asked: list[tuple[str, int]] = []

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return addresses

    return asked, resolve


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://hooks.example/x", "only https is called"),
        ("ftp://hooks.example/x", "only https is called"),
        ("file:///etc/passwd", "only https is called"),
        ("hooks.example/x", "only https is called"),
        ("https://", "names no host"),
        ("https:///x", "names no host"),
        ("https://user:secret@hooks.example/", "user or a password"),
        ("https://user@hooks.example/", "user or a password"),
        ("https://@hooks.example/", "user or a password"),
        ("https://:@hooks.example/", "user or a password"),
        ("https://8.8.8.8@127.0.0.1/", "user or a password"),
        ("https://hooks.example\\@127.0.0.1/", "blanks, control characters or backslashes"),
        ("https://hooks.example/\r\nHost: other", "blanks, control characters or backslashes"),
        ("https://hooks.example /", "blanks, control characters or backslashes"),
        ("https://2130706433/", "four decimal numbers"),
        ("https://0x7f000001/", "four decimal numbers"),
        ("https://0x7f.0.0.1/", "four decimal numbers"),
        ("https://017700000001/", "four decimal numbers"),
        ("https://0177.0.0.1/", "four decimal numbers"),
        ("https://127.1/", "four decimal numbers"),
        ("https://127.0.1/", "four decimal numbers"),
        ("https://127.0.0.1./", "four decimal numbers"),
        ("https://127.0.0.1/", "(loopback)"),
        ("https://[::1]/", "(loopback)"),
        ("https://[::ffff:127.0.0.1]/", "(loopback)"),
        ("https://[::ffff:7f00:1]/", "(loopback)"),
        ("https://169.254.169.254/latest/meta-data/", "metadata"),
        ("https://[fd00:ec2::254]/", "metadata"),
        ("https://１２７.0.0.1/", "(loopback)"),
        ("https://hooks.example:99999/", "no URL"),
    ],
)
def test_what_is_refused_before_any_name_is_looked_up(url: str, said: str) -> None:
    asked, resolve = resolving("8.8.8.8")
    got = Fetcher(resolve=resolve).get(url)  # type: ignore[arg-type]
    assert isinstance(got, Unfetched)
    assert got.refused
    assert said in got.said
    assert "secret" not in got.said
    assert asked == []


@pytest.mark.parametrize("found", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["fe80::1%2"], ["::ffff:169.254.169.254"]])
def test_every_address_of_a_name_is_checked(found: list[str]) -> None:
    asked, resolve = resolving(*found)
    got = Fetcher(resolve=resolve).get("https://hooks.example/services/T0/B0/secret")  # type: ignore[arg-type]
    assert isinstance(got, Unfetched)
    assert got.refused
    assert "not a public one" in got.said
    assert "secret" not in got.said
    assert asked == [("hooks.example", 443)]


def test_metadata_is_refused_even_where_inner_addresses_are_allowed() -> None:
    fetcher = Fetcher(allow_private=True, allow_http=True)
    for url in ("http://169.254.169.254/latest/", "http://[::ffff:169.254.169.254]/", "http://[fd00:ec2::254]/"):
        got = fetcher.get(url)
        assert isinstance(got, Unfetched)
        assert "metadata" in got.said


def test_what_is_shown_of_an_address_is_scheme_and_host() -> None:
    assert shown("https://hooks.slack.com/services/T0/B0/secret?x=secret") == "https://hooks.slack.com/***"
    assert shown("https://user:secret@hooks.example/") == "https://hooks.example/***"
    assert shown("not a url") == "the address"
    assert shown("https://[::1") == "the address"
