"""The name that a TLS client asks for, from its first message (RFC 8446 section 4.1.2, RFC 6066 section 3)."""

_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME, _HOST_NAME = 22, 1, 0, 0
_ENCRYPTED_HELLO = 0xFE0D
_LARGEST = 1 << 16


class NotTls(Exception):
    """For the proxy: these bytes are no ClientHello that shows its name."""


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) < count:
            raise NotTls("it ends too early")
        self._at += count
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> "_Bytes":
        return _Bytes(self.take(self.number(size)))

    @property
    def left(self) -> bool:
        return self._at < len(self._data)


def server_name(data: bytes) -> str | None:
    """The name in lower case; None while more bytes are needed. Raises: NotTls."""
    message = b""
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        if data[:1] not in {b"", bytes([_HANDSHAKE])} or len(message) > _LARGEST:
            raise NotTls("it is not the start of TLS")
        length = int.from_bytes(data[3:5], "big")
        if len(data) < 5 + length or length == 0:
            if len(data) >= 5 and length == 0:
                raise NotTls("a record is empty")
            return None
        message += data[5 : 5 + length]
        data = data[5 + length :]
    hello = _Bytes(message)
    if hello.number(1) != _CLIENT_HELLO:
        raise NotTls("it is no ClientHello")
    hello = hello.vector(3)
    hello.take(2 + 32)  # version, random
    hello.vector(1)  # session
    hello.vector(2)  # cipher suites
    hello.vector(1)  # compression
    return _name_in(hello.vector(2))


def _name_in(extensions: _Bytes) -> str:
    found = ""
    while extensions.left:
        kind, body = extensions.number(2), extensions.vector(2)
        if kind == _ENCRYPTED_HELLO:
            raise NotTls("its name is encrypted")
        if kind == _SERVER_NAME:
            names = body.vector(2)
            if found or names.number(1) != _HOST_NAME:
                raise NotTls("it asks for a strange name")
            found = names.vector(2)._data.decode("ascii", "replace").lower()
            if names.left:
                raise NotTls("it asks for more than one name")
    if not found:
        raise NotTls("it names no host")
    return found
