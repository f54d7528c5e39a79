"""A whole planted host: one row of data for each place in which programs keep what they trust, and decoys.

The rows are in the TOML files beside this module. `[[store]]` is a store that must be found, once:

    path       where it is planted
    put        what stands there: a name of `CONTENTS`, or "nothing" where `files` already holds it
    files      path -> text: further files, such as the configuration that names it
    found      the path under which it must be found, where that is another
    kind, family, role, verdict
    readers    the ids of all its readers, sorted
    how        a part of what is said of one reader, such as the file and line that names the store
    needs      a program that makes the content; without it the row is not planted (certutil)

`[[decoy]]` has `path`, `put` and `files`: nothing that may be taken for a trust store.
"""

from __future__ import annotations

import subprocess
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import certifi
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    pkcs12,
)

import certificates
import shipped
from keystores import JCEKS, Item, build
from places import elf
from trustmend.certificate import Certificate, name_hash
from trustmend.formats import pem

HERE = Path(__file__).parent
MOMENT = certificates.root("Crl").certificate.not_before


@dataclass(frozen=True)
class Row:
    """One row of the data; `wanted` is empty for a decoy."""

    path: str
    put: str
    files: Mapping[str, str]
    wanted: Mapping[str, Any] = field(default_factory=dict)
    needs: str | None = None

    @property
    def found(self) -> str:
        """Where the store must be found."""
        return str(self.wanted.get("found", self.path))


def rows(table: str) -> list[Row]:
    """All rows of "store" or of "decoy", in the order of the files' names."""
    found = []
    for file in sorted(HERE.glob("*.toml")):
        for one in tomllib.loads(file.read_text("utf-8")).get(table, []):
            path, put, files, needs = one.pop("path"), one.pop("put"), one.pop("files", {}), one.pop("needs", None)
            found.append(Row(path, put, files, one, needs))
    return found


def plant(root: Path, row: Row) -> None:
    """Put the row's store and files under `root`."""
    if row.put != "nothing":
        content = CONTENTS[row.put]()
        parts = content if isinstance(content, dict) else {"": content}
        for name, data in parts.items():
            target = root / row.path.lstrip("/") / name if name else root / row.path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(data, str):
                target.symlink_to(data)
            else:
                target.write_bytes(data)
    for path, text in row.files.items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            target.symlink_to(text.removeprefix("-> "))
        else:
            target.write_text(text)


Content = bytes | dict[str, bytes | str]
"""A file's bytes; or of a folder its files, and its links as str."""


@cache
def _old() -> tuple[Certificate, ...]:
    """Public roots, none of which leads to what the bundles want."""
    listed = [e.certificate for e in pem.read(Path(certifi.where()).read_bytes()).entries]
    return tuple(c for c in listed if b"ISRG" in c.subject or b"GlobalSign" in c.subject)[:4]


@cache
def _roots() -> tuple[Certificate, ...]:
    """What sectigo-2019 wants, among others."""
    return (*_old(), *(shipped.certificate(f"root-usertrust-{kind}") for kind in ("rsa", "ecc")))


@cache
def _corporate() -> certificates.Made:
    return certificates.root("Corporate CA")


def _issuing() -> certificates.Made:
    return certificates.intermediate(_corporate(), "Corporate Issuing CA")


def _server() -> certificates.Made:
    return certificates.leaf(_issuing(), "server.corp.example")


def _pem(*some: Certificate) -> bytes:
    return b"".join(c.pem for c in some)


def _directory(*some: Certificate) -> Content:
    """As `openssl rehash` leaves it."""
    files: dict[str, bytes | str] = {f"root-{at}.pem": c.pem for at, c in enumerate(some)}
    links = {f"{name_hash(c)}.0": f"root-{at}.pem" for at, c in enumerate(some)}
    return {**files, **links}


def _key_store(some: tuple[Certificate, ...], password: str = "changeit", **options: Any) -> bytes:  # noqa: ANN401
    return build([Item(f"a{at}", c.der) for at, c in enumerate(some)], password=password, **options)


def _pkcs12(some: tuple[Certificate, ...], password: str | None = "changeit") -> bytes:
    entries = [pkcs12.PKCS12Certificate(x509.load_der_x509_certificate(c.der), c.label.encode()) for c in some]
    lock: KeySerializationEncryption = (
        NoEncryption() if password is None else BestAvailableEncryption(password.encode())
    )
    return pkcs12.serialize_java_truststore(entries, lock)


def _zip(member: str, content: bytes, head: bytes = b"") -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", "print(1)\n")
        archive.writestr(member, content)
    return head + buffer.getvalue()


def _nss(some: tuple[Certificate, ...], trust: str = "C,,") -> Content:
    with tempfile.TemporaryDirectory() as folder:
        database = f"sql:{folder}"
        subprocess.run(["certutil", "-N", "-d", database, "--empty-password"], check=True, capture_output=True)
        for c in some:
            add = ["certutil", "-A", "-d", database, "-n", c.sha256[:16], "-t", trust]
            subprocess.run(add, input=c.der, check=True, capture_output=True)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _csr() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server.corp.example")])
    return x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, SHA256()).public_bytes(Encoding.PEM)


def _crl() -> bytes:
    issuer = x509.load_der_x509_certificate(_corporate().der).subject
    builder = x509.CertificateRevocationListBuilder(issuer).last_update(MOMENT).next_update(MOMENT)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256()).public_bytes(Encoding.PEM)


CONTENTS: Mapping[str, Callable[[], Content]] = {
    # Stores.
    "roots": lambda: _pem(*_roots()),
    "old": lambda: _pem(*_old()),
    "private": lambda: _corporate().pem,
    "private-der": lambda: _corporate().der,
    "roots-directory": lambda: _directory(*_roots()),
    "old-directory": lambda: _directory(*_old()),
    "private-directory": lambda: _directory(_corporate().certificate),
    "roots-jks": lambda: _key_store(_roots()),
    "old-jks": lambda: _key_store(_old()),
    "old-jks-s3cret": lambda: _key_store(_old(), "s3cret"),
    "roots-jks-s3cret": lambda: _key_store(_roots(), "s3cret"),
    "private-jks-s3cret": lambda: _key_store((_corporate().certificate,), "s3cret"),
    "private-jks": lambda: _key_store((_corporate().certificate,)),
    "old-jceks": lambda: _key_store(_old(), magic=JCEKS),
    "old-pkcs12": lambda: _pkcs12(_old()),
    "roots-pkcs12": lambda: _pkcs12(_roots()),
    "roots-pkcs12-s3cret": lambda: _pkcs12(_roots(), "s3cret"),
    "private-pkcs12-s3cret": lambda: _pkcs12((_corporate().certificate,), "s3cret"),
    "old-pkcs12-open": lambda: _pkcs12(_old(), None),
    "old-nss": lambda: _nss(_old()),
    "private-nss": lambda: _nss((_corporate().certificate,)),
    "old-zip": lambda: _zip("certifi/cacert.pem", _pem(*_old())),
    "old-pex": lambda: _zip(".deps/certifi/cacert.pem", _pem(*_old()), b"#!/usr/bin/env python3\n"),
    "old-jar": lambda: _zip("org/example/cacerts.jks", _key_store(_old())),
    "node": lambda: elf.node(elf.roots()),
    "empty": lambda: b"",
    # Decoys.
    "leaf": lambda: _server().pem,
    "server-chain": lambda: _server().pem + _issuing().pem,
    "server-with-key": lambda: _server().key_pem + _server().pem + _issuing().pem,
    "client-beside-its-ca": lambda: _server().key_pem + _server().pem + _corporate().pem,
    "key": lambda: _server().key_pem,
    "csr": _csr,
    "crl": _crl,
    "words": lambda: b"A certificate starts with\n-----BEGIN CERTIFICATE-----\nand then comes base64.\n",
    "server-jks": lambda: build([Item("server", chain=[_server().der, _issuing().der])]),
    "noise": lambda: bytes(range(256)) * 16,
}
