"""The rules of a gate, and the reader of a TLS client's first message."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcode_sandbox import AllowedHost
from qcode_sandbox.gate import is_public
from qcode_sandbox.hello import NotTls, server_name


@pytest.mark.parametrize(
    ("pattern", "name", "port", "covered"),
    [
        ("a.test", "a.test", 443, True), ("A.Test.", "a.test", 80, True), ("a.test", "a.test", 8080, False),
        ("a.test", "b.a.test", 443, False), ("a.test", "xa.test", 443, False),
        ("a.test", "a.test.evil", 443, False),
        ("*.a.test", "b.a.test", 443, True), ("*.a.test", "c.b.a.test", 443, True), ("*.a.test", "a.test", 443, False),
        ("*.a.test", "xa.test", 443, False),
        ("127.0.0.1", "127.0.0.1", 80, True), ("127.0.0.1", "2130706433", 80, False),
    ],
)  # fmt: skip
def test_which_names_a_host_of_the_list_covers(pattern: str, name: str, port: int, covered: bool) -> None:
    assert AllowedHost(pattern).covers(name, port) == covered


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1",
        "100.100.100.200", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1",
        "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:0:a00:1::1", "2001:db8::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_of_the_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "151.101.0.223", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_addresses_of_the_internet(address: str) -> None:
    assert is_public(address)


def hello(name: str | None, **settings: object) -> bytes:
    """What Python's own client says first."""
    context = ssl.create_default_context()
    context.check_hostname = name is not None
    for key, value in settings.items():
        setattr(context, key, value)
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


@pytest.mark.parametrize("settings", [{}, {"maximum_version": ssl.TLSVersion.TLSv1_2}])
def test_the_name_in_a_real_client_s_first_message(settings: dict[str, object]) -> None:
    data = hello("Index.Example", **settings)
    assert server_name(data) == "index.example"
    assert {server_name(data[:size]) for size in range(len(data))} == {None}
    assert server_name(data + b"more") == "index.example"


def test_a_message_in_several_records() -> None:
    body = hello("index.example")[5:]
    records = [body[at : at + 50] for at in range(0, len(body), 50)]
    data = b"".join(b"\x16\x03\x01" + len(record).to_bytes(2, "big") + record for record in records)
    assert server_name(data) == "index.example"


def test_a_client_that_names_nobody_is_refused() -> None:
    with pytest.raises(NotTls, match="names no host"):
        server_name(hello(None))


def test_an_encrypted_name_is_refused() -> None:
    data = bytearray(hello("index.example"))
    at = data.index(b"\x00\x17\x00\x00")  # extended_master_secret, an empty extension
    data[at : at + 2] = b"\xfe\x0d"
    with pytest.raises(NotTls, match="encrypted"):
        server_name(bytes(data))


@given(st.binary(max_size=400))
def test_anything_else_is_refused_or_waited_for(data: bytes) -> None:
    for text in (data, b"\x16\x03\x01\x00" + data, b"\x16\x03\x01\x00\x40\x01\x00\x00\x3c" + data):
        try:
            found = server_name(text)
        except NotTls:
            continue
        assert found is None or found


HELLO = hello("index.example")


@given(st.integers(0, 400), st.binary(min_size=1, max_size=4))
def test_a_damaged_message_raises_nothing_else(at: int, damage: bytes) -> None:
    data = bytearray(HELLO)
    data[at : at + len(damage)] = damage
    try:
        server_name(bytes(data))
    except NotTls:
        return
