"""PKCS#12 stores by every keytool, by openssl and by hand, and what real JVMs make of each."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import certificates
import jvm
from certificates import bundle_pem, element
from hosts.machine import Jdk
from keystores import STORE_PASSWORD, keytool, listed
from trustmend.formats import ber, pkcs12, rc2, registry
from trustmend.formats.pkcs12_crypto import derived
from trustmend.model import JAVA_OPEN, JAVA_PASSWORD, OPENSSL, Content, EntryKind, Kind, Loaded, Refused, View

ROOTS = [certificates.root(f"Root {number}") for number in range(3)]
ISSUING = certificates.intermediate(ROOTS[0])
LEAF = certificates.leaf(ISSUING)
PASSWORD_LESS = "-Dkeystore.pkcs12.certProtectionAlgorithm=NONE -Dkeystore.pkcs12.macAlgorithm=NONE"
OLD_ALGORITHMS = "-Dkeystore.pkcs12.legacy"
MAC_ONLY = "-Dkeystore.pkcs12.certProtectionAlgorithm=NONE"
BY_KEYTOOL = {"usual": "", "password-less": PASSWORD_LESS, "old algorithms": OLD_ALGORITHMS, "check only": MAC_ONLY}


def digests(view: View) -> set[str]:
    """The anchors of a view."""
    assert isinstance(view, Loaded), view
    return {entry.certificate.sha256 for entry in view.entries}


def fill(jdk: Jdk, store: Path, options: str) -> None:
    """Two roots, one of them by a name beyond ASCII, and a key."""
    where = ["-keystore", str(store), "-storetype", "PKCS12", *STORE_PASSWORD, "-noprompt"]
    keytool(jdk, "-importcert", "-alias", "root 0", *where, stdin=ROOTS[0].pem, options=options)
    keytool(jdk, "-importcert", "-alias", "größe", *where, stdin=ROOTS[1].pem, options=options)
    keytool(jdk, "-genkeypair", "-alias", "key", "-dname", "CN=x", "-keyalg", "EC", *where, options=options)


@pytest.fixture(scope="session")
def filled(jdks: list[Jdk], tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[int, str], Path]:
    folder = tmp_path_factory.mktemp("pkcs12")
    paths = {}
    for jdk in jdks:
        for name, options in BY_KEYTOOL.items():
            if jdk.version < 18 and name in ("password-less", "check only"):
                continue  # JDK 17 writes them, too, but its keytool asks for a password that is not there
            path = paths[jdk.version, name] = folder / f"{jdk.version}-{name.replace(' ', '-')}"
            fill(jdk, path, options)
    return paths


@pytest.mark.slow
def test_entries_are_as_every_keytool_lists_them(filled: Mapping[tuple[int, str], Path], jdks: list[Jdk]) -> None:
    kinds = {EntryKind.CERTIFICATE: "trustedCertEntry", EntryKind.KEY: "PrivateKeyEntry"}
    assert {name for _, name in filled} == set(BY_KEYTOOL)
    for key, path in filled.items():
        content = registry.read(path.read_bytes(), Kind.PKCS12, None)
        assert (content.findings, content.unverified, content.error, content.private_keys) == ((), False, None, 1)
        ours = {entry.alias: (kinds[entry.kind], (entry.certificate.sha256,)) for entry in content.entries}
        for jdk in jdks:
            theirs = {one.alias: (one.kind, one.certificates) for one in listed(jdk, path)}
            assert ours == theirs, (key, jdk)


@pytest.mark.slow
def test_jvms_take_the_same_anchors(filled: Mapping[tuple[int, str], Path], jdks: list[Jdk]) -> None:
    for path in filled.values():
        agree(path.read_bytes(), path, jdks, [None, "changeit", "wrong"])


def agree(data: bytes, path: Path, jdks: Sequence[Jdk], passwords: Sequence[str | None]) -> None:
    """Check that every JVM has the same anchors as we have, or refuses where we say so."""
    requests = [jvm.Request(str(path), password) for password in passwords]
    for jdk in jdks:
        for password, answer in zip(passwords, jvm.ask(jdk, requests), strict=True):
            content = pkcs12.read(data, password)
            view = content.views[JAVA_OPEN if password is None else JAVA_PASSWORD]
            if answer.error:
                assert isinstance(view, Refused), (jdk, password, answer)
            else:
                assert digests(view) == answer.issuers, (jdk, password, answer)


OPENSSL_EXPORTS = {
    "usual": "",
    "old": "-legacy",
    "old, RC2-128": "-legacy -certpbe PBE-SHA1-RC2-128 -keypbe PBE-SHA1-3DES",
    "two-key 3DES": "-legacy -certpbe PBE-SHA1-2DES -keypbe PBE-SHA1-2DES",
    "AES-128, SHA-512": "-certpbe AES-128-CBC -keypbe AES-192-CBC -macalg SHA512",
    "3DES by PBES2": "-certpbe DES-EDE3-CBC",
    "AES-192": "-certpbe AES-192-CBC",
    "certificates open": "-certpbe NONE",
    "no check": "-nomac",
    "open, no check": "-certpbe NONE -keypbe NONE -nomac",
    "RC4-128": "-legacy -certpbe PBE-SHA1-RC4-128",
    "RC4-40": "-legacy -certpbe PBE-SHA1-RC4-40",
    "once": "-noiter -nomaciter",
    "SHA-1 check": "-macalg SHA1",
}


def exported(folder: Path, *arguments: str, password: str = "changeit") -> bytes:
    """What `openssl pkcs12 -export` makes of a leaf with its key, issuing CA and root."""
    (folder / "all.pem").write_bytes(LEAF.key_pem + bundle_pem(LEAF, ISSUING, ROOTS[0]))
    command = ["openssl", "pkcs12", "-export", "-in", "all.pem", "-out", "out.p12", "-passout", "env:P", *arguments]
    environ = {"PATH": "/usr/bin:/bin", "P": password}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return (folder / "out.p12").read_bytes()


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("name", OPENSSL_EXPORTS)
def test_what_openssl_writes_is_read_whole(name: str, tmp_path: Path) -> None:
    data = exported(tmp_path, *OPENSSL_EXPORTS[name].split())
    content = pkcs12.read(data, None)

    assert registry.recognise(data) is Kind.PKCS12
    assert {entry.certificate for entry in content.entries} == {made.certificate for made in (LEAF, ISSUING, ROOTS[0])}
    assert (content.unverified, content.error, content.private_keys) == (False, None, 1)
    if name not in ("two-key 3DES", "3DES by PBES2", "AES-192", "open, no check"):  # asked below
        assert digests(content.views[JAVA_PASSWORD]) == {LEAF.sha256}, "the first certificate of the key's chain alone"
    assert isinstance(content.views[OPENSSL], Refused)


@pytest.mark.slow
@pytest.mark.needs("openssl")
@pytest.mark.parametrize("name", OPENSSL_EXPORTS)
def test_jvms_agree_about_what_openssl_writes(name: str, tmp_path: Path, jdks: list[Jdk]) -> None:
    data = exported(tmp_path, *OPENSSL_EXPORTS[name].split())

    agree(data, tmp_path / "out.p12", jdks, [None, "changeit", "wrong", ""])


@pytest.mark.slow
@pytest.mark.needs("openssl")
@pytest.mark.parametrize("extra", ["", "-legacy", "-nomac", "-certpbe NONE", "-caname one -caname two"])
def test_without_a_key_it_is_an_empty_trust_store_to_a_jvm(extra: str, tmp_path: Path, jdks: list[Jdk]) -> None:
    data = exported(tmp_path, "-nokeys", *extra.split())
    content = pkcs12.read(data, None)

    assert len(content.entries) == 3
    view = content.views[JAVA_PASSWORD]
    assert isinstance(view, Loaded)
    assert (view.entries, "trustedKeyUsage" in view.note) == ((), True)
    agree(data, tmp_path / "out.p12", jdks, [None, "changeit"])


@pytest.mark.slow
@pytest.mark.needs("openssl")
@pytest.mark.parametrize("extra", ["", "-legacy", "-certpbe NONE"])
def test_an_empty_password(extra: str, tmp_path: Path, jdks: list[Jdk]) -> None:
    data = exported(tmp_path, *extra.split(), password="")
    content = pkcs12.read(data, None)

    assert len(content.entries) == 3
    assert not content.unverified
    assert isinstance(content.views[JAVA_PASSWORD], Refused), "for a JVM that opens it with changeit"
    agree(data, tmp_path / "out.p12", jdks, [None, "changeit", ""])


@pytest.mark.needs("openssl")
def test_a_password_that_nobody_knows(tmp_path: Path) -> None:
    data = exported(tmp_path, password="s3cret")

    unknown = pkcs12.read(data, None)
    assert unknown.error is not None
    assert "--password-file" in unknown.error
    assert JAVA_PASSWORD not in unknown.views
    assert digests(unknown.views[JAVA_OPEN]) == set()
    known = pkcs12.read(data, "s3cret")
    assert (len(known.entries), known.error, known.unverified) == (3, None, False)
    wrong = pkcs12.read(data, "other")
    assert isinstance(wrong.views[JAVA_PASSWORD], Refused)
    assert [finding.code for finding in wrong.findings] == ["integrity-unverified"]


def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER."""
    arcs = [int(arc) for arc in dotted.split(".")]
    content = b""
    for arc in (40 * arcs[0] + arcs[1], *arcs[2:]):
        octets = [arc & 0x7F]
        while arc := arc >> 7:
            octets.append(arc & 0x7F | 0x80)
        content += bytes(reversed(octets))
    return element(0x06, content)


def attribute(kind: str, value: bytes) -> bytes:
    return element(0x30, oid(kind), element(0x31, value))


def bag(der: bytes, alias: str | None = None, *, trusted: bool = True, key_id: bytes | None = None) -> bytes:
    """A certificate bag as the JDK writes one (RFC 7292 section 4.2.3)."""
    attributes = []
    if alias is not None:
        attributes.append(attribute("1.2.840.113549.1.9.20", element(0x1E, alias.encode("utf-16-be"))))
    if key_id is not None:
        attributes.append(attribute("1.2.840.113549.1.9.21", element(0x04, key_id)))
    if trusted:
        attributes.append(attribute("2.16.840.1.113894.746875.1.1", oid("2.5.29.37.0")))
    value = element(0x30, oid("1.2.840.113549.1.9.22.1"), element(0xA0, element(0x04, der)))
    tail = [element(0x31, *attributes)] if attributes else []
    return element(0x30, oid("1.2.840.113549.1.12.10.1.3"), element(0xA0, value), *tail)


def store(*bags: bytes) -> bytes:
    """A password-less file of these bags."""
    contents = element(0x30, oid("1.2.840.113549.1.7.1"), element(0xA0, element(0x04, element(0x30, *bags))))
    safe = element(0x30, oid("1.2.840.113549.1.7.1"), element(0xA0, element(0x04, element(0x30, contents))))
    return element(0x30, b"\x02\x01\x03", safe)


DERS = [root.der for root in ROOTS]
CASES = {
    "two": store(bag(DERS[0], "a"), bag(DERS[1], "b")),
    "none": store(),
    "one alias twice": store(bag(DERS[0], "a"), bag(DERS[1], "A")),
    "no alias": store(bag(DERS[0]), bag(DERS[1])),
    "unmarked beside marked": store(bag(DERS[0], "a", trusted=False), bag(DERS[1], "b")),
    "unmarked of the same alias": store(bag(DERS[0], "a"), bag(DERS[1], "a", trusted=False)),
    "no certificate": store(bag(DERS[0], "a"), bag(b"\x30\x03\x02\x01\x05", "b"), bag(DERS[1], "c")),
    "bytes behind a certificate": store(bag(DERS[0] + b"more", "a")),
    "bytes behind the end": store(bag(DERS[0], "a")) + b"more",
    "an unknown bag": store(bag(DERS[0], "a"), element(0x30, oid("1.2.3"), element(0xA0, element(0x04, b"x")))),
    "cut": store(bag(DERS[0], "a"), bag(DERS[1], "b"))[:-300],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_case_is_as_every_jvm_says(name: str, tmp_path: Path, jdks: list[Jdk]) -> None:
    (tmp_path / "store").write_bytes(CASES[name])

    agree(CASES[name], tmp_path / "store", jdks, [None, "changeit"])


def test_one_bad_entry_hides_no_other() -> None:
    content = pkcs12.read(CASES["no certificate"], None)

    assert [entry.alias for entry in content.entries] == ["a", "c"]
    assert [finding.code for finding in content.findings] == ["bad-entry"]
    assert "entry 1" in content.findings[0].message


def test_a_file_without_any_password_fits_every_password() -> None:
    for password in (None, "changeit", "other", ""):
        content = pkcs12.read(CASES["two"], password)
        assert digests(content.views[JAVA_OPEN]) == digests(content.views[JAVA_PASSWORD]) == {
            root.sha256 for root in ROOTS[:2]
        }  # fmt: skip
        assert not content.unverified


def in_ber(data: bytes, depth: int = 0) -> bytes:
    """The same with open lengths, and with octet strings in two pieces, as old writers have it."""
    if data[0] == 0x04 and depth:
        body = octets(data)
        half = len(body) // 2
        return b"\x24\x80" + element(0x04, body[:half]) + element(0x04, body[half:]) + b"\0\0"
    if not data[0] & 0x20:
        return data
    return data[:1] + b"\x80" + b"".join(in_ber(part, depth + 1) for part in parts(octets(data))) + b"\0\0"


def octets(data: bytes) -> bytes:
    size = data[1]
    start = 2 + (size & 0x7F if size & 0x80 else 0)
    return data[start:]


def parts(data: bytes) -> list[bytes]:
    found = []
    while data:
        size = data[1]
        start = 2 + (size & 0x7F if size & 0x80 else 0)
        length = int.from_bytes(data[2:start], "big") if size & 0x80 else size
        found.append(data[: start + length])
        data = data[start + length :]
    return found


@pytest.mark.slow
def test_open_lengths_are_read_as_jvms_do(tmp_path: Path, jdks: list[Jdk]) -> None:
    data = in_ber(CASES["two"])
    (tmp_path / "store").write_bytes(data)

    assert ber.to_der(data) == CASES["two"]
    assert registry.recognise(data) is Kind.PKCS12
    agree(data, tmp_path / "store", jdks, [None, "changeit"])


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 100])
def test_rc2_is_openssls(size: int) -> None:
    key, start, text = bytes(range(5)), bytes(range(8)), bytes(size)
    legacy = ["-provider", "legacy", "-provider", "default"]
    command = ["openssl", "enc", "-rc2-40-cbc", *legacy, "-K", key.hex(), "-iv", start.hex()]
    hidden = subprocess.run(command, input=text, capture_output=True, check=True).stdout

    shown = rc2.decrypt_cbc(key, 40, start, hidden)

    assert shown[: -shown[-1]] == text


def test_derivation_is_rfc_7292s() -> None:
    """A vector that Bouncy Castle and others test with: password "smeg", salt 0A58CF64530D823F, one round, SHA-1."""
    password = "smeg\0".encode("utf-16-be")

    assert derived(password, bytes.fromhex("0a58cf64530d823f"), 1, 1, 24, "sha1").hex() == (
        "8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3"
    )
    assert derived(password, bytes.fromhex("0a58cf64530d823f"), 1, 2, 8, "sha1").hex() == "79993dfe048d3b76"


@pytest.mark.needs("openssl")
def test_more_rounds_than_anybody_wants_are_not_worked_on(tmp_path: Path) -> None:
    huge = exported(tmp_path, "-iter", "2000000")

    content = pkcs12.read(huge, None)

    assert content.entries == ()
    assert content.error is not None or isinstance(content.views[JAVA_PASSWORD], Refused)


@pytest.fixture(scope="session")
def usual(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return exported(tmp_path_factory.mktemp("usual"), "-noiter", "-nomaciter")


def sane(content: Content) -> None:
    """What holds for any bytes."""
    assert content.kind is Kind.PKCS12
    assert JAVA_OPEN in content.views
    assert len(content.entries) <= 4
    assert all(finding.message.isprintable() for finding in content.findings)


CHANGES = st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 255)), max_size=4)


@given(changes=CHANGES, end=st.one_of(st.none(), st.integers(0, 3000)))
def test_damage_never_raises(usual: bytes, changes: list[tuple[int, int]], end: int | None) -> None:
    for whole in (usual, CASES["two"], in_ber(CASES["two"])):
        broken = bytearray(whole)
        for place, value in changes:
            broken[place % len(broken)] = value

        sane(pkcs12.read(bytes(broken[:end]), None))
