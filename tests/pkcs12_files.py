"""PKCS#12 files for tests: put together bag by bag (RFC 7292), and by openssl."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import certificates
from certificates import bundle_pem, element
from shipped import of_pem
from trustmend import der
from trustmend.certificate import Certificate

ROOTS = [certificates.root(f"Root {number}") for number in range(4)]
ISSUING = certificates.intermediate(ROOTS[0])
LEAF = certificates.leaf(ISSUING)
NEW = [("trustmend-1", ROOTS[2].certificate), ("trustmend-ü-😀", ROOTS[3].certificate)]
"""What the tests add."""
BEYOND = "pässwörd€"
"""A password beyond ASCII."""
PRIVATE_KEY = "1.2.840.113549.1.12.10.1.2"
PLAIN_KEY = "1.2.840.113549.1.12.10.1.1"
SECRET = "1.2.840.113549.1.12.10.1.5"


def bag(kind: str, value: bytes, alias: str | None, key_id: bytes | None, *, trusted: bool = False) -> bytes:
    """A SafeBag with the attributes that a JVM knows, in DER's order."""
    found = []
    if alias is not None:
        found.append(("1.2.840.113549.1.9.20", element(0x1E, alias.encode("utf-16-be"))))
    if key_id is not None:
        found.append(("1.2.840.113549.1.9.21", element(0x04, key_id)))
    if trusted:
        found.append(("2.16.840.1.113894.746875.1.1", der.oid("2.5.29.37.0")))
    attributes = sorted(element(0x30, der.oid(name), element(0x31, one)) for name, one in found)
    tail = [element(0x31, *attributes)] if attributes else []
    return element(0x30, der.oid(kind), element(0xA0, value), *tail)


def cert(made: Certificate | certificates.Made, alias: str | None = None, key_id: bytes | None = None) -> bytes:
    """A certificate without Java's mark."""
    value = element(0x30, der.oid("1.2.840.113549.1.9.22.1"), element(0xA0, element(0x04, made.der)))
    return bag("1.2.840.113549.1.12.10.1.3", value, alias, key_id)


def trusted(made: Certificate | certificates.Made, alias: str | None = None) -> bytes:
    value = element(0x30, der.oid("1.2.840.113549.1.9.22.1"), element(0xA0, element(0x04, made.der)))
    return bag("1.2.840.113549.1.12.10.1.3", value, alias, None, trusted=True)


def key(alias: str | None = None, key_id: bytes | None = None, kind: str = PRIVATE_KEY) -> bytes:
    """A key that nobody ever decrypts."""
    return bag(kind, element(0x30, element(0x30, der.oid("1.2.3")), element(0x04, b"hidden")), alias, key_id)


def secret(alias: str | None = None) -> bytes:
    return bag(SECRET, element(0x30, der.oid(PRIVATE_KEY), element(0xA0, element(0x04, b"hidden"))), alias, None)


def data(content: bytes) -> bytes:
    return element(0x30, der.oid("1.2.840.113549.1.7.1"), element(0xA0, element(0x04, content)))


Parts = Sequence[Sequence[bytes]]


def store(parts: Parts, mac: bytes = b"") -> bytes:
    """A file whose parts are not encrypted."""
    return element(0x30, b"\x02\x01\x03", data(safe(parts)), mac)


def safe(parts: Parts) -> bytes:
    return element(0x30, *(data(element(0x30, *bags)) for bags in parts))


def in_ber(content: bytes) -> bytes:
    """The same with open lengths, and with octet strings in two pieces, as old writers have it."""
    one = der.whole(content)
    if one.tag == 0x04:
        half = len(one.content) // 2
        return b"\x24\x80" + element(0x04, one.content[:half]) + element(0x04, one.content[half:]) + b"\0\0"
    if not one.tag & 0x20:
        return content
    return content[:1] + b"\x80" + b"".join(in_ber(child.raw) for child in one.children()) + b"\0\0"


def store_in_ber(parts: Parts) -> bytes:
    """Open lengths outside, in the list of parts and in these."""
    info = element(0x30, der.oid("1.2.840.113549.1.7.1"), element(0xA0, element(0x04, in_ber(safe(parts)))))
    return in_ber(element(0x30, b"\x02\x01\x03", info))


def run_openssl(*arguments: str, password: str, folder: Path) -> str:
    """Run `openssl pkcs12`; all its output."""
    environ = {"PATH": "/usr/bin:/bin", "P": password, "LC_ALL": "C.UTF-8"}
    command = ["openssl", "pkcs12", *arguments]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")  # it prints names as Latin-1
    assert done.returncode == 0, said
    return said


def exported(
    folder: Path, *arguments: str, password: str = "changeit", chain: Sequence[certificates.Made] = ()
) -> bytes:
    """What `openssl pkcs12 -export` makes of a leaf with its key and chain, under the name `key`."""
    (folder / "all.pem").write_bytes(LEAF.key_pem + bundle_pem(LEAF, *(chain or (ISSUING, ROOTS[0]))))
    out = ["-out", "out.p12", "-passout", "env:P", "-name", "key"]
    run_openssl("-export", "-in", "all.pem", *out, *arguments, password=password, folder=folder)
    return (folder / "out.p12").read_bytes()


@dataclass(frozen=True)
class Shown:
    """What openssl says of a file: its key, its certificates' SHA-256 in order, and how it is protected."""

    keys: list[str]
    certificates: list[str]
    protection: list[str]


def shown(content: bytes, folder: Path, password: str = "changeit") -> Shown:
    (folder / "shown.p12").write_bytes(content)
    arguments = ["-in", "shown.p12", "-passin", "env:P", "-nodes", "-info", "-legacy"]
    said = run_openssl(*arguments, password=password, folder=folder)
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", said, re.DOTALL)
    return Shown(
        re.findall(r"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----", said, re.DOTALL),
        [of_pem(block.encode()).sha256 for block in blocks],
        re.findall(r"(?:MAC|PKCS7) .*|MAC: .*", said),
    )


EXPORTS = {
    "usual": "",
    "old": "-legacy",
    "RC2-128": "-legacy -certpbe PBE-SHA1-RC2-128 -keypbe PBE-SHA1-3DES",
    "3DES": "-legacy -certpbe PBE-SHA1-3DES -macalg SHA1 -iter 3000",
    "AES-128, SHA-512": "-certpbe AES-128-CBC -keypbe AES-128-CBC -macalg SHA512",
    "certificates open": "-certpbe NONE",
    "RC4-128": "-legacy -certpbe PBE-SHA1-RC4-128",
    "RC4-40": "-legacy -certpbe PBE-SHA1-RC4-40",
    "once": "-noiter -nomaciter",
    "no check": "-nomac -certpbe AES-256-CBC",
    "open, no check": "-nomac",
    "two-key 3DES": "-legacy -certpbe PBE-SHA1-2DES -keypbe PBE-SHA1-2DES",
    "3DES by PBES2": "-certpbe DES-EDE3-CBC",
    "AES-192": "-certpbe AES-192-CBC",
}
FOR_JVMS = ("old", "3DES", "RC4-40", "certificates open", "open, no check")
"""Those that a JVM is asked about; the last three of EXPORTS it does not know."""
