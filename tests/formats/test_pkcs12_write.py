"""PKCS#12 stores with certificates added and removed again: by properties, and as openssl says."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12
from hypothesis import given
from hypothesis import strategies as st

import certificates
from certificates import element
from pkcs12_files import (
    BEYOND,
    EXPORTS,
    ISSUING,
    LEAF,
    NEW,
    ROOTS,
    cert,
    exported,
    in_ber,
    key,
    safe,
    secret,
    shown,
    store,
    store_in_ber,
    trusted,
)
from trustmend import der
from trustmend.certificate import Certificate
from trustmend.errors import MalformedError
from trustmend.formats import pkcs12, pkcs12_write, rc2
from trustmend.formats.pkcs12_crypto import UnknownAlgorithmError
from trustmend.model import EntryKind

NAMESAKE = certificates.root("Root 0", key="another")


def entries(content: bytes, password: str | None = None) -> list[tuple[str | None, EntryKind, str]]:
    found = pkcs12.read(content, password)
    assert (found.unverified, found.findings) == (False, ()), found
    return [(entry.alias, entry.kind, entry.certificate.sha256) for entry in found.entries]


def as_read(additions: Sequence[tuple[str, Certificate]]) -> list[tuple[str | None, EntryKind, str]]:
    return [(alias, EntryKind.CERTIFICATE, certificate.sha256) for alias, certificate in additions]


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=5), st.integers(0, 2), st.integers(0, 39))
def test_an_oid_is_read_as_it_is_written(arcs: list[int], first: int, second: int) -> None:
    dotted = ".".join(map(str, (first, second, *arcs)))

    assert der.whole(der.oid(dotted)).oid() == dotted


@given(st.binary(min_size=1, max_size=16), st.integers(1, 8), st.binary(min_size=8, max_size=8), st.binary(max_size=64))
def test_rc2_is_undone_by_its_opposite(secret_key: bytes, octets: int, start: bytes, text: bytes) -> None:
    whole = text[: len(text) // 8 * 8]

    assert (
        rc2.decrypt_cbc(secret_key, 8 * octets, start, rc2.encrypt_cbc(secret_key, 8 * octets, start, whole)) == whole
    )


ALIASES = st.sampled_from(["a", "B", "größe", "😀", "1", None])
BAGS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([trusted, cert]), st.sampled_from(ROOTS[:2]), ALIASES).map(
            lambda t: t[0](t[1], t[2])
        ),
        st.sampled_from([secret("s"), key("p", b"p"), key("q"), cert(LEAF, "p", b"p"), cert(LEAF), cert(ISSUING)]),
    ),
    max_size=4,
)
STORES = st.tuples(st.lists(BAGS, max_size=3).map(store), st.sampled_from([b"", b"more"])).map(b"".join)
ADDITIONS = st.lists(
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.sampled_from([made.certificate for made in (*ROOTS[1:], NAMESAKE, LEAF)]),
    ),
    max_size=3,
    unique_by=lambda one: one[0].lower(),
)


def prefixed(before: str, additions: Sequence[tuple[str, Certificate]]) -> list[tuple[str, Certificate]]:
    return [(before + alias, certificate) for alias, certificate in additions]


@given(before=STORES, first=ADDITIONS, second=ADDITIONS)
def test_old_parts_stay_and_what_is_added_can_be_taken_out_again(
    before: bytes, first: list[tuple[str, Certificate]], second: list[tuple[str, Certificate]]
) -> None:
    first, second = prefixed("x-", first), prefixed("Y-", second)
    inner = der.whole(der.read(before).listed(0x30)[1].listed(0x30)[1].first().content).content

    once = pkcs12_write.add(before, first, None)
    twice = pkcs12_write.add(once, second, "any password opens a store without one")

    assert entries(once) == entries(before) + as_read(first)
    assert entries(twice) == entries(once) + as_read(second)
    assert inner in once
    assert twice.endswith(before[der.read(before).end :])
    assert pkcs12_write.remove(twice, [alias.lower() for alias, _ in second], None) == once
    assert pkcs12_write.remove(once, [alias for alias, _ in first], None) == before
    assert pkcs12_write.remove(twice, [alias for alias, _ in first], None) == pkcs12_write.add(before, second, None)


@pytest.mark.parametrize(
    ("alias", "reason"),
    [("GRÖSSE", None), ("Größe", "already"), ("K", "already"), ("1", "already"), ("2", "already"), ("3", None),
     ("trustmend-1", "already"), ("", "0 characters"), ("a" * 255, None), ("a" * 256, "256 characters"),
     ("😀" * 128, "256 characters"), ("\ud83d", "no text"), ("unmarked", None)],
)  # fmt: skip
def test_an_alias_that_cannot_be_is_refused(alias: str, reason: str | None) -> None:
    """Entries without a name are numbered by the JVM, the secret key here as well."""
    before = store(
        [[secret(), key("k", b"x")], [trusted(ROOTS[0], "größe"), trusted(ROOTS[1])], [cert(LEAF, "unmarked")]]
    )

    if reason is None:
        assert len(entries(pkcs12_write.add(before, [(alias, ROOTS[2].certificate)], None))) == 4
    else:
        with pytest.raises(MalformedError, match=reason):
            pkcs12_write.add(before, [NEW[0], (alias, ROOTS[2].certificate)], None)


def test_keys_numbered_entries_and_plain_certificates_are_never_removed() -> None:
    before = store([[secret("s"), key("k", b"x")], [trusted(ROOTS[1]), cert(LEAF, "unmarked"), trusted(ROOTS[0], "A")]])

    assert pkcs12_write.remove(before, ["1", "unmarked", "nothing"], None) == before
    for alias in ("S", "k"):
        with pytest.raises(MalformedError, match="is a key"):
            pkcs12_write.remove(before, ["a", alias], None)
    assert pkcs12_write.remove(before, ["a"], None) == store(
        [[secret("s"), key("k", b"x")], [trusted(ROOTS[1]), cert(LEAF, "unmarked")]]
    )


def mac_data(content: bytes, password: str, rounds: int = 3) -> bytes:
    """MacData of RFC 9579, always made in three rounds: PBMAC1 with PBKDF2 and HMAC-SHA-256."""
    prf = element(0x30, der.oid("1.2.840.113549.2.9"), b"\x05\x00")
    number = element(0x02, rounds.to_bytes(rounds.bit_length() // 8 + 1, "big"))
    derivation = element(0x30, element(0x04, b"eight by"), number, b"\x02\x01\x20", prf)
    parameters = element(0x30, element(0x30, der.oid("1.2.840.113549.1.5.12"), derivation), prf)
    algorithm = element(0x30, der.oid("1.2.840.113549.1.5.14"), parameters)
    made = hmac.digest(hashlib.pbkdf2_hmac("sha256", password.encode(), b"eight by", 3, 32), content, "sha256")
    return element(0x30, element(0x30, algorithm, element(0x04, made)), element(0x04, b"NOT USED"))


@pytest.mark.parametrize("password", ["changeit", BEYOND])
def test_the_newer_integrity_check_is_made_anew_as_openssl_checks_it(password: str) -> None:
    """By the OpenSSL that the cryptography package brings; no JVM knows it yet."""
    parts = [[cert(LEAF, "leaf"), trusted(ROOTS[0], "a")]]
    before = store(parts, mac_data(safe(parts), password))
    assert len(load_pkcs12(before, password.encode()).additional_certs) == 2

    after = pkcs12_write.add(before, NEW, password)

    assert len(load_pkcs12(after, password.encode()).additional_certs) == 4
    with pytest.raises(ValueError, match="password"):
        load_pkcs12(after, b"wrong")
    assert b"eight by" not in after
    with pytest.raises(MalformedError, match="does not fit"):
        pkcs12_write.add(before, NEW, "wrong")


def test_too_many_rounds_are_refused() -> None:
    before = store([], mac_data(safe([]), "changeit", 2_000_000))

    with pytest.raises(UnknownAlgorithmError, match="2000000 rounds"):
        pkcs12_write.add(before, NEW, "changeit")


def test_parts_of_open_length_stay_as_they_are() -> None:
    parts = [[trusted(ROOTS[0], "a")], [trusted(ROOTS[1], "b"), cert(LEAF)]]
    before = store_in_ber(parts) + b"more"

    after = pkcs12_write.add(before, NEW, None)

    assert entries(after) == entries(before) + as_read(NEW)
    assert in_ber(safe(parts))[2:-2] in after
    assert after.endswith(b"more")
    assert entries(pkcs12_write.remove(after, ["b", "trustmend-1"], None)) == [
        entry for entry in entries(after) if entry[0] not in ("b", "trustmend-1")
    ]


SHAPES: Mapping[str, bytes] = {
    "plain": store([[trusted(ROOTS[0], "a"), cert(ROOTS[1], "b")], [trusted(ROOTS[1], "c"), key("k", b"x")]]),
    "in BER": store_in_ber([[trusted(ROOTS[0], "a")], [key("k")]]),
    "checked": store([[trusted(ROOTS[0], "a")]], mac_data(safe([[trusted(ROOTS[0], "a")]]), "changeit")),
}


@given(
    shape=st.sampled_from(list(SHAPES)),
    changes=st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 255)), max_size=4),
    end=st.one_of(st.none(), st.integers(0, 3000)),
    password=st.sampled_from([None, "changeit", ""]),
)
def test_damage_is_refused_or_kept(
    shape: str, changes: list[tuple[int, int]], end: int | None, password: str | None
) -> None:
    broken = bytearray(SHAPES[shape])
    for place, value in changes:
        broken[place % len(broken)] = value
    before = bytes(broken[:end])

    try:
        pkcs12_write.remove(before, ["a", "trustmend-1"], password)
        after = pkcs12_write.add(before, NEW, password)
    except MalformedError:
        return
    old, new = (pkcs12.read(each, password).entries for each in (before, after))
    assert [entry.certificate for entry in new] == [entry.certificate for entry in old] + [one for _, one in NEW]


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x30\x80", b"\x30\x81\x40\x02\x01\x03\x30"]))
def test_any_bytes_raise_nothing_else(content: bytes, head: bytes) -> None:
    for password in (None, "changeit"):
        with pytest.raises(MalformedError):
            pkcs12_write.add(head + content, NEW, password)
        with pytest.raises(MalformedError):
            pkcs12_write.remove(head + content, ["a"], password)


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("password", ["changeit", "", BEYOND])
def test_openssl_finds_old_and_new_under_the_same_protection(name: str, password: str, tmp_path: Path) -> None:
    before = exported(tmp_path, *EXPORTS[name].split(), password=password)

    after = pkcs12_write.add(before, NEW, password)

    old, new = shown(before, tmp_path, password), shown(after, tmp_path, password)
    assert (len(old.keys), len(old.certificates)) == (1, 3)
    assert new.keys == old.keys
    assert new.certificates == old.certificates + [certificate.sha256 for _, certificate in NEW]
    parts = [line for line in old.protection if line.startswith("PKCS7")]
    checks = [line for line in old.protection if line.startswith("MAC")]
    assert new.protection == [*checks, *parts, parts[0]], "certificates come first in what openssl writes"
    assert entries(after, password) == entries(before, password) + as_read(NEW)
    assert entries(pkcs12_write.remove(after, [alias for alias, _ in NEW], password), password) == entries(
        before, password
    )
    if name != "open, no check":
        for other in ("wrong", None):
            with pytest.raises(MalformedError, match="password"):
                pkcs12_write.add(before, NEW, other)


@pytest.mark.needs("openssl")
def test_salts_are_never_used_twice(tmp_path: Path) -> None:
    before = exported(tmp_path, "-noiter", "-nomaciter")

    first, second = (pkcs12_write.add(before, NEW, "changeit") for _ in range(2))

    assert len(first) == len(second)
    new = len(before) - 100
    assert sum(a == b for a, b in zip(first[new:], second[new:], strict=True)) < (len(first) - new) * 0.2


@pytest.mark.needs("openssl")
def test_nothing_to_add_or_remove_leaves_every_byte(tmp_path: Path) -> None:
    before = exported(tmp_path)

    assert pkcs12_write.add(before, [], "changeit") == before
    assert pkcs12_write.remove(before, ["nothing"], "changeit") == before
    with pytest.raises(MalformedError, match="password does not fit"):
        pkcs12_write.add(before, [], "wrong")
