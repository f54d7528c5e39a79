"""JKS and JCEKS stores with certificates added and removed again: by properties, and as every keytool and JVM says."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import certificates
import jvm
import keytools
from hosts.machine import Jdk
from keystores import JCEKS, JKS, Item, Listed, build, text
from keytools import Command, copied, opened
from trustmend.certificate import Certificate
from trustmend.errors import MalformedError
from trustmend.formats import jks, jks_write
from trustmend.model import JAVA_PASSWORD, JCEKS_PASSWORD, EntryKind, Kind, Loaded

ROOTS = [certificates.root(f"Root {number}") for number in range(4)]
ISSUING = certificates.intermediate(ROOTS[0])
LEAF = certificates.leaf(ISSUING)
AT = datetime(2026, 3, 1, 12, 30, 15, 678_999, tzinfo=timezone(timedelta(hours=2)))
MILLISECONDS = 1_772_361_015_678
NEW = [("trustmend-1", ROOTS[2].certificate), ("trustmend-ü-😀", ROOTS[3].certificate)]
OLD = [Item("a", ROOTS[0].der), Item("k", chain=[LEAF.der, ISSUING.der]), Item("größe", ROOTS[1].der)]


def entries(data: bytes, password: str = "changeit") -> list[tuple[str, EntryKind, str]]:
    """What our reader finds, in order; the store has to be one that a JVM loads with the password."""
    content = jks.read(data, password)
    view = JCEKS_PASSWORD if content.kind is Kind.JCEKS else JAVA_PASSWORD
    assert isinstance(content.views[view], Loaded), content
    assert not content.unverified
    return [(one_form(entry.alias or ""), entry.kind, entry.certificate.sha256) for entry in content.entries]


def one_form(alias: str) -> str:
    """Java writes the two halves of a character beyond the basic plane apart, and so we read them."""
    return alias.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def as_read(additions: Sequence[tuple[str, Certificate]]) -> list[tuple[str, EntryKind, str]]:
    return [(one_form(alias), EntryKind.CERTIFICATE, certificate.sha256) for alias, certificate in additions]


def names(additions: Sequence[tuple[str, Certificate]]) -> list[str]:
    return [alias for alias, _ in additions]


@pytest.mark.parametrize("magic", [JKS, JCEKS])
@pytest.mark.parametrize("version", [1, 2])
def test_it_is_what_a_jvm_would_have_written(magic: bytes, version: int) -> None:
    """Put together by hand from JavaKeyStore.engineStore, to the last byte."""
    old = build([Item("a", ROOTS[0].der)], magic=magic, version=version)

    after = jks_write.add(old, [("b", ROOTS[1].certificate)], "changeit", AT)

    made = build([Item("a", ROOTS[0].der), Item("b", ROOTS[1].der)], magic=magic, version=version)
    name, time = struct.pack(">i", 2) + text("b"), struct.pack(">q", MILLISECONDS)
    assert after[:-20] == made[:-20].replace(name + bytes(8), name + time)
    assert entries(after) == [
        ("a", EntryKind.CERTIFICATE, ROOTS[0].sha256),
        ("b", EntryKind.CERTIFICATE, ROOTS[1].sha256),
    ]


ALIASES = st.text(max_size=20).map(str.lower).filter(lambda alias: alias == alias.lower())
ADDITIONS = st.lists(
    st.tuples(ALIASES, st.sampled_from([made.certificate for made in (*ROOTS, LEAF)])),
    max_size=4,
    unique_by=lambda one: one_form(one[0]),
)
ITEMS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "größe", "k1", "k2", ""]), st.sampled_from([ROOTS[0].der, ROOTS[1].der])),
    max_size=5,
    unique_by=lambda one: one[0],
)


def store(items: Sequence[tuple[str, bytes]], magic: bytes, version: int, password: str, tail: bytes) -> bytes:
    """Those whose alias begins with k are keys."""
    made = [Item(a, d) if a[:1] != "k" else Item(a, chain=[LEAF.der, ISSUING.der]) for a, d in items]
    return build(made, magic=magic, version=version, password=password) + tail


STORES = st.tuples(
    ITEMS, st.sampled_from([JKS, JCEKS]), st.sampled_from([1, 2]), st.text(max_size=8), st.sampled_from([b"", b"more"])
)


@given(parts=STORES, first=ADDITIONS, second=ADDITIONS)
def test_old_entries_stay_and_what_is_added_can_be_taken_out_again(
    parts: tuple[list[tuple[str, bytes]], bytes, int, str, bytes],
    first: list[tuple[str, Certificate]],
    second: list[tuple[str, Certificate]],
) -> None:
    before, password = store(*parts), parts[3]
    taken = {alias for alias, _ in parts[0]}
    first = [one for one in first if one[0] not in taken]
    second = [one for one in second if one_form(one[0]) not in taken | {one_form(a) for a, _ in first}]
    tail = len(parts[4]) + 20

    once = jks_write.add(before, first, password, AT)
    twice = jks_write.add(once, second, password, AT)

    assert entries(once, password) == entries(before, password) + as_read(first)
    assert entries(twice, password) == entries(once, password) + as_read(second)
    assert twice[12:].startswith(before[12:-tail])
    assert twice.endswith(parts[4])
    assert jks_write.remove(twice, names(second), password) == once
    assert jks_write.remove(once, names(first), password) == before
    assert jks_write.remove(twice, names(first), password) == jks_write.add(before, second, password, AT)


@pytest.mark.parametrize(
    ("alias", "reason"),
    [("größe", "already"), ("Größe", "lower case"), ("k", "already"), ("hidden", "already"), ("ä" * 40_000, "80000"),
     ("trustmend-1", "already"), ("B", "lower case")],
)  # fmt: skip
def test_an_alias_that_cannot_be_is_refused(alias: str, reason: str) -> None:
    before = build([*OLD, Item("HIDDEN", ROOTS[2].der)])

    with pytest.raises(MalformedError, match=reason):
        jks_write.add(before, [NEW[0], (alias, ROOTS[2].certificate)], "changeit", AT)


def test_the_longest_alias() -> None:
    after = jks_write.add(build(OLD), [("a" * 0xFFFF, ROOTS[3].certificate)], "changeit", AT)

    assert len(entries(after)) == 5


def test_an_emoji_is_one_alias_however_it_is_written() -> None:
    before = build([Item("\ud83d\ude00", ROOTS[0].der)])

    with pytest.raises(MalformedError, match="already"):
        jks_write.add(before, [("😀", ROOTS[1].certificate)], "changeit", AT)
    assert jks_write.remove(before, ["😀"], "changeit") == build([])


def test_keys_and_what_hides_from_jvms_are_never_removed() -> None:
    before = build([*OLD, Item("HIDDEN", ROOTS[2].der)])

    assert jks_write.remove(before, ["hidden", "nothing", "HIDDEN"], "changeit") == before
    with pytest.raises(MalformedError, match="is a key"):
        jks_write.remove(before, ["a", "K"], "changeit")
    assert jks_write.remove(before, ["A"], "changeit") == build([*OLD[1:], Item("HIDDEN", ROOTS[2].der)])


def test_nothing_to_add_tells_whether_the_password_fits() -> None:
    assert jks_write.add(build(OLD), [], "changeit", AT) == build(OLD)
    with pytest.raises(MalformedError, match="password does not fit"):
        jks_write.add(build(OLD), [], "wrong", AT)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\x30\x03\x02\x01\x03",
        build(OLD)[:-1],
        build(OLD)[:-1] + b"\0",
        build(OLD)[:-400],
        build(OLD, count=2),
        build(OLD, count=4),
        build([], count=-1),
        build([Item("a", b"\x30\x03\x02\x01\x05")]),
        build([Item("a", ROOTS[0].der, form="PGP")]),
        build(OLD).replace(text("größe"), b"\0\7gr\xf0\x9f\x98\x80e"),
    ],
)
def test_a_damaged_store_is_never_written(broken: bytes) -> None:
    with pytest.raises(MalformedError):
        jks_write.add(broken, NEW, "changeit", AT)
    with pytest.raises(MalformedError):
        jks_write.remove(broken, ["a"], "changeit")


def test_a_text_that_no_jvm_reads_is_refused_even_with_a_digest_that_fits() -> None:
    emoji = "😀".encode()  # Java writes six octets for it
    whole = build([Item("aaaa", ROOTS[0].der)]).replace(b"\0\4aaaa", b"\0\4" + emoji)

    with pytest.raises(MalformedError, match="as Java writes it"):
        jks_write.add(signed(whole[:-20]), NEW, "changeit", AT)


def signed(body: bytes, password: str = "changeit") -> bytes:
    """A store's body with the digest that fits."""
    secret = password.encode("utf-16-be") + b"Mighty Aphrodite"
    return body + hashlib.sha1(secret + body, usedforsecurity=False).digest()


WHOLE = build(OLD)


@given(
    changes=st.lists(st.tuples(st.integers(0, len(WHOLE) - 21), st.integers(0, 255)), max_size=4),
    end=st.one_of(st.just(len(WHOLE) - 20), st.integers(0, len(WHOLE) - 20)),
    magic=st.sampled_from([JKS, JCEKS]),
)
@example(changes=[(15, 3)], end=len(WHOLE) - 20, magic=JCEKS)  # a secret key, where none is
def test_damage_under_a_good_digest_is_refused_or_kept(changes: list[tuple[int, int]], end: int, magic: bytes) -> None:
    body = bytearray(magic + WHOLE[4:-20])
    for place, value in changes:
        body[place] = value
    before = signed(bytes(body[:end]))

    try:
        after = jks_write.add(before, NEW, "changeit", AT)
    except MalformedError:
        return
    assert entries(after) == entries(before) + as_read(NEW)
    assert jks_write.remove(after, names(NEW), "changeit") == before


@given(st.binary(max_size=200), st.sampled_from([b"", JKS + b"\0\0\0\1", JKS + b"\0\0\0\2", JCEKS + b"\0\0\0\2"]))
def test_any_bytes_raise_nothing_else(data: bytes, head: bytes) -> None:
    with pytest.raises(MalformedError):
        jks_write.add(head + data, NEW, "changeit", AT)
    with pytest.raises(MalformedError):
        jks_write.remove(head + data, ["a"], "changeit")


@dataclass(frozen=True)
class Made:
    """A store that a keytool made, and what we made of it."""

    type: str
    path: Path
    password: str
    before: bytes
    after: bytes


BEYOND = "pässwörd€"


def commands(jdk: Jdk, folder: Path) -> list[Command]:
    """A JKS store, and all of it with a secret key in a JCEKS store whose password is beyond ASCII."""
    both = [folder / f"{jdk.version}.{kind}" for kind in ("JKS", "JCEKS")]
    to_jks, to_jceks = opened(both[0], kind="JKS"), opened(both[1], BEYOND, "JCEKS")
    key, hidden = ["-keyalg", "EC", "-dname", "CN=x"], ["-keyalg", "AES", "-keysize", "256", "-keypass", "changeit"]
    return [
        ("", ["-genkeypair", "-alias", "server", *key, *to_jks]),
        ("", ["-importcert", "-noprompt", "-alias", "größe", "-file", str(folder / "root.pem"), *to_jks]),
        ("", ["-genseckey", "-alias", "secret", *hidden, *to_jceks]),
        ("", copied(both[0], both[1], BEYOND, "JCEKS")),
        ("", ["-importcert", "-noprompt", "-alias", "x", "-file", str(folder / "root.pem"), *empty(jdk, folder)]),
        ("", ["-delete", "-alias", "x", *empty(jdk, folder)]),
    ]


def empty(jdk: Jdk, folder: Path) -> list[str]:
    return opened(folder / f"{jdk.version}.empty", kind="JKS")


@pytest.fixture(scope="session")
def made(jdks: list[Jdk], tmp_path_factory: pytest.TempPathFactory) -> list[Made]:
    folder = tmp_path_factory.mktemp("jks-write")
    (folder / "root.pem").write_bytes(ROOTS[0].pem)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda jdk: keytools.run(jdk, commands(jdk, folder)), jdks))
    found = []
    for jdk in jdks:
        for name, password in (("JKS", "changeit"), ("JCEKS", BEYOND), ("empty", "changeit")):
            path = folder / f"{jdk.version}.{name}"
            before = path.read_bytes()
            after = jks_write.add(before, NEW, password, datetime.now(UTC))
            path.write_bytes(after)
            found.append(Made("JCEKS" if name == "JCEKS" else "JKS", path, password, before, after))
    return found


@pytest.fixture(scope="session")
def lists(made: list[Made], jdks: list[Jdk]) -> Mapping[int, list[dict[str, Listed]]]:
    """What every keytool lists of every store that we wrote."""
    stores = [opened(one.path, one.password, one.type) for one in made]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda jdk: keytools.listed(jdk, stores), jdks))
    return {jdk.version: said for jdk, said in zip(jdks, found, strict=True)}


@pytest.mark.slow
@pytest.mark.needs("keytool")
def test_every_keytool_lists_old_and_new(made: list[Made], lists: Mapping[int, list[dict[str, Listed]]]) -> None:
    for said in lists.values():
        for one, by_alias in zip(made, said, strict=True):
            expected = {(alias, EntryKind.CERTIFICATE, sha256) for alias, _, sha256 in as_read(NEW)}
            expected |= set(entries(one.before, one.password))
            found = {alias: (each.kind, each.certificates) for alias, each in by_alias.items()}
            assert found.pop("secret", None) == (("SecretKeyEntry", ()) if one.type == "JCEKS" else None)
            assert found == {alias: (KINDS[kind], (sha256,)) for alias, kind, sha256 in expected}


KINDS = {EntryKind.CERTIFICATE: "trustedCertEntry", EntryKind.KEY: "PrivateKeyEntry"}


@pytest.mark.slow
@pytest.mark.needs("keytool")
def test_jvms_have_the_new_anchors_and_open_the_old_key(made: list[Made], jdks: list[Jdk]) -> None:
    holding = [one for one in made if entries(one.before, one.password)]
    assert len(holding) == 2 * len(jdks)
    for jdk in jdks:
        requests = [jvm.Request(str(one.path), one.password, type=one.type) for one in made]
        requests += [replace(request, password="wrong") for request in requests]
        answers = jvm.ask(jdk, requests)
        for one, answer, refused in zip(made, answers, answers[len(made) :], strict=False):
            old = {sha256 for _, _, sha256 in entries(one.before, one.password)}
            assert answer.issuers == {ROOTS[2].sha256, ROOTS[3].sha256} | old, (jdk, one.path)
            assert refused.error
        # The key of the JCEKS store came with its old password.
        words = [["-certreq", "-alias", "server", "-keypass", "changeit"] for _ in holding]
        stores = [opened(one.path, one.password, one.type) for one in holding]
        for said in keytools.run(jdk, [("", [*word, *store]) for word, store in zip(words, stores, strict=True)]):
            assert "BEGIN NEW CERTIFICATE REQUEST" in said


@pytest.mark.slow
@pytest.mark.needs("keytool")
def test_what_keytools_made_comes_back_to_the_byte(made: list[Made]) -> None:
    assert {one.type for one in made} == {"JKS", "JCEKS"}
    for one in made:
        assert one.after[12:].startswith(one.before[12:-20])
        assert entries(one.after, one.password) == entries(one.before, one.password) + as_read(NEW)
        assert jks_write.remove(one.after, names(NEW), one.password) == one.before
        for alias in [*(["server"] if len(one.before) > 32 else []), *(["secret"] if one.type == "JCEKS" else [])]:
            with pytest.raises(MalformedError, match="is a key"):
                jks_write.remove(one.after, [alias], one.password)
