"""JKS and JCEKS stores by the real keytool of every JDK and by hand, and what real JVMs make of each."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import certificates
import jvm
from certificates import Made
from hosts.machine import Jdk
from keystores import JCEKS, STORE_PASSWORD, Item, build, keytool, listed
from trustmend.formats import jks, registry
from trustmend.model import (
    JAVA_OPEN,
    JAVA_PASSWORD,
    JCEKS_OPEN,
    JCEKS_PASSWORD,
    Content,
    EntryKind,
    Kind,
    Loaded,
    Refused,
    View,
)

ROOTS = [certificates.root(f"Root {number}") for number in range(4)]
ISSUING = certificates.intermediate(ROOTS[0])
LEAF = certificates.leaf(ISSUING)
DERS = [made.der for made in ROOTS]
KINDS = {EntryKind.CERTIFICATE: "trustedCertEntry", EntryKind.KEY: "PrivateKeyEntry"}


def digests(view: View) -> set[str]:
    """The anchors of a view."""
    assert isinstance(view, Loaded), view
    return {entry.certificate.sha256 for entry in view.entries}


def fill(jdk: Jdk, store: Path, store_type: str) -> None:
    """By keytool: roots, a key with its chain of three, a name beyond ASCII, and for JCEKS a secret key."""
    where = ["-keystore", str(store), "-storetype", store_type, *STORE_PASSWORD, "-noprompt"]
    for number, root in enumerate(ROOTS[:2]):
        keytool(jdk, "-importcert", "-alias", f"Root-{number}", *where, stdin=root.pem)
    keytool(jdk, "-importcert", "-alias", "größe", *where, stdin=ROOTS[2].pem)
    key = ["-alias", "server", "-dname", "CN=x", "-keyalg", "EC", "-keypass:env", "STORE_PASSWORD"]
    keytool(jdk, "-genkeypair", *key, *where)
    request = keytool(jdk, "-certreq", "-alias", "server", *where)
    own = [*where, "-alias", "server", "-rfc", "-gencert"]
    signed = keytool(jdk, *own, stdin=request.encode())
    keytool(jdk, "-importcert", "-alias", "server", *where, stdin=signed.encode() + own_certificate(jdk, where))
    if store_type == "JCEKS":
        keytool(jdk, "-genseckey", "-alias", "secret", "-keyalg", "AES", "-keysize", "256", *where)
        keytool(jdk, "-importcert", "-alias", "zz", *where, stdin=ROOTS[3].pem)


def own_certificate(jdk: Jdk, where: list[str]) -> bytes:
    """The self-signed certificate of the key, as PEM."""
    return keytool(jdk, "-exportcert", "-rfc", "-alias", "server", *where[:-1]).encode()


@pytest.fixture(scope="session")
def filled(jdks: list[Jdk], tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[int, str], Path]:
    folder = tmp_path_factory.mktemp("jks")
    paths = {(jdk.version, kind): folder / f"{jdk.version}.{kind}" for jdk in jdks for kind in ("JKS", "JCEKS")}
    for jdk in jdks:
        for kind in ("JKS", "JCEKS"):
            fill(jdk, paths[jdk.version, kind], kind)
    return paths


@pytest.mark.slow
def test_entries_are_as_every_keytool_lists_them(filled: Mapping[tuple[int, str], Path], jdks: list[Jdk]) -> None:
    for (_, kind), path in filled.items():
        content = registry.read(path.read_bytes(), Kind(kind.lower()), None)
        assert (content.findings, content.unverified, content.private_keys) == ((), False, 1)
        ours: dict[str, list[tuple[EntryKind, str]]] = {}
        for entry in content.entries:
            ours.setdefault(entry.alias or "", []).append((entry.kind, entry.certificate.sha256))
        for jdk in jdks:
            theirs = {one.alias: one for one in listed(jdk, path, kind) if one.kind != "SecretKeyEntry"}
            assert set(ours) == set(theirs)
            for alias, found in ours.items():
                assert tuple(sha256 for _, sha256 in found) == theirs[alias].certificates
                assert KINDS[found[0][0]] == theirs[alias].kind


@pytest.mark.slow
def test_jvms_take_the_same_anchors(filled: Mapping[tuple[int, str], Path], jdks: list[Jdk]) -> None:
    for (_, kind), path in filled.items():
        content = registry.read(path.read_bytes(), Kind(kind.lower()), None)
        told = (JCEKS_OPEN, JCEKS_PASSWORD) if kind == "JCEKS" else (JAVA_OPEN, JAVA_PASSWORD)
        (expected,) = {frozenset(digests(content.views[view])) for view in told}
        assert len(expected) == (5 if kind == "JCEKS" else 4)
        requests = [jvm.Request(str(path), password, type=kind) for password in ("changeit", None)]
        for jdk in jdks:
            assert [answer.issuers for answer in jvm.ask(jdk, requests)] == [expected, expected], jdk


BROKEN = b"\x30\x03\x02\x01\x05"
CASES: Mapping[str, bytes] = {
    "plain": build([Item("a", DERS[0]), Item("b", DERS[1])]),
    "version 1": build([Item("a", DERS[0]), Item("k", chain=[LEAF.der, ISSUING.der])], version=1),
    "empty": build([]),
    "key with a chain": build([Item("k", chain=[LEAF.der, ISSUING.der, DERS[0]]), Item("a", DERS[1])]),
    "key without a chain": build([Item("k", chain=[]), Item("a", DERS[1])]),
    "another password": build([Item("a", DERS[0])], password="s3cret"),
    "flipped digest": build([Item("a", DERS[0])])[:-1] + b"\0",
    "no digest": build([Item("a", DERS[0])])[:-20],
    "half a digest": build([Item("a", DERS[0])])[:-10],
    "bytes behind the end": build([Item("a", DERS[0])]) + b"more",
    "one alias twice": build([Item("a", DERS[0]), Item("a", DERS[1])]),
    "one certificate twice": build([Item("a", DERS[0]), Item("b", DERS[0])]),
    "upper-case alias": build([Item("A", DERS[0]), Item("b", DERS[1])]),
    "empty alias": build([Item("", DERS[0])]),
    "odd alias": build([Item("a\0ä\n", DERS[0])]),
    "no certificate": build([Item("a", DERS[0]), Item("b", BROKEN), Item("c", DERS[1])]),
    "empty certificate": build([Item("a", DERS[0]), Item("b", b""), Item("c", DERS[1])]),
    "bytes behind a certificate": build([Item("a", DERS[0] + b"more"), Item("b", DERS[1])]),
    "another form": build([Item("a", DERS[0]), Item("b", DERS[1], form="PGP")]),
    "old name of the form": build([Item("a", DERS[0], form="X509")]),
    "too many announced": build([Item("a", DERS[0])], count=2),
    "endlessly many announced": build([Item("a", DERS[0])], count=(1 << 31) - 1),
    "fewer announced": build([Item("a", DERS[0]), Item("b", DERS[1])], count=1),
    "less than none announced": build([Item("a", DERS[0])], count=-1),
    "cut in an entry": build([Item("a", DERS[0]), Item("b", DERS[1])])[:-400],
    "cut in the header": build([])[:10],
    "unknown entry": build([Item("a", DERS[0])], count=2)[:-20] + b"\0\0\0\7" + bytes(40),
    "secret key in JKS": build([Item("a", DERS[0])], count=2)[:-20] + b"\0\0\0\3" + bytes(40),
    "negative length": build([], count=1)[:-20] + b"\0\0\0\2\0\1a" + bytes(8) + b"\0\5X.509" + b"\xff" * 4 + bytes(30),
    "leaf as a trusted certificate": build([Item("a", LEAF.der)]),
}  # fmt: skip


@pytest.fixture(scope="session")
def answers(jdks: list[Jdk], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[list[jvm.Answer]]]:
    """What each JVM says of every case: without a password, and with `changeit`."""
    folder = tmp_path_factory.mktemp("cases")
    requests = []
    for number, data in enumerate(CASES.values()):
        (folder / str(number)).write_bytes(data)
        requests += [jvm.Request(str(folder / str(number)), password) for password in (None, "changeit")]
    by_jdk = [jvm.ask(jdk, requests) for jdk in jdks]
    return {name: [said[2 * n : 2 * n + 2] for said in by_jdk] for n, name in enumerate(CASES)}


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_as_every_jvm_says(name: str, answers: Mapping[str, list[list[jvm.Answer]]]) -> None:
    content = jks.read(CASES[name], None)

    for said in answers[name]:
        for view, answer in zip((JAVA_OPEN, JAVA_PASSWORD), said, strict=True):
            ours = content.views[view]
            if answer.error:
                assert isinstance(ours, Refused), (view, answer)
            else:
                assert digests(ours) == answer.issuers, (view, answer)


@pytest.mark.parametrize(
    ("name", "kept"),
    [("no certificate", 2), ("empty certificate", 2), ("another form", 1), ("too many announced", 1),
     ("cut in an entry", 1), ("unknown entry", 1)],
)  # fmt: skip
def test_one_bad_entry_hides_no_other(name: str, kept: int) -> None:
    content = jks.read(CASES[name], None)

    assert len(content.entries) == kept
    (finding,) = [finding for finding in content.findings if finding.code == "bad-entry"]
    assert "entry 1" in finding.message
    assert "byte" in finding.message


def test_a_digest_that_does_not_fit_is_said() -> None:
    content = jks.read(CASES["another password"], None)

    assert content.unverified
    assert [finding.code for finding in content.findings] == ["integrity-unverified"]
    assert isinstance(content.views[JAVA_PASSWORD], Refused)
    known = jks.read(CASES["another password"], "s3cret")
    assert (known.unverified, known.findings) == (False, ())
    assert digests(known.views[JAVA_PASSWORD]) == {ROOTS[0].sha256}


def test_jceks_is_not_what_a_jvm_expects_by_default() -> None:
    content = jks.read(build([Item("a", DERS[0])], magic=JCEKS), None)

    assert content.kind is Kind.JCEKS
    assert isinstance(content.views[JAVA_OPEN], Refused)
    assert isinstance(content.views[JAVA_PASSWORD], Refused)
    assert digests(content.views[JCEKS_PASSWORD]) == {ROOTS[0].sha256}


def test_positions_and_bytes() -> None:
    data = build([Item("a", DERS[0]), Item("b", DERS[1])])

    for number, entry in enumerate(jks.read(data, None).entries):
        assert (entry.position, entry.alias) == (number, "ab"[number])
        assert entry.offset is not None
        size: int = struct.unpack_from(">i", data, entry.offset)[0]
        assert data[entry.offset + 4 : entry.offset + 4 + size] == DERS[number]


@pytest.mark.parametrize("head", [b"\xfe\xed\xfe\xed\0\0\0\3", b"\xca\xfe\xba\xbe\0\0\0\x3d", b"", b"\xfe\xed"])
def test_other_magic_numbers_are_no_store(head: bytes) -> None:
    assert jks.recognise(head) is None


WHOLE = CASES["key with a chain"]


def sane(content: Content) -> None:
    """What holds for any bytes."""
    assert content.kind in (Kind.JKS, Kind.JCEKS)
    assert set(content.views) >= {JAVA_OPEN, JAVA_PASSWORD}
    assert len(content.entries) <= 4
    assert all(finding.message.isprintable() for finding in content.findings)


def test_a_cut_anywhere_keeps_what_stands_before() -> None:
    whole = jks.read(WHOLE, None).entries
    kept = 0
    for end in range(8, len(WHOLE)):
        content = jks.read(WHOLE[:end], None)
        sane(content)
        assert content.unverified
        assert content.entries == whole[: len(content.entries)]
        assert len(content.entries) >= kept
        kept = len(content.entries)
    assert kept == len(whole)


@given(
    changes=st.lists(st.tuples(st.integers(8, len(WHOLE) - 1), st.integers(0, 255)), max_size=6),
    magic=st.sampled_from([WHOLE[:4], JCEKS]),
    end=st.one_of(st.just(len(WHOLE)), st.integers(8, len(WHOLE))),
)
def test_damage_never_raises(changes: list[tuple[int, int]], magic: bytes, end: int) -> None:
    broken = bytearray(magic + WHOLE[4:])
    for place, value in changes:
        broken[place] = value

    sane(jks.read(bytes(broken[:end]), None))


@pytest.mark.slow
@given(st.data())
def test_damaged_secret_keys_never_raise(
    filled: Mapping[tuple[int, str], Path], jdks: list[Jdk], data: st.DataObject
) -> None:
    whole = filled[jdks[0].version, "JCEKS"].read_bytes()
    start = whole.index(b"\xac\xed\x00\x05")
    places = data.draw(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), min_size=1, max_size=4))
    broken = bytearray(whole)
    for place, value in places:
        broken[min(start + place, len(broken) - 1)] = value

    content = jks.read(bytes(broken), None)

    assert content.unverified or bytes(broken) == whole


def test_a_store_of_many_is_read_whole() -> None:
    many: list[Made] = [certificates.root(f"Root {number % 4}") for number in range(400)]

    content = jks.read(build([Item(f"a{n}", made.der) for n, made in enumerate(many)]), None)

    assert len(content.entries) == 400
    assert len({entry.certificate for entry in content.entries}) == 4
