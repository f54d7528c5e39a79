"""BER made DER, as far as PKCS#12 files need it: open lengths and strings in pieces (X.690 8.1.3.6 and 8.7).

Old writers (Windows, NSS, Bouncy Castle) use both; the reader of DER knows neither.
"""

from __future__ import annotations

from typing import Final

from trustmend.errors import MalformedError

_MAX_DEPTH: Final = 40
_CONSTRUCTED: Final = 0x20
_OCTET_STRING: Final = 0x04


def to_der(data: bytes) -> bytes:
    """The one element at the start of `data` with every length given and every octet string whole.

    What is DER already comes back as it is, with what may stand behind it.

    Raises:
        MalformedError: it is cut off, or nested too deep.
    """
    if not _has_ber(data, 0, len(data), 0):
        return data
    return _element(data, 0, 0)[0]


def _has_ber(data: bytes, at: int, end: int, depth: int) -> bool:
    """Whether the first element, or one inside it, has a form that DER does not; False also for damage."""
    if depth > _MAX_DEPTH or at + 2 > end:
        return False
    tag, length = data[at], data[at + 1]
    if length == 0x80 or tag == _OCTET_STRING | _CONSTRUCTED:
        return True
    if not tag & _CONSTRUCTED:
        return False
    try:
        at, stop = _span(data, at)
    except MalformedError:
        return False
    while at < min(stop, end):
        if _has_ber(data, at, stop, depth + 1):
            return True
        try:
            at = _span(data, at)[1]
        except MalformedError:
            return False
    return False


def _span(data: bytes, at: int) -> tuple[int, int]:
    """(start, end) of the content of an element whose length is given. Raises MalformedError."""
    if at + 2 > len(data):
        raise MalformedError(f"cut off at byte {at}")
    length, body = data[at + 1], at + 2
    if length >= 0x80:
        octets = length & 0x7F
        length, body = int.from_bytes(data[body : body + octets], "big"), body + octets
    missing = body + length - len(data)
    if missing > 0:
        raise MalformedError(f"{missing} bytes missing at byte {at}")
    return body, body + length


def _element(data: bytes, at: int, depth: int) -> tuple[bytes, int]:
    """(the element in DER, the byte after it). Raises MalformedError."""
    if at + 2 > len(data) or depth > _MAX_DEPTH:
        raise MalformedError(f"cut off or too deep at byte {at}")
    tag = data[at]
    if not tag & _CONSTRUCTED:
        body, end = _span(data, at)
        return _encoded(tag, data[body:end]), end
    parts, end = _children(data, at, depth)
    if tag == _OCTET_STRING | _CONSTRUCTED:
        return _encoded(_OCTET_STRING, b"".join(_content(part) for part in parts)), end
    return _encoded(tag, b"".join(parts)), end


def _children(data: bytes, at: int, depth: int) -> tuple[list[bytes], int]:
    """(what is inside, each in DER; the byte after the element). Raises MalformedError."""
    parts: list[bytes] = []
    if data[at + 1] == 0x80:
        at += 2
        while data[at : at + 2] != b"\0\0":
            part, at = _element(data, at, depth + 1)
            parts.append(part)
        return parts, at + 2
    at, end = _span(data, at)
    while at < end:
        part, at = _element(data, at, depth + 1)
        parts.append(part)
    return parts, end


def _content(element: bytes) -> bytes:
    body, end = _span(element, 0)
    return element[body:end]


def _encoded(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content
