"""A small reader and writer of DER (X.690) for the outer form of certificates and key stores.

It gives slices of the input and never copies more than it must: an audit looks at thousands of certificates,
most of them only for names and dates. Signatures and keys are left to the cryptography package.
Lengths of the indefinite form (BER, as some PKCS#12 writers use) are accepted by `Tlv.children` callers that ask.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache

from trustmend.errors import MalformedError

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
UTF8_STRING, UTC_TIME, GENERALIZED_TIME, BMP_STRING = 0x0C, 0x17, 0x18, 0x1E
SEQUENCE, SET = 0x30, 0x31
_MAX_DEPTH = 40


class Tlv:
    """One element: `data[start:body]` is its header, `data[body:end]` its contents. Never changed once made."""

    __slots__ = ("body", "data", "end", "start", "tag")

    # No dataclass: a frozen one takes three times as long to make, and an audit makes tens of thousands.
    def __init__(self, data: bytes, tag: int, start: int, body: int, end: int) -> None:
        self.data = data
        self.tag = tag
        self.start = start
        self.body = body
        self.end = end

    @property
    def content(self) -> bytes:
        """The contents octets."""
        return self.data[self.body : self.end]

    @property
    def raw(self) -> bytes:
        """Header and contents."""
        return self.data[self.start : self.end]

    def children(self) -> Iterator[Tlv]:
        """The elements inside, in order. Raises MalformedError where they do not fill it exactly."""
        at = self.body
        while at < self.end:
            child = read(self.data, at, self.end)
            yield child
            at = child.end

    def listed(self, tag: int) -> list[Tlv]:
        """The elements inside, after a check of this element's own tag. Raises MalformedError."""
        self.expect(tag)
        data, at, end = self.data, self.body, self.end
        found = []
        while at < end:
            child = read(data, at, end)
            found.append(child)
            at = child.end
        return found

    def first(self) -> Tlv:
        """The first element inside. Raises MalformedError where there is none."""
        if self.body == self.end:
            raise MalformedError(f"nothing inside the element at byte {self.start}")
        return read(self.data, self.body, self.end)

    def expect(self, tag: int) -> Tlv:
        """This element, if it has the tag. Raises MalformedError."""
        if self.tag != tag:
            raise MalformedError(f"tag {self.tag:#04x} where {tag:#04x} belongs, at byte {self.start}")
        return self

    def integer(self) -> int:
        """The value of an INTEGER, of either sign. Raises MalformedError."""
        self.expect(INTEGER)
        if self.body == self.end:
            raise MalformedError(f"INTEGER without contents at byte {self.start}")
        return int.from_bytes(self.content, "big", signed=True)

    def oid(self) -> str:
        """The dotted form of an OBJECT IDENTIFIER. Raises MalformedError."""
        self.expect(OID)
        return dotted(self.content)


def read(data: bytes, at: int = 0, limit: int | None = None) -> Tlv:
    """The element that begins at byte `at` and ends no later than `limit`.

    Raises:
        MalformedError: truncated, of indefinite length, or with a tag of several octets.
    """
    end = len(data) if limit is None else limit
    if at + 2 > end:
        raise MalformedError(f"cut off at byte {at}")
    tag = data[at]
    if tag & 0x1F == 0x1F:
        raise MalformedError(f"tag of several octets at byte {at}")
    length = data[at + 1]
    body = at + 2
    if length >= 0x80:
        octets = length & 0x7F
        if octets == 0 or octets > 4:
            raise MalformedError(f"length form {length:#04x} at byte {at}")
        body += octets
        if body > end:
            raise MalformedError(f"cut off at byte {at}")
        length = int.from_bytes(data[at + 2 : body], "big")
    if body + length > end:
        raise MalformedError(f"{body + length - end} bytes missing at byte {at}")
    return Tlv(data, tag, at, body, body + length)


def whole(data: bytes) -> Tlv:
    """The one element that is all of `data`. Raises MalformedError, also for bytes after it."""
    element = read(data)
    if element.end != len(data):
        raise MalformedError(f"{len(data) - element.end} bytes after the end")
    return element


def element(tag: int, *contents: bytes) -> bytes:
    """One element as DER encodes it, its contents given in pieces.

    Args:
        tag: one octet.
        contents: of a SET OF to be sorted by the caller (X.690 11.6).
    """
    size = sum(map(len, contents))
    if size < 0x80:
        header = bytes((tag, size))
    else:
        octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
        header = bytes((tag, 0x80 | len(octets))) + octets
    return b"".join((header, *contents))


def oid(text: str) -> bytes:
    """The OBJECT IDENTIFIER of a dotted form, header and contents (X.690 8.19); the opposite of `Tlv.oid`."""
    first, second, *rest = map(int, text.split("."))
    octets = bytearray()
    for arc in (40 * first + second, *rest):
        octets += bytes(arc >> shift & 0x7F | 0x80 for shift in range((arc.bit_length() - 1) // 7 * 7, 0, -7))
        octets.append(arc & 0x7F)
    return element(OID, bytes(octets))


def end_of(data: bytes, at: int = 0, depth: int = 0) -> int:
    """The byte after the element that begins at byte `at`, also after one of open length (BER, X.690 8.1.3.6).

    Raises:
        MalformedError: as `read`, or where it is nested too deep.
    """
    if data[at + 1 : at + 2] != b"\x80" or not data[at] & 0x20:
        return read(data, at).end
    if depth > _MAX_DEPTH:
        raise MalformedError(f"nested too deep at byte {at}")
    at += 2
    while data[at : at + 2] != b"\0\0":
        at = end_of(data, at, depth + 1)
    return at + 2


def pieces(data: bytes) -> Iterator[bytes]:
    """The elements inside the SEQUENCE that is all of `data`, as they stand, open lengths and all.

    Raises:
        MalformedError: `data` is not one SEQUENCE, or what is inside does not fill it exactly.
    """
    if data[:1] != b"\x30" or end_of(data) != len(data):
        raise MalformedError("no SEQUENCE, or bytes after its end")
    at, stop = (2, len(data) - 2) if data[1] == 0x80 else (read(data).body, len(data))
    while at < stop:
        end = end_of(data, at)
        if end > stop:
            raise MalformedError(f"an element at byte {at} that ends behind what it stands in")
        yield data[at:end]
        at = end


@cache
def dotted(content: bytes) -> str:
    """The dotted form of an OID's contents octets (X.690 8.19). Raises MalformedError."""
    if not content or content[-1] & 0x80:
        raise MalformedError("OBJECT IDENTIFIER cut off")
    arcs: list[int] = []
    value = 0
    for octet in content:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def instant(element: Tlv) -> datetime:
    """The aware UTC time of a UTCTime or GeneralizedTime as RFC 5280 4.1.2.5 writes them, with seconds and Z.

    Old CAs left the seconds out or wrote an offset; OpenSSL and the JDK read those too, and so do we.

    Raises:
        MalformedError: any other form, or a date that no calendar has.
    """
    text = element.content.decode("ascii", "replace")
    if element.tag == UTC_TIME:
        # RFC 5280 4.1.2.5.1: 50 and above are 19xx.
        text = ("19" if text[:2] >= "50" else "20") + text
    elif element.tag != GENERALIZED_TIME:
        raise MalformedError(f"tag {element.tag:#04x} where a time belongs")
    try:
        if len(text) == 15 and text[14] == "Z":
            return datetime(
                int(text[:4]),
                int(text[4:6]),
                int(text[6:8]),
                int(text[8:10]),
                int(text[10:12]),
                int(text[12:14]),
                tzinfo=UTC,
            )
        form = "%Y%m%d%H%M" + ("%S" if text[12:14].isdigit() else "") + "%z"
        return datetime.strptime(text, form).astimezone(UTC)
    except (ValueError, OverflowError) as problem:
        raise MalformedError(f"not a time: {text!r}") from problem
