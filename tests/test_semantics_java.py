"""Key stores of every questionable kind: what a JVM makes of a server with them, said by us and by real JVMs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

import authority
import certificates
import jvm
import shipped
from authority import Authority, Served
from formats.test_pkcs12 import bag, exported
from formats.test_pkcs12 import store as pkcs12_store
from hosts.machine import Jdk
from keystores import JCEKS, Item, build
from test_validate import REAL, Real, chain_of
from trustmend import bundle
from trustmend.audit import judge
from trustmend.discover import discover
from trustmend.host import Host
from trustmend.model import JAVA_OPEN, Family, Kind, Loaded, Location, Use, Verdict
from trustmend.stores import Reading, read_stores

T, C, U = Verdict.TRUSTED, Verdict.CONDITIONAL, Verdict.UNTRUSTED


def jks(*members: str, **options: object) -> Callable[[Authority], bytes]:
    """A JKS store of these certificates, by their names in the authority."""

    def make(vendor: Authority) -> bytes:
        items = [Item(member.replace("_", "-"), getattr(vendor, member).der) for member in members]
        return build(items, **options)  # type: ignore[arg-type]  # its own options

    return make


def expired_root(vendor: Authority) -> bytes:
    """The new root's name and key in a certificate that has expired."""
    return build([Item("a", certificates.root("New Root", not_after=certificates.PAST).der)])


@dataclass(frozen=True, slots=True)
class Row:
    """A store, the verdicts of a JVM that opens it with `changeit` and of one without a password, and findings."""

    name: str
    content: Callable[[Authority], bytes]
    with_password: Verdict
    without: Verdict
    findings: frozenset[str] = frozenset()


ROWS = (
    Row("root", jks("new"), T, T),
    Row("issuing CA only", jks("issuing"), T, T, frozenset({"anchored-at-non-root"})),
    Row("cross-sign only", jks("cross"), T, T, frozenset({"anchored-at-non-root"})),
    Row("old root only", jks("old"), C, C),
    Row("expired root of the same key", expired_root, T, T),
    Row("a stranger", jks("stranger"), U, U),
    Row("a stranger's expired root", jks("expired"), U, U, frozenset({"expired-sibling"})),
    Row("empty", jks(), U, U),
    Row("bad digest", jks("new", password="other"), U, T, frozenset({"integrity-unverified", "refused-by-reader"})),
    Row("JCEKS", jks("new", magic=JCEKS), T, U, frozenset({"refused-by-reader"})),
    Row("cut off", lambda vendor: jks("new")(vendor)[:-200], U, U,
        frozenset({"bad-entry", "refused-by-reader", "integrity-unverified"})),
    Row("PEM", lambda vendor: vendor.new.pem, U, U, frozenset({"refused-by-reader"})),
    Row("DER", lambda vendor: vendor.new.der, U, U, frozenset({"refused-by-reader"})),
    Row("text", lambda vendor: b"hello", U, U, frozenset({"refused-by-reader"})),
    Row("PKCS#12 without a password", lambda vendor: pkcs12_store(bag(vendor.new.der, "a")), T, T),
    Row("PKCS#12 without the mark", lambda vendor: pkcs12_store(bag(vendor.new.der, "a", trusted=False)), U, U,
        frozenset({"reads-less"})),
)  # fmt: skip
BY_DEFAULT = {"JCEKS": "JCEKS"}  # the row's with_password is of a program that names the type


@dataclass(frozen=True, slots=True)
class Planted:
    """The rows' stores on disk and what each JVM says of each."""

    vendor: Authority
    paths: Mapping[str, str]
    answers: Mapping[str, Sequence[Mapping[str, tuple[bool, bool]]]]


@pytest.fixture(scope="session")
def planted(jdks: list[Jdk], tmp_path_factory: pytest.TempPathFactory) -> Planted:
    folder = tmp_path_factory.mktemp("java")
    vendor = authority.make()
    served = authority.serve(vendor, folder)
    paths = {}
    for number, row in enumerate(ROWS):
        paths[row.name] = str(folder / f"store-{number}")
        Path(paths[row.name]).write_bytes(row.content(vendor))
    answers: dict[str, list[Mapping[str, tuple[bool, bool]]]] = {row.name: [] for row in ROWS}
    for jdk in jdks:
        for name, found in ask(jdk, paths, served).items():
            answers[name].append(found)
    return Planted(vendor, paths, answers)


def ask(jdk: Jdk, paths: Mapping[str, str], served: Served) -> Mapping[str, Mapping[str, tuple[bool, bool]]]:
    """For each store, with and without a password: is the server accepted, and is it with the cross-sign?"""
    requests = [
        jvm.Request(path, password, chain, type=BY_DEFAULT.get(name) if password else None)
        for name, path in paths.items()
        for password in ("changeit", None)
        for chain in (served.normal, served.crossed)
    ]
    trusted = [answer.trusted for answer in jvm.ask(jdk, requests)]
    return {
        name: {"with": (trusted[at], trusted[at + 1]), "without": (trusted[at + 2], trusted[at + 3])}
        for at, name in zip(range(0, len(trusted), 4), paths, strict=True)
    }


EXPECTED = {T: (True, True), C: (False, True), U: (False, False)}


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_our_verdict_is_every_jvms(planted: Planted, row: Row) -> None:
    uses = (Use("jsse", "a test", password=True), Use("jsse", "another", store_type=""))
    where = Location(planted.paths[row.name], Family.JAVA, uses=uses, named=True, by_user=True)
    (store,) = read_stores(Host(), [where], Reading())

    judged = judge(store, [authority.bundle(planted.vendor)], datetime.now(UTC))

    found = [reader.verdict for reader in judged.chains[0].readers]
    assert found == [row.with_password, row.without]
    assert {finding.code for finding in judged.findings} - {"expired", "ends"} == row.findings
    for answer in planted.answers[row.name]:
        assert answer == {"with": EXPECTED[row.with_password], "without": EXPECTED[row.without]}


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("password", ["changeit", "unknown"])
def test_a_pkcs12_opened_without_its_password_trusts_nobody(tmp_path: Path, password: str) -> None:
    """What a bare -Djavax.net.ssl.trustStore does with most PKCS#12 files."""
    (tmp_path / "store").write_bytes(exported(tmp_path, password=password))
    where = Location(str(tmp_path / "store"), Family.JAVA, uses=(Use("jsse", "bare"),), named=True)
    (store,) = read_stores(Host(), [where], Reading())

    judged = judge(store, [bundle.load("sectigo-2019")], datetime.now(UTC))

    assert judged.verdict is U
    assert "reads-less" in {finding.code for finding in judged.findings}


@cache
def key_stores() -> list[tuple[str, Kind]]:
    """The key stores that discovery finds on this machine."""
    host = Host("/", {})
    found = read_stores(host, discover(host), Reading())
    return [(one.path, one.content.kind) for one in found if one.content.kind in (Kind.JKS, Kind.JCEKS, Kind.PKCS12)]


@pytest.mark.parametrize("real", REAL, ids=lambda real: real.file)
def test_every_key_store_of_this_machine_is_judged_as_jvms_do(real: Real, jdks: list[Jdk], tmp_path: Path) -> None:
    """Accepted issuers, and a real leaf's path, by each JVM that is here."""
    assert key_stores(), "there is no Java trust store on this machine: this test shows nothing"
    chain = chain_of(real)
    sends = [path[:-1] for path in (chain.path, *chain.alternates)]
    leaf = (shipped.LEAVES / f"{real.file}.pem").read_bytes()
    for number, sent in enumerate(sends):
        (tmp_path / f"{number}.pem").write_bytes(leaf + b"".join(certificate.pem for certificate in sent))
    for path, _ in key_stores():
        where = Location(path, Family.JAVA, uses=(Use("jsse", "a test"),), named=True)
        (store,) = read_stores(Host(), [where], Reading())
        view = store.content.views[JAVA_OPEN]
        assert isinstance(view, Loaded)
        verdict = next(c.verdict for c in judge(store, [bundle.load(real.bundle)], real.at).chains if c.chain == chain)
        requests = [jvm.Request(path, None, str(tmp_path / f"{n}.pem"), real.at) for n in range(len(sends))]
        for jdk in jdks:
            normal, *crossed = jvm.ask(jdk, requests)
            assert normal.issuers == {entry.certificate.sha256 for entry in view.entries}
            expected = T if normal.trusted else C if any(answer.trusted for answer in crossed) else U
            assert verdict is expected, (path, jdk)
