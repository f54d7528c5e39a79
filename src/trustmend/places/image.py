"""Root certificates inside a program's own bytes: found without running it. Pure but for the reads of an open file.

Three forms are known. Node keeps PEM text (src/node_root_certs.h), as Go's packages do; Bun, Rust's webpki-root-certs
and newer Go packages whole certificates in DER; and Rust's webpki-roots of each root its subject and public key alone.
The compiler puts such constants into read-only sections of the ELF file, so that only these are read.
"""

from __future__ import annotations

import binascii
import io
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from trustmend.certificate import Certificate
from trustmend.errors import MalformedError

MIN_ROOTS: Final = 20
"""Fewer roots are examples, tests, or somebody's own: no program trusts the public web by them."""
_READ_ONLY: Final = (".rodata", ".rodata.cst32", ".lrodata", ".noptrdata", ".data.rel.ro")
_BUILD_INFO: Final = ".go.buildinfo"
_WINDOW: Final = 1 << 20
_MAX_HITS: Final = 5000
_MAX_SECTIONS: Final = 4096
_MAX_CERTIFICATE: Final = 16 * 1024
_MAX_LIST: Final = 4 << 20
"""No list of roots is longer, whatever somebody has written into a file to keep us busy."""
_NEAR: Final = 256 * 1024
"""How far apart constants of one list lie, at most."""
BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_PEM_BLOCK: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]{100,16384}?)-----END CERTIFICATE-----"
)
_VERSION_3: Final = bytes.fromhex("a003020102 02")  # of a certificate: [0] { INTEGER 2 }, then the serial's INTEGER
_KEYS: Final = (
    # What the content of a SubjectPublicKeyInfo begins with: RSA of 256 bytes or more, P-384, P-256.
    bytes.fromhex("300d06092a864886f70d010101050003 82"),
    bytes.fromhex("301006072a8648ce3d020106052b8104002203 62"),
    bytes.fromhex("301306072a8648ce3d020106082a8648ce3d03010703 42"),
)


@dataclass(frozen=True)
class Image:
    """An open ELF file and its sections by name: (offset, size), all inside the file."""

    file: io.FileIO
    size: int
    sections: Mapping[str, tuple[int, int]]

    @property
    def read_only(self) -> list[tuple[int, int]]:
        """(start, end) of where constants are; the whole file where its sections are stripped."""
        found = [self.sections[name] for name in _READ_ONLY if name in self.sections]
        return [(at, at + size) for at, size in found] or [(0, self.size)]

    @property
    def go_modules(self) -> bytes | None:
        """What Go 1.18 and later write of the modules they were built from; None: not Go, or an older one.

        Source: debug/buildinfo/buildinfo.go; flag 2 in byte 15: the texts follow, else pointers do.
        """
        at, size = self.sections.get(_BUILD_INFO, (0, 0))
        text = read_at(self.file, at, min(size, 4 << 20))
        return text if text.startswith(b"\xff Go buildinf:") and len(text) > 32 and text[15] & 2 else None

    @property
    def is_go(self) -> bool:
        """Made by Go's own linker."""
        return _BUILD_INFO in self.sections


@dataclass(frozen=True)
class Roots:
    """The certificates that a program carries. `exact`: whole ones; else known ones of the same subject and key."""

    certificates: tuple[Certificate, ...]
    exact: bool
    pem: bool = False  # as text

    def text(self) -> bytes:
        """The certificates as a PEM file."""
        return b"".join(_block(certificate.der) for certificate in self.certificates)


def _block(encoded: bytes) -> bytes:
    text = binascii.b2a_base64(encoded, newline=False)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([BEGIN, *lines, b"-----END CERTIFICATE-----", b""])


def read_at(file: io.FileIO, offset: int, size: int) -> bytes:
    """`size` bytes from `offset`, or as many as there are."""
    file.seek(max(offset, 0))
    return file.read(max(size, 0)) or b""


def image(file: io.FileIO) -> Image | None:
    """The ELF file, or None for any other. A damaged section table is as good as none.

    Source: elf(5). 32 and 64 bits, either byte order.
    """
    size = file.seek(0, io.SEEK_END)
    head = read_at(file, 0, 64)
    if len(head) < 52 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    try:
        return Image(file, size, _sections(file, size, head))
    except struct.error:
        return Image(file, size, {})


def _sections(file: io.FileIO, size: int, head: bytes) -> dict[str, tuple[int, int]]:
    """Raises struct.error."""
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    (table,) = struct.unpack_from(order + ("Q" if wide else "I"), head, 40 if wide else 32)
    entry, number, names = struct.unpack_from(order + "HHH", head, 58 if wide else 46)
    if number > _MAX_SECTIONS or names >= number or entry < (64 if wide else 40):
        return {}
    rows = read_at(file, table, entry * number)
    form = order + ("IIQQQQ" if wide else "IIIIII")  # name, type, flags, address, offset, size
    found = [struct.unpack_from(form, rows, entry * index) for index in range(number)]
    texts = read_at(file, found[names][4], min(found[names][5], 1 << 20))
    sections = {}
    for name, kind, _, _, offset, length in found:
        if kind != 8 and 0 < offset <= offset + length <= size:  # NOBITS: not in the file
            sections[texts[name:].partition(b"\0")[0].decode("ascii", "replace")] = (offset, length)
    return sections


def search(
    file: io.FileIO, ranges: Iterable[tuple[int, int]], needles: Sequence[bytes], *, enough: bool = False
) -> dict[bytes, list[int]]:
    """The offsets of each needle in the ranges of the file, in order, up to a limit that no list of roots reaches.

    `enough`: stop as soon as each needle was found, and the first one for the last time within a window's reach.
    """
    found: dict[bytes, list[int]] = {needle: [] for needle in needles}
    overlap = max(map(len, needles)) - 1
    for start, end in ranges:
        for at in range(start, end, _WINDOW):
            if enough and all(found.values()) and found[needles[0]][-1] < at - _NEAR:
                return found
            window = read_at(file, at, min(_WINDOW + overlap, end - at))
            for needle, hits in found.items():
                hit = window.find(needle)
                while hit >= 0 and len(hits) < _MAX_HITS:
                    if hit < _WINDOW:
                        hits.append(at + hit)
                    hit = window.find(needle, hit + 1)
    return found


def roots(picture: Image, known: Callable[[], Iterable[Certificate]]) -> Roots | None:
    """The roots that a program carries, or None if they are too few to be a list of roots.

    Args:
        picture: the program.
        known: gives the certificates by which subjects and keys are told; asked only where there are many keys.
    """
    rsa, *others = _KEYS
    hits = search(picture.file, picture.read_only, (BEGIN, _VERSION_3, rsa))
    for found, pem in ((in_text(picture.file, hits[BEGIN]), True), (_in_der(picture.file, hits[_VERSION_3]), False)):
        if len(found) >= MIN_ROOTS:
            return Roots(tuple(found), exact=True, pem=pem)
    # Every list has RSA keys, so that each further needle is only looked for around these: each costs a pass.
    around = [(max(first - _NEAR, 0), last + _NEAR) for first, last in _clusters(hits[rsa])]
    keys = sorted({*hits[rsa], *(at for found in search(picture.file, around, others).values() for at in found)})
    if len(keys) >= MIN_ROOTS:
        found = _by_key(picture.file, keys, known())
        if len(found) >= MIN_ROOTS:
            return Roots(tuple(found), exact=False)
    return None


def _clusters(hits: Sequence[int]) -> list[tuple[int, int]]:
    """(first, last) of hits that lie near each other."""
    found: list[tuple[int, int]] = []
    for hit in hits:
        if found and hit - found[-1][1] <= _NEAR:
            found[-1] = (found[-1][0], hit)
        else:
            found.append((hit, hit))
    return found


def in_text(file: io.FileIO, hits: Sequence[int]) -> list[Certificate]:
    """The root certificates in PEM blocks that begin at the hits."""
    found: dict[Certificate, None] = {}
    for first, last in _clusters(hits):
        for block in _PEM_BLOCK.finditer(read_at(file, first, min(last - first + _MAX_CERTIFICATE, _MAX_LIST))):
            try:
                _add_root(found, binascii.a2b_base64(block[1]))
            except binascii.Error:
                continue
    return list(found)


def _in_der(file: io.FileIO, hits: Sequence[int]) -> list[Certificate]:
    """The root certificates whose version stands at the hits: before it are the heads of two SEQUENCEs."""
    found: dict[Certificate, None] = {}
    for hit in hits:
        around = read_at(file, hit - 8, _MAX_CERTIFICATE)
        for skip in (0, 1):  # the inner head has 4 bytes, or 3 for fewer than 256 bytes
            inner = b"\x30\x81" if skip else b"\x30\x82"
            if around[skip : skip + 2] == b"\x30\x82" and around[skip + 4 : skip + 6] == inner:
                _add_root(found, around[skip : skip + 4 + int.from_bytes(around[skip + 2 : skip + 4], "big")])
    return list(found)


def _add_root(found: dict[Certificate, None], encoded: bytes) -> None:
    try:
        certificate = Certificate.of(encoded)
        if certificate.self_issued and certificate.is_ca:
            found[certificate] = None
    except MalformedError:
        return


def _by_key(file: io.FileIO, hits: Sequence[int], known: Iterable[Certificate]) -> list[Certificate]:
    """The known certificates whose public key stands at one of the hits, and whose subject stands near by."""
    by_key: dict[bytes, list[Certificate]] = {}
    for certificate in known:
        by_key.setdefault(_content(certificate.spki), []).append(certificate)
    matched: dict[int, list[Certificate]] = {}
    for hit in hits:
        text = read_at(file, hit, 2048)
        at = 2 + text[1]  # behind the algorithm, which begins every needle
        length = text[at + 1] if text[at + 1] < 0x80 else 2 + int.from_bytes(text[at + 2 : at + 4], "big")
        if (ones := by_key.get(text[: at + 2 + length])) is not None:
            matched[hit] = ones
    found: dict[Certificate, None] = {}
    for first, last in _clusters(list(matched)):
        text = read_at(file, first - _NEAR, min(last - first + 2 * _NEAR, _MAX_LIST))
        there = dict.fromkeys(one for hit, ones in matched.items() if first <= hit <= last for one in ones)
        found.update((one, None) for one in there if _content(one.subject) in text)
    return list(found)


def _content(element: bytes) -> bytes:
    """What stands inside a DER SEQUENCE."""
    return element[2:] if element[1] < 0x80 else element[2 + (element[1] & 0x7F) :]
