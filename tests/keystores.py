"""Key stores for tests: JKS and JCEKS put together byte by byte, and any type by the real keytool."""

from __future__ import annotations

import hashlib
import re
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from hosts.machine import Jdk
from shipped import of_pem

JKS, JCEKS = b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce"


@dataclass(frozen=True, slots=True)
class Item:
    """One entry: a trusted certificate, or (with `chain`) a key with its certificates."""

    alias: str
    der: bytes = b""
    chain: Sequence[bytes] | None = None
    form: str = "X.509"


def build(
    items: Sequence[Item],
    *,
    magic: bytes = JKS,
    version: int = 2,
    password: str = "changeit",
    count: int | None = None,
) -> bytes:
    """A whole store with its digest. Source: sun.security.provider.JavaKeyStore, engineStore."""
    body = magic + struct.pack(">ii", version, len(items) if count is None else count)
    body += b"".join(_item(item, version) for item in items)
    secret = password.encode("utf-16-be") + b"Mighty Aphrodite"
    return body + hashlib.sha1(secret + body, usedforsecurity=False).digest()


def _item(item: Item, version: int) -> bytes:
    head = struct.pack(">i", 2 if item.chain is None else 1) + text(item.alias) + bytes(8)
    if item.chain is None:
        return head + _certificate(item.der, item.form, version)
    key = b"an encrypted key that nobody opens"
    head += struct.pack(">i", len(key)) + key + struct.pack(">i", len(item.chain))
    return head + b"".join(_certificate(der, item.form, version) for der in item.chain)


def _certificate(der: bytes, form: str, version: int) -> bytes:
    return (text(form) if version == 2 else b"") + struct.pack(">i", len(der)) + der


def text(words: str) -> bytes:
    """A string as java.io.DataOutput writes it (for characters of the basic plane)."""
    encoded = words.encode("utf-8", "surrogatepass").replace(b"\0", b"\xc0\x80")
    return struct.pack(">H", len(encoded)) + encoded


def keytool(jdk: Jdk, *arguments: str, password: str = "changeit", stdin: bytes = b"", options: str = "") -> str:
    """Run keytool in plain English; its output. `options` are the JVM's: "-Dname=value ..."."""
    prefixed = [f"-J{option}" for option in ("-Duser.language=en", "-Dfile.encoding=UTF-8", *options.split())]
    done = subprocess.run(
        [jdk.keytool, *prefixed, *arguments],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "STORE_PASSWORD": password},
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return done.stdout.decode()


STORE_PASSWORD = ("-storepass:env", "STORE_PASSWORD")


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry as `keytool -list -rfc` prints it."""

    alias: str
    kind: str  # trustedCertEntry, PrivateKeyEntry, SecretKeyEntry
    certificates: tuple[str, ...]  # SHA-256, in lower-case hex


def listed(jdk: Jdk, path: object, store_type: str | None = None, password: str = "changeit") -> list[Listed]:
    """The entries of a store by keytool's word."""
    chosen = ["-storetype", store_type] if store_type else []
    said = keytool(jdk, "-list", "-rfc", "-keystore", str(path), *STORE_PASSWORD, *chosen, password=password)
    entries = []
    for part in re.split(r"^Alias name: ", said, flags=re.MULTILINE)[1:]:
        kind = re.search(r"^Entry type: (\w+)", part, re.MULTILINE)
        assert kind
        blocks = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", part, re.DOTALL)
        digests = tuple(of_pem(block.encode()).sha256 for block in blocks)
        entries.append(Listed(part.split("\n", 1)[0].strip(), kind[1], digests))
    return entries
