"""BCFKS, the key stores of Bouncy Castle's FIPS mode: encrypted as a whole, so read by keytool with that provider.

Source: Bouncy Castle, org.bouncycastle.asn1.bc.ObjectStore, and the BC FIPS user guide on key stores.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final

from trustmend.certificate import printable
from trustmend.errors import ReadError
from trustmend.formats import pem
from trustmend.formats.jks import DEFAULT_PASSWORD
from trustmend.host import Host
from trustmend.model import (
    JAVA_OPEN,
    JAVA_PASSWORD,
    NSS,
    OPENSSL,
    Content,
    Entry,
    EntryKind,
    Kind,
    Loaded,
    Refused,
    View,
)

_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")
_TIMEOUT_S: Final = 30.0
_PROVIDERS: Final = (
    ("/usr/share/java", re.compile(r"bcprov(-[\w.]+)?\.jar\Z"), "org.bouncycastle.jce.provider.BouncyCastleProvider"),
    ("/usr/share/java", re.compile(r"bc-fips(-[\w.]+)?\.jar\Z"),
     "org.bouncycastle.jcajce.provider.BouncyCastleFipsProvider"),
)  # fmt: skip
"""Where distributions put the provider: folder, file and class."""
_ENTRY: Final = re.compile(r"^Alias name: (?P<alias>[^\n]*)$.*?^Entry type: (?P<kind>\w+)", re.MULTILINE | re.DOTALL)
_NO_PEM: Final = Refused("a BCFKS key store, where PEM is expected")
_OTHER_TYPE: Final = Refused("BCFKS, which a JVM reads only with Bouncy Castle's provider and the type set")


def recognise(head: bytes) -> Kind | None:
    """`BCFKS` where an ObjectStore begins: three sequences, and then PBES2."""
    at = 0
    for _ in range(3):
        if head[at : at + 1] != b"\x30" or len(head) < at + 2:
            return None
        length = head[at + 1]
        at += 2 + (length & 0x7F if length > 0x80 else 0)
    return Kind.BCFKS if head.startswith(_PBES2, at) else None


def read(content: bytes, password: str | None, *, host: Host, keytools: Sequence[str], path: str) -> Content:
    """The entries of a BCFKS file by the word of keytool; unreadable, with the reason, where it cannot be asked.

    Args:
        content: the file's bytes.
        password: the configured one; None stands for `changeit`.
        host: its programs are run only if it is this machine, and as root only what root alone can change.
        keytools: paths of keytools that may be run, the best first.
        path: the file's path on this machine.
    """
    try:
        said = _ask_keytool(password, host, keytools, path)
    except ReadError as problem:
        return Content(Kind.BCFKS, error=problem.message)
    entries = tuple(_entries(said))
    anchors = tuple(entry for entry in entries if entry.kind is not EntryKind.PLAIN)
    views: dict[str, View] = {
        OPENSSL: _NO_PEM,
        NSS: _NO_PEM,
        JAVA_OPEN: _OTHER_TYPE,
        JAVA_PASSWORD: Loaded(anchors),
    }
    keys = len({entry.alias for entry in entries if entry.kind is EntryKind.KEY})
    return Content(Kind.BCFKS, entries, (), views, private_keys=keys, empty=not entries)


def _ask_keytool(password: str | None, host: Host, keytools: Sequence[str], path: str) -> str:
    """What `keytool -list -rfc` prints of the file. Raises ReadError."""
    if host.foreign:
        raise ReadError("BCFKS is read by keytool only, and no program is run for a foreign root")
    keytool = next((one for one in keytools if host.safe_to_run(one)), None)
    provider = next(_providers(host), None)
    if keytool is None or provider is None:
        missing = "no keytool" if keytool is None else "no Bouncy Castle provider (package libbcprov-java)"
        raise ReadError(f"BCFKS is read by keytool with Bouncy Castle's provider only, and there is {missing} here")
    jar, name = provider
    done = host.run(
        [
            keytool, "-J-Duser.language=en", "-list", "-rfc", "-keystore", path, "-storetype", "BCFKS",
            "-storepass:env", "TRUSTMEND_STOREPASS", "-providerclass", name, "-providerpath", jar,
        ],
        environ={"PATH": os.defpath, "LC_ALL": "C.UTF-8",
                 "TRUSTMEND_STOREPASS": DEFAULT_PASSWORD if password is None else password},
        timeout_s=_TIMEOUT_S,
    )  # fmt: skip
    said = done.stdout.decode("utf-8", "replace")
    if done.code != 0:
        last = printable(said.strip().rsplit("\n", 1)[-1].removeprefix("keytool error: "))
        raise ReadError(f"the password does not fit or the file is damaged; keytool says: {last}")
    return said


def _providers(host: Host) -> Iterator[tuple[str, str]]:
    """(path of the jar, class of the provider) of those that are there and may be used."""
    for folder, form, name in _PROVIDERS:
        for file in host.listed(folder):
            path = f"{folder}/{file}"
            # As root only what root alone can change; another user gets no more rights by it.
            if form.match(file) and (host.safe_to_run(path) if os.geteuid() == 0 else host.is_file(path)):
                yield path, name


def _entries(said: str) -> Iterator[Entry]:
    """The entries in keytool's listing."""
    found = list(_ENTRY.finditer(said))
    position = 0
    for match, following in zip_longest(found, found[1:]):
        text = said[match.end() : following.start() if following else len(said)]
        trusted = match["kind"] == "trustedCertEntry"
        for place, entry in enumerate(pem.read(text.encode()).entries):
            kind = EntryKind.CERTIFICATE if trusted else EntryKind.PLAIN if place else EntryKind.KEY
            yield Entry(entry.certificate, position, alias=match["alias"].strip(), kind=kind)
            position += 1
