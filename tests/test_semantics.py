"""Stores of every questionable kind: what each reader makes of them, said by us and by the real readers.

A verdict is right if the real reader agrees: `trusted` means that it accepts a server that sends what servers normally
send, `conditional` that it accepts one only with the cross-sign, the others that it accepts neither.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from authority import Authority, Served, bundle, make, serve
from certificates import Made, bundle_pem
from hosts.machine import Guest, Interpreter
from readers import ask
from readers.ask import Question
from trustmend.audit import Judged, judge
from trustmend.certificate import name_hash
from trustmend.host import Host
from trustmend.model import Family, Location, Use, Verdict
from trustmend.stores import Reading, read_stores

T, C, U, D = Verdict.TRUSTED, Verdict.CONDITIONAL, Verdict.UNTRUSTED, Verdict.DISTRUSTED
NOW = datetime.now(UTC)
WITHOUT_PARTIAL_CHAIN = ("openssl-3", "python-3.12")
PARTIAL_CHAIN = ("python-3.13", "curl")
PEM_READERS = (*WITHOUT_PARTIAL_CHAIN, *PARTIAL_CHAIN)


@dataclass(frozen=True, slots=True)
class Row:
    """A store that `plant` writes at a given path, and the verdict of readers without and with partial chains."""

    name: str
    plant: Callable[[Authority, str], None]
    without: Verdict
    partial: Verdict
    findings: frozenset[str] = frozenset()


def pem(*parts: str | bytes) -> Callable[[Authority, str], None]:
    """A file of these certificates, by their names in the authority, and of these bytes."""

    def plant(authority: Authority, path: str) -> None:
        with open(path, "wb") as file:
            for part in parts:
                file.write(part if isinstance(part, bytes) else getattr(authority, part).pem)

    return plant


def trusted_block(first: str, option: str, *rest: str) -> Callable[[Authority, str], None]:
    """A TRUSTED CERTIFICATE block of one certificate, made by openssl, among plain ones; the block's place is `+`."""

    def plant(authority: Authority, path: str) -> None:
        made: Made = getattr(authority, first)
        arguments = ["openssl", "x509", f"-add{option}", "serverAuth", "-trustout"]
        block = subprocess.run(arguments, input=made.pem, capture_output=True, check=True).stdout
        pem(*(block if part == "+" else part for part in rest))(authority, path)

    return plant


def folder(*links: tuple[str, str]) -> Callable[[Authority, str], None]:
    """A folder of (file name, certificate); `HASH.0` in a name stands for the certificate's hash link."""

    def plant(authority: Authority, path: str) -> None:
        os.mkdir(path)
        for name, member in links:
            made: Made = getattr(authority, member)
            with open(os.path.join(path, name.replace("HASH", name_hash(made.certificate))), "wb") as file:
                file.write(made.pem)

    return plant


def damaged(authority: Authority, path: str) -> None:
    """The root, and behind it a block that was cut off."""
    with open(path, "wb") as file:
        file.write(authority.new.pem + authority.stranger.pem[:200] + b"\n-----END CERTIFICATE-----\n")


def der(authority: Authority, path: str) -> None:
    """The root as bare DER."""
    with open(path, "wb") as file:
        file.write(authority.new.der)


ROWS = (
    Row("root", pem("new"), T, T),
    Row("issuing CA only", pem("issuing"), U, T, frozenset({"anchored-at-non-root"})),
    Row("cross-sign only", pem("cross"), U, T, frozenset({"anchored-at-non-root", "ends"})),
    Row("old root only", pem("old"), C, C, frozenset({"ends"})),
    Row("old root and cross-sign", pem("old", "cross"), T, T, frozenset({"anchored-at-non-root", "ends"})),
    Row("cross-sign before the root", pem("cross", "new"), U, T,
        frozenset({"order-dependent", "anchored-at-non-root", "ends"})),
    Row("root before the cross-sign", pem("new", "cross"), T, T),
    Row("expired root and its cross-sign", pem("expired", "crossed_by_expired", "new"), T, T,
        frozenset({"expired-sibling"})),
    Row("cross-sign by an expired root first", pem("crossed_by_expired", "new"), T, T, frozenset({"expired-sibling"})),
    Row("expired root only", pem("expired"), U, U, frozenset({"expired-sibling"})),
    Row("a stranger", pem("stranger"), U, U),
    Row("empty", pem(), U, U, frozenset({"refused-by-reader"})),
    Row("text", pem(b"no certificate here\n"), U, U, frozenset({"refused-by-reader"})),
    Row("DER", der, U, U, frozenset({"refused-by-reader"})),
    Row("root before a broken block", damaged, U, U, frozenset({"refused-by-reader", "bad-entry"})),
    Row("rejected first", trusted_block("new", "reject", "+", "new"), D, D),
    Row("rejected behind a plain copy", trusted_block("new", "reject", "new", "+"), T, T),
    Row("trusted issuing CA", trusted_block("issuing", "trust", "+"), T, T, frozenset({"anchored-at-non-root"})),
    Row("folder: root by its link", folder(("HASH.0", "new")), T, T),
    Row("folder: root without a link", folder(("new.pem", "new")), U, U, frozenset({"no-hash-link", "reads-less"})),
    Row("folder: root only as .1", folder(("HASH.1", "new")), U, U, frozenset({"no-hash-link"})),
    Row("folder: cross-sign .0, root .1", folder(("HASH.0", "cross"), ("HASH.1", "new")), U, T,
        frozenset({"order-dependent", "anchored-at-non-root", "ends"})),
    Row("folder: old root", folder(("HASH.0", "old")), C, C, frozenset({"ends"})),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Planted:
    """The rows' stores on disk, and the vendor's server."""

    authority: Authority
    served: Served
    paths: Mapping[str, str]
    folder: str

    def judged(self, row: Row, *readers: str) -> Judged:
        """Our verdict for these readers."""
        uses = tuple(Use(reader, "a test") for reader in readers)
        where = Location(self.paths[row.name], Family.CUSTOM, uses=uses, named=True, by_user=True)
        (store,) = read_stores(Host(), [where], Reading())
        return judge(store, [bundle(self.authority)], NOW)

    def questions(self, row: Row) -> tuple[Question, Question]:
        """With what the server normally sends, and with the cross-sign."""
        store, served = self.paths[row.name], self.served
        return Question(store, served.normal, served.key), Question(store, served.crossed, served.key)


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    top = tmp_path_factory.mktemp("semantics")
    authority = make()
    paths = {}
    for number, row in enumerate(ROWS):
        paths[row.name] = str(top / f"store-{number}")
        row.plant(authority, paths[row.name])
    return Planted(authority, serve(authority, top), paths, str(top))


all_rows = pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])


def agrees(verdict: Verdict, normal: str, crossed: str) -> bool:
    """Whether a real reader's two answers are what the verdict says."""
    accepts = (not normal, not crossed)
    match verdict:
        case Verdict.TRUSTED:
            return accepts == (True, True)
        case Verdict.CONDITIONAL:
            return accepts == (False, True)
        case _:
            return accepts == (False, False)


@all_rows
@pytest.mark.needs("openssl")
def test_our_verdicts(planted: Planted, row: Row) -> None:
    judged = planted.judged(row, *PEM_READERS)

    expected = dict.fromkeys(WITHOUT_PARTIAL_CHAIN, row.without) | dict.fromkeys(PARTIAL_CHAIN, row.partial)
    assert {r.reader: r.verdict for r in judged.chains[0].readers} == expected
    ours = {f.code for f in judged.findings} - {"expired"}
    assert ours == row.findings
    assert judged.chains[0].reason


@all_rows
def test_a_store_without_known_readers_is_judged_as_openssl(planted: Planted, row: Row) -> None:
    assert planted.judged(row).verdict is row.without


@all_rows
@pytest.mark.needs("openssl")
def test_openssl_agrees(planted: Planted, row: Row) -> None:
    normal, crossed = (ask.openssl_verify(q) for q in planted.questions(row))

    assert agrees(row.without, normal, crossed), (normal, crossed)


@all_rows
@pytest.mark.needs("openssl")
def test_openssl_with_partial_chains_agrees(planted: Planted, row: Row) -> None:
    normal, crossed = (ask.openssl_verify(q, "-partial_chain") for q in planted.questions(row))

    assert agrees(row.partial, normal, crossed), (normal, crossed)


def disagreeing(column: str, answers: Sequence[str]) -> list[tuple[str, str, str]]:
    """The rows whose verdict two answers each, in the order of the rows, contradict."""
    pairs = zip(ROWS, answers[::2], answers[1::2], strict=True)
    return [(row.name, one, two) for row, one, two in pairs if not agrees(getattr(row, column), one, two)]


def test_pythons_agree(planted: Planted, pythons: list[Interpreter]) -> None:
    questions = [question for row in ROWS for question in planted.questions(row)]

    for python in pythons:
        column = "partial" if python.version >= (3, 13) else "without"
        assert disagreeing(column, ask.python_default(python.path, questions)) == [], python


@pytest.mark.privileged
@pytest.mark.slow
def test_debian_13s_python_agrees(planted: Planted, trixie: Guest) -> None:
    questions = [question for row in ROWS for question in planted.questions(row)]

    assert disagreeing("partial", ask.guest_python_default(trixie, planted.folder, questions)) == []


@all_rows
@pytest.mark.needs("curl")
def test_curl_agrees(planted: Planted, row: Row) -> None:
    assert ask.curl_is_openssl(), "this curl is not built with OpenSSL"
    normal, crossed = (ask.curl(q) for q in planted.questions(row))

    assert agrees(row.partial, normal, crossed), (normal, crossed)


def test_the_old_roots_trust_ends_with_it(planted: Planted) -> None:
    authority = planted.authority
    row = next(row for row in ROWS if row.name == "old root only")
    (store,) = read_stores(Host(), [Location(planted.paths[row.name], Family.CUSTOM, named=True)], Reading())

    ends = authority.old.certificate.not_after  # OpenSSL takes the second that it names for past (X509_cmp_time)

    assert judge(store, [bundle(authority)], ends - timedelta(seconds=1)).verdict is C
    assert judge(store, [bundle(authority)], ends).verdict is U


def test_a_bundle_of_everybodys_roots_stays_trusted_whatever_stands_behind(planted: Planted, tmp_path: Path) -> None:
    authority = planted.authority
    (tmp_path / "all.pem").write_bytes(bundle_pem(authority.new, authority.stranger, authority.old, authority.cross))
    (store,) = read_stores(Host(), [Location(str(tmp_path / "all.pem"), Family.CUSTOM, named=True)], Reading())

    assert judge(store, [bundle(authority)], NOW).verdict is T
