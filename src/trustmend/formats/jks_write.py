"""Writing JKS and JCEKS key stores: trusted certificates are added to one, or taken out of it again. Pure.

1. Old entries stay, byte for byte and in their order; so do bytes behind the end, which JVMs leave alone.
2. Only a store that a JVM opens with the password is written, and it opens what comes out with the same.
3. `remove` takes away trusted certificates only, and of what `add` gave it makes again what `add` was given.

Source: sun.security.provider.JavaKeyStore and com.sun.crypto.provider.JceKeyStore (engineLoad, engineStore) of the
JDK.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from trustmend.certificate import Certificate, printable
from trustmend.errors import MalformedError
from trustmend.formats import java_serial, jks
from trustmend.model import JAVA_PASSWORD, JCEKS_PASSWORD, Refused

_COUNT_AT: Final = 8
_ENTRIES_AT: Final = 12
_DIGEST_BYTES: Final = 20
_WHITENER: Final = b"Mighty Aphrodite"
_KEY_ENTRY, _CERTIFICATE_ENTRY = 1, 2
_MAX_TEXT_BYTES: Final = 0xFFFF  # java.io.DataOutput.writeUTF
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Piece:
    """One entry as it stands: `data[start:end]`."""

    tag: int
    alias: str
    start: int
    end: int


def add(content: bytes, additions: Sequence[tuple[str, Certificate]], password: str, at: datetime) -> bytes:
    """The store with trusted certificates behind its old entries.

    Args:
        content: a whole store; its magic number and version tell its form.
        additions: (alias, certificate) in their order; none gives `content`, if the password opens it.
        password: that of the store's digest.
        at: when the entries are made (aware), kept to the millisecond.

    Raises:
        MalformedError: the store is damaged or no JKS or JCEKS, the password does not fit, or an alias is there
            already (in any case), not in lower case (a JVM would never find it) or too long.
    """
    pieces = _opened(content, password)
    taken = {piece.alias.lower() for piece in pieces}
    made = []
    for alias, certificate in additions:
        name = _one_form(alias)
        if name != name.lower():
            raise MalformedError(f"the alias `{printable(alias)}` is not in lower case, and no JVM would find it")
        if name in taken:
            raise MalformedError(f"the alias `{printable(alias)}` is in the store already")
        taken.add(name)
        made.append(_entry(name, certificate, at, version=content[7]))
    return _written(content, pieces, made, password)


def remove(content: bytes, aliases: Collection[str], password: str) -> bytes:
    """The store without the trusted certificates of these aliases; one that is not there is left out.

    An entry that hides from JVMs by an alias in upper case is none of ours and stays.

    Args:
        content: a whole store.
        aliases: in any case.
        password: that of the store's digest.

    Raises:
        MalformedError: the store is damaged or no JKS or JCEKS, the password does not fit, or a key has the alias.
    """
    pieces = _opened(content, password)
    unwanted = {_one_form(alias).lower() for alias in aliases}
    for piece in pieces:
        if piece.alias in unwanted and piece.tag != _CERTIFICATE_ENTRY:
            raise MalformedError(f"`{printable(piece.alias)}` is a key and no trusted certificate; it is not removed")
    return _written(content, pieces, [], password, unwanted)


def _opened(content: bytes, password: str) -> list[_Piece]:
    """The entries in their order. Raises MalformedError for whatever a JVM with this password refuses."""
    if jks.recognise(content) is None:
        raise MalformedError("no JKS or JCEKS key store")
    views = jks.read(content, password).views
    view = views.get(JCEKS_PASSWORD) or views[JAVA_PASSWORD]
    if isinstance(view, Refused):
        raise MalformedError(view.reason)
    # A JVM takes less than none for none; whoever wrote that meant something that nobody knows.
    if content[_COUNT_AT] & 0x80:
        raise MalformedError("the key store announces less than no entries")
    return list(_pieces(content))


def _pieces(data: bytes) -> Iterator[_Piece]:
    """The entries' places. Raises MalformedError."""
    at = _ENTRIES_AT
    for _ in range(int.from_bytes(data[_COUNT_AT:_ENTRIES_AT], "big")):
        start = at
        tag, at = _number(data, at, 4)
        alias, at = _text(data, at)
        at += 8  # the time at which it was made
        if tag == _CERTIFICATE_ENTRY:
            at = _after_certificate(data, at)
        elif tag == _KEY_ENTRY:
            at = _after_block(data, at)
            count, at = _number(data, at, 4)
            for _ in range(count):
                at = _after_certificate(data, at)
        else:
            at = java_serial.end_of_object(data, at)
        yield _Piece(tag, alias, start, at)


def _after_certificate(data: bytes, at: int) -> int:
    if data[7] == 2:  # version 1 has no names of certificates' forms
        _, at = _text(data, at)
    return _after_block(data, at)


def _after_block(data: bytes, at: int) -> int:
    size, at = _number(data, at, 4)
    return _within(data, at + size)


def _text(data: bytes, at: int) -> tuple[str, int]:
    """(a string in Java's modified UTF-8, the byte after it). Raises MalformedError."""
    size, at = _number(data, at, 2)
    end = _within(data, at + size)
    try:
        text = data[at:end].replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as problem:
        raise MalformedError(f"a text that is not UTF-8 at byte {at}") from problem
    if any(character > "\uffff" for character in text):
        # DataInput.readUTF throws UTFDataFormatException at an octet of 0xF0 and above.
        raise MalformedError(f"a text that is not UTF-8 as Java writes it at byte {at}")
    return _one_form(text), end


def _number(data: bytes, at: int, size: int) -> tuple[int, int]:
    end = _within(data, at + size)
    return int.from_bytes(data[at:end], "big"), end


def _within(data: bytes, end: int) -> int:
    if end > len(data):
        raise MalformedError(f"the store is cut off at byte {len(data)}")
    return end


def _one_form(text: str) -> str:
    """The text with each pair of surrogates as the one character it stands for: Java writes them apart."""
    return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")


def _entry(alias: str, certificate: Certificate, at: datetime, *, version: int) -> bytes:
    """A trusted certificate's entry. Raises MalformedError for an alias that is too long."""
    milliseconds = (at - _EPOCH) // timedelta(milliseconds=1)
    return b"".join((
        _CERTIFICATE_ENTRY.to_bytes(4, "big"),
        _encoded(alias),
        milliseconds.to_bytes(8, "big", signed=True),
        _encoded("X.509") if version == 2 else b"",
        len(certificate.der).to_bytes(4, "big"),
        certificate.der,
    ))  # fmt: skip


def _encoded(text: str) -> bytes:
    """A string in Java's modified UTF-8 (java.io.DataOutput): every surrogate on its own, NUL in two octets."""
    units = text.encode("utf-16-be", "surrogatepass")
    apart = "".join(chr(units[at] << 8 | units[at + 1]) for at in range(0, len(units), 2))
    encoded = apart.encode("utf-8", "surrogatepass").replace(b"\0", b"\xc0\x80")
    if len(encoded) > _MAX_TEXT_BYTES:
        raise MalformedError(f"an alias of {len(encoded)} bytes, more than the {_MAX_TEXT_BYTES} that the store holds")
    return len(encoded).to_bytes(2, "big") + encoded


def _written(
    content: bytes, pieces: Sequence[_Piece], made: Sequence[bytes], password: str, unwanted: Collection[str] = ()
) -> bytes:
    """The store of the old entries but for the unwanted ones, and the new ones, with its digest."""
    kept = [content[piece.start : piece.end] for piece in pieces if piece.alias not in unwanted]
    digest_at = pieces[-1].end if pieces else _ENTRIES_AT
    body = b"".join((content[:_COUNT_AT], (len(kept) + len(made)).to_bytes(4, "big"), *kept, *made))
    secret = password.encode("utf-16-be", "surrogatepass") + _WHITENER
    digest = hashlib.sha1(secret + body, usedforsecurity=False).digest()
    return body + digest + content[digest_at + _DIGEST_BYTES :]
