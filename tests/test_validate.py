"""Path building against OpenSSL on stores of any content and order, and against a second library; real leaves, too."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)
from hypothesis import given
from hypothesis import strategies as st

import authority
import shipped
from certificates import Made
from readers import ask
from readers.ask import Question
from trustmend import bundle
from trustmend.audit import judge
from trustmend.bundle import Chain
from trustmend.certificate import Certificate
from trustmend.discover import discover
from trustmend.formats import pem
from trustmend.host import Host
from trustmend.model import OPENSSL, Family, Kind, Loaded, Location, Role, Use, Verdict
from trustmend.readers import READERS
from trustmend.stores import Reading, read_stores
from trustmend.validate import Anchors, validate

MEMBERS = ("old", "new", "cross", "issuing", "expired", "crossed_by_expired", "stranger")
PARTIAL = {"openssl-3": (), "curl": ("-partial_chain",)}


@cache
def block(member: str, form: str) -> bytes:
    """A certificate as a plain block, or as a TRUSTED CERTIFICATE that openssl made."""
    made: Made = getattr(authority.make(), member)
    if form == "plain":
        return made.pem
    option, purpose = form.split()
    arguments = ["openssl", "x509", f"-add{option}", purpose, "-trustout"]
    return subprocess.run(arguments, input=made.pem, capture_output=True, check=True).stdout


FORMS = ("plain",) * 12 + ("reject serverAuth", "trust serverAuth", "trust emailProtection")
BLOCKS = st.lists(st.tuples(st.sampled_from(MEMBERS), st.sampled_from(FORMS)), min_size=1, max_size=6)
SENT = st.lists(st.sampled_from(MEMBERS), max_size=4)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("validate")


@pytest.mark.needs("openssl")
@given(blocks=BLOCKS, sent=SENT, reader=st.sampled_from(sorted(PARTIAL)))
def test_every_store_in_every_order_is_judged_as_openssl_does(
    folder: Path, blocks: list[tuple[str, str]], sent: list[str], reader: str
) -> None:
    vendor = authority.make()
    (folder / "store.pem").write_bytes(b"".join(block(*one) for one in blocks))
    certificates = [getattr(vendor, member) for member in sent]
    (folder / "chain.pem").write_bytes(b"".join(made.pem for made in (vendor.leaf, *certificates)))

    said = ask.openssl_verify(
        Question(str(folder / "store.pem"), str(folder / "chain.pem"), ""), "-auth_level", "1", *PARTIAL[reader]
    )
    view = pem.read((folder / "store.pem").read_bytes()).views[OPENSSL]
    assert isinstance(view, Loaded)
    ours = validate(
        vendor.issuing.certificate,
        [made.certificate for made in certificates],
        Anchors(view.entries),
        READERS[reader],
        datetime.now(UTC),
    )

    assert (ours.verdict is Verdict.TRUSTED) == (not said), (ours, said)


@given(members=st.lists(st.sampled_from(MEMBERS), min_size=1, unique=True), sent=st.lists(st.sampled_from(MEMBERS)))
def test_any_path_is_found_as_the_second_library_finds_it(members: list[str], sent: list[str]) -> None:
    """cryptography takes every entry as an anchor and tries all paths: so does the row of NSS, and both check dates."""
    vendor = authority.make()
    now = datetime.now(UTC)
    store = [getattr(vendor, member).certificate for member in members]
    with_issuing = [vendor.issuing, *(getattr(vendor, member) for member in sent)]
    intermediates = [made.certificate for made in with_issuing]

    entries = pem.read(b"".join(certificate.pem for certificate in store)).entries
    ours = validate(vendor.issuing.certificate, intermediates, Anchors(entries), READERS["nss"], now)

    assert (ours.verdict is Verdict.TRUSTED) == accepted(vendor.leaf.certificate, intermediates, store, now)


def accepted(
    leaf: Certificate, intermediates: Sequence[Certificate], store: Sequence[Certificate], at: datetime
) -> bool:
    """Whether cryptography.x509.verification validates the leaf for `localhost`."""

    def parsed(certificate: Certificate) -> x509.Certificate:
        return x509.load_der_x509_certificate(certificate.der)

    verifier = (
        PolicyBuilder()
        .store(Store([parsed(one) for one in store]))
        .time(at)
        .extension_policies(
            ca_policy=ExtensionPolicy.permit_all().require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None),
            ee_policy=ExtensionPolicy.permit_all().require_present(
                x509.SubjectAlternativeName, Criticality.AGNOSTIC, None
            ),
        )
        .build_server_verifier(x509.DNSName("localhost"))
    )
    try:
        verifier.verify(parsed(leaf), [parsed(one) for one in intermediates])
    except VerificationError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Real:
    """A real server's certificate, the chain that it belongs to, and a time in its life."""

    file: str
    bundle: str
    chain: str
    at: datetime


REAL = (
    Real("leaf-sectigo-rsa-ov-deltaww", "sectigo-2019", "sectigo-rsa-ov", datetime(2021, 1, 1, tzinfo=UTC)),
    Real("leaf-sectigo-rsa-ev-usertrust-test", "sectigo-2019", "sectigo-rsa-ev", datetime(2021, 6, 1, tzinfo=UTC)),
    Real("leaf-sectigo-ecc-ov-ownd-project", "sectigo-2019", "sectigo-ecc-ov", datetime(2024, 3, 1, tzinfo=UTC)),
    Real("leaf-sectigo-ps-ov-r36-icann", "sectigo-2025", "sectigo-ov-r36", datetime(2026, 1, 1, tzinfo=UTC)),
    Real("leaf-sectigo-ps-dv-r36-sslmate", "sectigo-2025", "sectigo-dv-r36", datetime(2026, 1, 1, tzinfo=UTC)),
    Real("leaf-sectigo-ps-dv-e36-github", "sectigo-2025", "sectigo-dv-e36", datetime(2026, 10, 1, tzinfo=UTC)),
)


def chain_of(real: Real) -> Chain:
    """The chain of the shipped bundle."""
    return next(chain for chain in bundle.load(real.bundle).chains if chain.id == real.chain)


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("real", REAL, ids=lambda real: real.file)
def test_real_leaves_verify_by_the_shipped_chains(real: Real, tmp_path: Path) -> None:
    chain = chain_of(real)
    for path in (chain.path, *chain.alternates):
        (tmp_path / "root.pem").write_bytes(path[-1].pem)
        said = verify_real(real, path[:-1], str(tmp_path / "root.pem"), tmp_path)
        assert said == "", [c.label for c in path]


def verify_real(real: Real, sent: Sequence[Certificate], store: str, scratch: Path) -> str:
    """What openssl says of the real leaf, followed by what a server sends."""
    leaf = (shipped.LEAVES / f"{real.file}.pem").read_bytes()
    (scratch / "chain.pem").write_bytes(leaf + b"".join(certificate.pem for certificate in sent))
    moment = str(int(real.at.timestamp()))
    return ask.openssl_verify(Question(store, str(scratch / "chain.pem"), ""), "-auth_level", "1", "-attime", moment)


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("real", REAL, ids=lambda real: real.file)
def test_every_pem_store_of_this_machine_is_judged_as_openssl_verifies_a_real_leaf(real: Real, tmp_path: Path) -> None:
    wanted = bundle.load(real.bundle)
    chain = chain_of(real)
    looked_at = 0
    for path in pem_stores():
        where = Location(path, Family.CUSTOM, Role.PUBLIC, (Use("openssl-3", "a test"),), named=True)
        (store,) = read_stores(Host(), [where], Reading())
        verdict = next(c.verdict for c in judge(store, [wanted], real.at).chains if c.chain == chain)
        normal, *crossed = [
            verify_real(real, sent[:-1], path, tmp_path) == "" for sent in (chain.path, *chain.alternates)
        ]
        expected = Verdict.TRUSTED if normal else Verdict.CONDITIONAL if any(crossed) else Verdict.UNTRUSTED
        assert verdict is expected, path
        looked_at += 1
    assert looked_at, "there is no PEM store on this machine: this test shows nothing"


@cache
def pem_stores() -> list[str]:
    """The PEM stores that discovery finds here, those of equal content once."""
    host = Host("/", {})
    by_content = {
        store.sha256: store.path
        for store in read_stores(host, discover(host), Reading())
        # What stands inside a file has no path that openssl could be given.
        if store.content.kind in (Kind.PEM_BUNDLE, Kind.PEM_DIRECTORY)
        and store.content.entries
        and "!/" not in store.path
    }
    return sorted(by_content.values())
