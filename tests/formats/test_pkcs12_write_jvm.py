"""PKCS#12 stores with certificates added and removed again, as every keytool and JVM says.

What `add` and `remove` have to give is put together here by hand, and JVMs say what they make of both; so where we
refuse, and where we do not, is theirs to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import certificates
import jvm
import keytools
from hosts.machine import Jdk
from keystores import Listed
from keytools import Command, copied, opened
from pkcs12_files import (
    BEYOND,
    EXPORTS,
    FOR_JVMS,
    ISSUING,
    LEAF,
    NEW,
    PLAIN_KEY,
    ROOTS,
    Parts,
    bag,
    cert,
    exported,
    key,
    secret,
    shown,
    store,
    store_in_ber,
    trusted,
)
from trustmend.certificate import Certificate
from trustmend.errors import MalformedError
from trustmend.formats import pkcs12_write

pytestmark = [pytest.mark.slow, pytest.mark.needs("keytool", "openssl")]
NEW_ALIASES = [alias for alias, _ in NEW]
NAMESAKE = certificates.root("Root 0", key="another")


def anchored(additions: Sequence[tuple[str, Certificate]]) -> dict[str, Listed]:
    return {alias.lower(): Listed(alias.lower(), "trustedCertEntry", (one.sha256,)) for alias, one in additions}


@dataclass
class Case:
    """A store that a JVM has made, or we by hand, and what we make of it."""

    path: Path  # as it was; beside it "...-new" and so on
    password: str = "changeit"
    keys: Sequence[str] = ()
    kind: str = ""
    writer: Jdk | None = None
    lists: dict[tuple[str, int], dict[str, Listed]] = field(default_factory=dict)
    requests: dict[int, str] = field(default_factory=dict)

    def at(self, suffix: str) -> Path:
        return Path(f"{self.path}{suffix}")

    def data(self, suffix: str = "") -> bytes:
        return self.at(suffix).read_bytes()


NONE = "keystore.pkcs12.certProtectionAlgorithm=NONE"
KINDS = {  # the properties under which a keytool writes it
    "usual": "",
    "password-less": f"{NONE} keystore.pkcs12.macAlgorithm=NONE",
    "check only": NONE,
    "old": "keystore.pkcs12.legacy",
    "beyond ASCII": "",
    "empty": "",
    "empty, old": "keystore.pkcs12.legacy",
    "empty, password-less": f"{NONE} keystore.pkcs12.macAlgorithm=NONE",
}
BY_EVERY_JDK = ("usual", "password-less", "old")  # the rest by the newest: each JVM costs seconds


def creation(jdk: Jdk, kinds: Collection[str], folder: Path) -> tuple[list[Case], list[Command]]:
    """One store of each kind and the commands that make it: a key with its chain, another, a secret key, a root."""
    full = folder / f"{jdk.version}-usual"
    root = ["-importcert", "-noprompt", "-file", str(folder / "root.pem"), "-alias"]
    commands: list[Command] = [
        ("", copied(folder / "seed", full)),
        ("", [*root, "größe", *opened(full)]),
        ("", ["-genkeypair", "-alias", "own", "-dname", "CN=own", "-keyalg", "EC", *opened(full)]),
        ("", ["-genseckey", "-alias", "hidden", "-keyalg", "AES", "-keysize", "128", *opened(full)]),
    ]
    cases = []
    for kind in kinds:
        properties = KINDS[kind]
        case = Case(folder / f"{jdk.version}-{kind.replace(' ', '-')}", kind=kind, writer=jdk)
        if kind == "beyond ASCII":
            case.password = BEYOND
        if kind.startswith("empty"):
            commands += [
                (properties, [*root, "x", *opened(case.path)]),
                (properties, ["-delete", "-alias", "x", *opened(case.path)]),
            ]
        else:
            case.keys = ("key",)
        if case.keys and case.path != full:
            commands.append((properties, copied(full, case.path, case.password)))
        cases.append(case)
    return cases, commands


@pytest.fixture(scope="session")
def made(jdks: list[Jdk], tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """Stores of every kind by every JDK and openssl; each with certificates added, written anew by a JVM since,
    and with ours removed again; and what every keytool lists of all these."""
    folder = tmp_path_factory.mktemp("pkcs12-write")
    (folder / "seed").write_bytes(exported(folder, "-noiter", "-nomaciter"))
    (folder / "root.pem").write_bytes(ROOTS[1].pem)
    new = {jdk: creation(jdk, KINDS if jdk is jdks[-1] else BY_EVERY_JDK, folder) for jdk in jdks}
    at_once(jdks, lambda jdk: keytools.run(jdk, new[jdk][1]))
    cases = [case for cases, _ in new.values() for case in cases]
    for number, name in enumerate(FOR_JVMS):
        cases.append(Case(folder / f"openssl-{name.replace(' ', '-')}", keys=("key",), kind="openssl"))
        cases[-1].writer = jdks[number % len(jdks)]
        cases[-1].path.write_bytes(exported(folder, *EXPORTS[name].split()))
    for case in cases:
        case.at("-new").write_bytes(pkcs12_write.add(case.data(), NEW, case.password))
        case.at("-later").write_bytes(case.data("-new"))
    at_once(jdks, lambda jdk: keytools.run(jdk, rewriting(jdk, cases, folder)))
    for case in cases:
        case.at("-gone").write_bytes(pkcs12_write.remove(case.data("-later"), NEW_ALIASES, case.password))
    at_once(jdks, lambda jdk: ask_all(jdk, cases))
    return cases


def at_once(jdks: Sequence[Jdk], work: Callable[[Jdk], object]) -> None:
    """Do it for all JDKs at the same time."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, jdks))


def rewriting(jdk: Jdk, cases: Sequence[Case], folder: Path) -> list[Command]:
    """The commands by which a keytool adds one more root to its stores, and so writes all of them anew."""
    root = ["-importcert", "-noprompt", "-file", str(folder / "root.pem"), "-alias", "later"]
    later = [case for case in cases if case.writer == jdk]
    return [("", [*root, *opened(case.at("-later"), case.password)]) for case in later]


def ask_all(jdk: Jdk, cases: Sequence[Case], suffixes: Sequence[str] = ("", "-new", "-gone")) -> None:
    """What one keytool lists of all stores that it can open, and its certificate requests by every key in them."""
    readable = readable_by(jdk, cases)
    pairs = [(case, suffix) for case in readable for suffix in suffixes if suffix != "-gone" or case.writer == jdk]
    asked = [(case, alias) for case in readable for alias in case.keys]
    lists = [["-list", "-rfc", *opened(case.at(suffix), case.password)] for case, suffix in pairs]
    requests = [["-certreq", "-alias", alias, *opened(case.at("-new"), case.password)] for case, alias in asked]
    said = keytools.run(jdk, [("", words) for words in (*lists, *requests)])
    for (case, suffix), entries in zip(pairs, said, strict=False):
        case.lists[suffix, jdk.version] = keytools.parsed(entries)
    for (case, _), request in zip(asked, said[len(pairs) :], strict=True):
        case.requests[jdk.version] = case.requests.get(jdk.version, "") + request


def readable_by(jdk: Jdk, cases: Sequence[Case]) -> list[Case]:
    """JDK 17 writes and opens no PKCS#12 file with a password beyond ASCII ("Password is not ASCII")."""
    return [case for case in cases if case.password.isascii() or jdk.version > 17]


def test_every_keytool_lists_old_and_new(made: list[Case], jdks: list[Jdk]) -> None:
    assert {case.kind for case in made} == {*KINDS, "openssl"}
    for case in made:
        for jdk in (jdk for jdk in jdks if ("", jdk.version) in case.lists):
            old, new = case.lists["", jdk.version], case.lists["-new", jdk.version]
            assert len(old) == (0 if case.kind.startswith("empty") else 1 if case.kind == "openssl" else 4), case.path
            assert new == old | anchored(NEW), (case.path, jdk)


def test_every_keytool_still_opens_every_key(made: list[Case]) -> None:
    for case in made:
        assert len(case.requests) >= bool(case.keys)
        for said in case.requests.values():
            assert said.count("BEGIN NEW CERTIFICATE REQUEST") == len(case.keys), case.path


def test_ours_can_be_removed_from_what_a_jvm_has_written_anew(made: list[Case]) -> None:
    later = anchored([("later", ROOTS[1].certificate)])
    for case in made:
        assert case.writer is not None
        version = case.writer.version
        assert case.lists["-gone", version] == case.lists["", version] | later, case.path


def test_jvms_have_the_new_anchors(made: list[Case], jdks: list[Jdk]) -> None:
    added = {certificate.sha256 for _, certificate in NEW}
    for jdk in jdks:
        cases = readable_by(jdk, made)
        requests = [
            jvm.Request(str(case.at(suffix)), password, type="PKCS12")
            for case in cases
            for password in (case.password, None)
            for suffix in ("", "-new")
        ]
        answers = iter(jvm.ask(jdk, requests))
        for case in cases:
            old, new, old_open, new_open = (next(answers) for _ in range(4))
            assert not old.error + new.error, (case.path, old, new)
            assert new.issuers == old.issuers | added, (case.path, jdk)
            without = NONE in KINDS.get(case.kind, "") and (not case.kind.startswith("empty") or "less" in case.kind)
            is_open = without or "open" in case.path.name.removeprefix("openssl")
            assert new_open.issuers == old_open.issuers | (added if is_open else set()), (case.path, jdk)


def test_an_empty_password_is_one(jdks: list[Jdk], tmp_path: Path) -> None:
    """openssl and JVMs write it in two forms, and either reads both."""
    requests = []
    for name in ("usual", "old", "certificates open"):
        for suffix, additions in (("", NEW[:0]), ("-new", NEW)):
            path = tmp_path / f"{name}{suffix}"
            path.write_bytes(pkcs12_write.add(exported(tmp_path, *EXPORTS[name].split(), password=""), additions, ""))
            requests.append(jvm.Request(str(path), "", type="PKCS12"))

    old, added = {LEAF.sha256}, {certificate.sha256 for _, certificate in NEW}
    for jdk in jdks:
        assert [answer.issuers for answer in jvm.ask(jdk, requests)] == [old, old | added] * 3


def test_what_keytools_made_keeps_its_protection(made: list[Case], tmp_path: Path) -> None:
    """An empty store has none to keep for certificates: the old way where its check is of the old kind."""
    for case in made:
        if case.kind == "openssl":
            continue
        old, new, later = (shown(case.data(suffix), tmp_path, case.password) for suffix in ("", "-new", "-later"))
        assert len(later.protection) <= len(new.protection), "a JVM puts all certificates into one part"
        assert new.keys == old.keys
        assert new.certificates == old.certificates + [certificate.sha256 for _, certificate in NEW]
        assert new.protection[: len(old.protection)] == old.protection
        (added,) = new.protection[len(old.protection) :]
        if not case.kind.startswith("empty"):
            assert added == old.protection[-1], case.path
        elif case.kind == "empty":
            assert "AES-256-CBC, Iteration 10000, PRF hmacWithSHA256" in added
        else:
            assert ("pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 50000" in added) == ("old" in case.kind)


BY_NAME = certificates.leaf(ISSUING, "by-name", aki=False)
WITHOUT_ID = certificates.intermediate(ROOTS[0], ski=False)
ORPHAN = certificates.root("Test Issuing CA", key="stolen name")
TWIN = certificates.cross(ISSUING, ROOTS[1])
X = b"x"
UNKNOWN = bag("1.2.3", b"\x05\x00", None, None)
ADDED: Mapping[str, tuple[Parts, certificates.Made]] = {
    "another root": ([[key("k", X)], [cert(LEAF, "k", X), cert(ISSUING), cert(ROOTS[0])]], ROOTS[1]),
    "the chain's own root": ([[key("k", X)], [cert(LEAF, "k", X), cert(ISSUING), cert(ROOTS[0])]], ROOTS[0]),
    "its issuing CA again": ([[key("k", X)], [cert(LEAF, "k", X), cert(ISSUING), cert(ROOTS[0])]], ISSUING),
    "the root that the chain lacks": ([[key("k", X)], [cert(LEAF, "k", X), cert(ISSUING)]], ROOTS[0]),
    "the issuing CA that it lacks": ([[key("k", X)], [cert(LEAF, "k", X)]], ISSUING),
    "a namesake of the root": ([[key("k", X)], [cert(LEAF, "k", X), cert(ISSUING)]], NAMESAKE),
    "a key without an id": ([[key("k")], [cert(LEAF), cert(ISSUING)]], ROOTS[1]),
    "a key without an id, and the root": ([[key("k")], [cert(LEAF), cert(ISSUING)]], ROOTS[0]),
    "a lonely key without an id": ([[key("k")]], ROOTS[1]),
    "two keys without an id": ([[key("k"), key("l")], [cert(LEAF), cert(ISSUING), cert(ROOTS[0])]], ROOTS[1]),
    "the leaf itself": ([[key("k")], [trusted(ROOTS[1], "a")]], LEAF),
    "a key behind its chain": ([[cert(LEAF, "k", X), cert(ISSUING)], [key("k", X)]], ROOTS[0]),
    "a leaf by its alias": ([[key("k", X)], [cert(LEAF, "K"), cert(ISSUING)]], ROOTS[1]),
    "issuer by name": ([[key("k", X)], [cert(BY_NAME, "k", X), cert(ORPHAN)]], ISSUING),
    "issuer by name, the first": ([[key("k", X)], [cert(BY_NAME, "k", X)]], ORPHAN),
    "a better issuer": ([[key("k", X)], [cert(LEAF, "k", X), cert(WITHOUT_ID), cert(ROOTS[0])]], ISSUING),
    "the issuer's cross-sign": ([[key("k", X)], [cert(LEAF, "k", X), cert(ISSUING), cert(ROOTS[0])]], TWIN),
    "an issuer that is trusted": ([[key("k", X)], [cert(LEAF, "k", X)], [trusted(ISSUING, "i")]], ROOTS[1]),
    "a key that is not encrypted": ([[key("k", X, PLAIN_KEY)], [cert(LEAF, "k", X), cert(ISSUING)]], ROOTS[0]),
    "secrets and no names": ([[secret(), secret("s")], [trusted(ROOTS[0]), trusted(ROOTS[1])]], ROOTS[2]),
    "an unknown bag first": ([[key("k")], [UNKNOWN, cert(LEAF), cert(ISSUING)]], ROOTS[0]),
    "one alias twice": ([[trusted(ROOTS[0], "a"), trusted(ROOTS[1], "A")]], ROOTS[2]),
    "a key that a certificate hides": ([[key("a", X)], [cert(LEAF, "a", X), trusted(ROOTS[1], "A")]], ISSUING),
}  # fmt: skip
REFUSED = {
    "the root that the chain lacks", "the issuing CA that it lacks", "a key without an id, and the root",
    "a key behind its chain", "issuer by name, the first", "a better issuer",
}  # fmt: skip
REMOVED: Mapping[str, tuple[Parts, Parts]] = {  # and what is left without `a`
    "alone in its part": ([[trusted(ROOTS[1], "b")], [trusted(ROOTS[0], "A")]], [[trusted(ROOTS[1], "b")]]),
    "all there is": ([[trusted(ROOTS[0], "a")]], []),
    "one of two": ([[trusted(ROOTS[0], "a"), trusted(ROOTS[1], "b")]], [[trusted(ROOTS[1], "b")]]),
    "twice": ([[trusted(ROOTS[0], "a"), trusted(ROOTS[1], "b")], [trusted(ROOTS[2], "a")]], [[trusted(ROOTS[1], "b")]]),
    "the root of a chain, too": (
        [[key("k", X)], [trusted(ROOTS[0], "a"), cert(LEAF, "k", X), cert(ISSUING), cert(ROOTS[0])]],
        [[key("k", X)], [cert(LEAF, "k", X), cert(ISSUING), cert(ROOTS[0])]],
    ),
    "before a trusted one": (
        [[key("k")], [cert(LEAF)], [trusted(ROOTS[0], "a"), trusted(ROOTS[1], "b")]],
        [[key("k")], [cert(LEAF)], [trusted(ROOTS[1], "b")]],
    ),
    "before a leaf that nobody finds": (
        [[key("k")], [trusted(ROOTS[0], "a"), cert(LEAF), cert(ISSUING)]],
        [[key("k")], [cert(LEAF), cert(ISSUING)]],
    ),
    "needed by a chain": (
        [[key("k", X)], [cert(LEAF, "k", X)], [trusted(ISSUING, "a")]],
        [[key("k", X)], [cert(LEAF, "k", X)]],
    ),
    "in front of a key": ([[key("a", X)], [trusted(ROOTS[0], "a")]], [[key("a", X)]]),
}  # fmt: skip
NOT_REMOVED = {"before a leaf that nobody finds", "needed by a chain", "in front of a key"}


@pytest.fixture(scope="session")
def by_hand(jdks: list[Jdk], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Case]:
    """The stores of both tables, and beside each what would come of it, as every keytool lists them."""
    folder = tmp_path_factory.mktemp("by-hand")
    cases = {}
    wanted: dict[str, tuple[Parts, Parts]] = dict(REMOVED)
    wanted |= {name: (parts, [*parts, [trusted(one, "trustmend-1")]]) for name, (parts, one) in ADDED.items()}
    for number, (name, (before, after)) in enumerate(wanted.items()):
        case = cases[name] = Case(folder / str(number))
        case.path.write_bytes(store(before))
        case.at("-new").write_bytes(store(after))
    ber = cases["in BER"] = Case(folder / "ber")
    ber.path.write_bytes(store_in_ber([[trusted(ROOTS[0], "a")], [key("k")]]))
    ber.at("-new").write_bytes(pkcs12_write.add(ber.data(), NEW, None))
    at_once(jdks, lambda jdk: ask_all(jdk, list(cases.values()), ["", "-new"]))
    return cases


@pytest.mark.parametrize("name", ADDED)
def test_what_would_change_an_old_entry_is_refused_and_nothing_else(
    name: str, by_hand: Mapping[str, Case], jdks: list[Jdk]
) -> None:
    case, one = by_hand[name], ADDED[name][1].certificate
    addition = [("trustmend-1", one)]

    for jdk in jdks:
        changed = case.lists["-new", jdk.version] != case.lists["", jdk.version] | anchored(addition)
        assert changed == (name in REFUSED), (jdk, case.lists)
    if name in REFUSED:
        with pytest.raises(MalformedError, match="chain of the key `k`"):
            pkcs12_write.add(case.data(), addition, None)
    else:
        assert pkcs12_write.add(case.data(), addition, None) == case.data("-new")


@pytest.mark.parametrize("name", REMOVED)
def test_what_would_change_another_entry_is_not_removed(
    name: str, by_hand: Mapping[str, Case], jdks: list[Jdk]
) -> None:
    case = by_hand[name]

    for jdk in jdks:
        rest = {alias: one for alias, one in case.lists["", jdk.version].items() if alias != "a"}
        assert (case.lists["-new", jdk.version] != rest) == (name in NOT_REMOVED), (jdk, case.lists)
    if name in NOT_REMOVED:
        with pytest.raises(MalformedError, match=r"chain of the key|other entries"):
            pkcs12_write.remove(case.data(), ["a"], None)
    else:
        assert pkcs12_write.remove(case.data(), ["a"], None) == case.data("-new")


def test_jvms_read_parts_of_both_forms_side_by_side(by_hand: Mapping[str, Case], jdks: list[Jdk]) -> None:
    for jdk in jdks:
        lists = by_hand["in BER"].lists
        assert len(lists["", jdk.version]) == 2
        assert lists["-new", jdk.version] == lists["", jdk.version] | anchored(NEW)
