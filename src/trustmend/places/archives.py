"""Trust stores inside archives that run as they are: PEX, shiv and other zipapps, jars, PyInstaller's programs.

Only the table of contents is read, and then those members whose name is a CA bundle's or a trust store's. What such a
program unpacks at run time (~/.pex, ~/.shiv, /tmp/_MEI*) comes from the archive again, so that the archive is what
counts; it is a signed or checksummed whole, which no patch changes.
"""

from __future__ import annotations

import io
import itertools
import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from trustmend.certificate import printable
from trustmend.model import Family, Finding, Location, Role, Severity, Use
from trustmend.places import image
from trustmend.places.names import ARCHIVES, BUNDLES, TESTS
from trustmend.places.paths import regular
from trustmend.places.programs import programs

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

LEFT_OUT: Final = ("/usr/share/java/", "/usr/share/maven-repo/", "/usr/lib/jvm/")
"""Distributions' libraries, which follow the system's policy, and JVMs' own."""
MAX_ARCHIVES: Final = 3000
MAX_MEMBER_BYTES: Final = 4 << 20
MAX_MEMBERS: Final = 8
"""Trust stores of one archive."""
_MAX_CONTENTS: Final = 32 << 20
_MAX_ENTRIES: Final = 200_000
_END: Final = b"PK\x05\x06"
_KEY_STORE: Final = re.compile(r"(?:cacerts|jssecacerts|.*\.jks|.*trust.*\.(?:p12|pfx|bcfks))\Z", re.I)
_SIGNS: Final = (b"cacert", b"roots.pem", b"ca-bundle.", b".jks", b".p12")
"""One of these is in nearly every table of contents that names a store; each one more is one more search."""
_TELLING: Final = re.compile(
    rb"cacerts?\.(?:pem|txt)|(?:cacerts|\.jks)(?=PK|[^\w.-]|\Z)|roots\.pem|ca-bundle\.|[Tt]rust[\w.-]{0,40}\.p12"
)
"""What of the names around a sign makes it worth to take the table of contents apart, which is slow."""
_DISTRIBUTION: Final = re.compile(r"(?:\A|/)(certifi|botocore|httplib2|grpcio)-(\d[^/-]*)(?:\.dist-info/|-py|\.whl/)")
_FROZEN: Final = b"MEI\014\013\012\013\016"  # PyInstaller/archive/writers.py, CArchiveWriter._COOKIE_MAGIC_PATTERN
_COOKIE: Final = struct.Struct("!8sIIII64s")
_ENTRY: Final = struct.Struct("!IIIIBc")
_PYTHON_REMEDY: Final = "build or download it anew, with a newer certifi; until then REQUESTS_CA_BUNDLE=FILE, or"
_REMEDIES: Final = {
    Family.PYTHON: f"{_PYTHON_REMEDY} SSL_CERT_FILE=FILE, if the program heeds them",
    Family.JAVA: "build or download it anew; if the program reads the JVM's store, -Djavax.net.ssl.trustStore=FILE",
    Family.TOOL: "build or download it anew with a newer CA bundle",
}


def locations(host: Host, survey: Survey) -> Iterator[Location]:
    """The trust stores in each archive, and in each program that is one."""
    seen: set[str] = set()
    for program in programs(host, survey):
        if program.head.startswith(b"\x7fELF"):
            yield from _of_frozen(host, program.path)
        elif program.head.startswith((b"PK\x03\x04", b"#!")) and program.size > len(program.head):
            seen.add(program.path)
            yield from _of_zip(host, program.path)
    others = (path for path in survey["archives"] if not path.startswith(LEFT_OUT))
    top = (f"/{name}" for name in host.listed("/") if name.endswith(ARCHIVES))  # /app.jar of a container
    for path in regular(host, itertools.islice(itertools.chain(top, others), MAX_ARCHIVES)):
        if path not in seen:
            yield from _of_zip(host, path)


def _of_zip(host: Host, path: str) -> Iterator[Location]:
    try:
        with host.opened(path) as file:
            if _may_have_stores(file):
                yield from _in_zip(file, path)
    except OSError:
        return


def _in_zip(file: io.FileIO, path: str) -> Iterator[Location]:
    """The trust stores in a zip file; of a damaged one what comes before the damage. Raises OSError."""
    import zipfile  # slow to load, and few archives come this far

    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()[:_MAX_ENTRIES]
            names = [member.filename for member in members]
            wanted = [member for member in members if _is_store(member.filename) and not member.flag_bits & 1]
            for member in wanted[:MAX_MEMBERS]:
                if not 0 < member.file_size <= MAX_MEMBER_BYTES or member.compress_type not in (0, 8):
                    continue
                with archive.open(member) as content:
                    data = content.read(MAX_MEMBER_BYTES + 1)  # whatever size the table of contents says
                if len(data) <= MAX_MEMBER_BYTES:
                    yield _location(path, member.filename, data, names)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, ValueError, EOFError):
        return


def _may_have_stores(file: io.FileIO) -> bool:
    """Whether it is a zip file (APPNOTE.TXT 4.3.16) and a telling name stands in its table of contents."""
    size = file.seek(0, io.SEEK_END)
    tail = image.read_at(file, size - 65557, 65557)
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        return False
    length = int.from_bytes(tail[at + 12 : at + 16], "little")
    end = max(size - len(tail), 0) + at
    if length in (0, 0xFFFFFFFF) or length > _MAX_CONTENTS:
        return length == 0xFFFFFFFF  # ZIP64
    # It ends where this record begins, whatever stands before the archive; its own offset does not count that.
    contents = image.read_at(file, end - length, length)
    return any(_tells(contents, sign) for sign in _SIGNS)


def _tells(contents: bytes, sign: bytes) -> bool:
    at = contents.find(sign)
    while at >= 0:
        if _TELLING.search(contents, max(at - 64, 0), at + 64):
            return True
        at = contents.find(sign, at + 64)
    return False


def _is_store(name: str) -> bool:
    folder, _, last = name.rpartition("/")
    return (last in BUNDLES or _KEY_STORE.match(last) is not None) and not TESTS.intersection(folder.split("/"))


def _location(path: str, member: str, data: bytes, names: Iterable[str]) -> Location:
    base = member.rpartition("/")[2]
    java = path.endswith((".jar", ".war")) or base not in BUNDLES
    family = Family.JAVA if java else Family.PYTHON if member.endswith(_PYTHON_ENDS) else Family.TOOL
    use = Use("python-3.12", f"the Python program {printable(path.rpartition('/')[2])}, from inside itself", path)
    uses = (use,) if family is Family.PYTHON else ()
    text = "it stands inside an archive, which no patch changes"
    return Location(
        path,
        family,
        Role.PUBLIC if uses else None,
        uses,
        owner=_owner(member, names),
        findings=(Finding("in-archive", Severity.INFO, text),),
        part=member,
        data=data,
        remedy=_REMEDIES[family],
    )


_PYTHON_ENDS: Final = (
    "certifi/cacert.pem",
    "botocore/cacert.pem",
    "requests/cacert.pem",
    "httplib2/cacerts.txt",
    "_credentials/roots.pem",
)


def _owner(member: str, names: Iterable[str]) -> str | None:
    """ "certifi 2026.5.20", from the name of the folder of its wheel or of its metadata."""
    package = member.rpartition("/")[0].rpartition("/")[2]
    for name in (member, *names):
        found = _DISTRIBUTION.search(name)
        if found is not None and found[1].startswith(package[:4]):
            return printable(f"{found[1]} {found[2]}")
    return None


def _of_frozen(host: Host, path: str) -> Iterator[Location]:
    try:
        with host.opened(path) as file:
            for name, data in frozen(file):
                yield _location(path, name, data, ())
    except OSError:
        return


def frozen(file: io.FileIO) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of the CA bundles in a one-file program of PyInstaller; nothing for any other file.

    Source: PyInstaller/archive/readers.py, CArchiveReader, since 3.0: a cookie near the file's end leads to a table.
    """
    size = file.seek(0, os.SEEK_END)
    tail = image.read_at(file, size - 8192, 8192)
    at = tail.rfind(_FROZEN)
    if at < 0 or len(tail) < at + _COOKIE.size:
        return
    _, length, table_at, table_size, _, _ = _COOKIE.unpack_from(tail, at)
    start = max(size - len(tail), 0) + at + _COOKIE.size - length
    if start < 0 or table_size > _MAX_CONTENTS:
        return
    table = image.read_at(file, start + table_at, table_size)
    row = 0
    found = 0
    while row + _ENTRY.size <= len(table) and found < MAX_MEMBERS:
        entry_size, offset, packed_size, plain_size, packed, _ = _ENTRY.unpack_from(table, row)
        if entry_size < _ENTRY.size:
            return
        name = table[row + _ENTRY.size : row + entry_size].rstrip(b"\0").decode("utf-8", "replace")
        row += entry_size
        if not _is_store(name) or max(packed_size, plain_size) > MAX_MEMBER_BYTES:
            continue
        data = image.read_at(file, start + offset, packed_size)
        if packed:
            try:
                data = zlib.decompressobj().decompress(data, MAX_MEMBER_BYTES)
            except zlib.error:
                continue
        found += 1
        yield name, data
