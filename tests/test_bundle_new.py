"""`bundle new`: certificates of any order and vendor become a bundle that loads, or a refusal that says why."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import certificates
from certificates import Made, bundle_pem
from trustmend import bundle, bundle_new
from trustmend.bundle_manifest import BundleRole
from trustmend.bundle_new import Wanted
from trustmend.certificate import Certificate
from trustmend.errors import BundleError

ROOT = certificates.root("Acme Root")
OLD = certificates.root("Acme Old Root")
CROSS = certificates.cross(ROOT, OLD)
ISSUING = certificates.intermediate(ROOT, "Acme Issuing CA")


def made(folder: Path, content: bytes, name: str = "acme") -> bundle.Bundle:
    """The bundle from one file."""
    (folder / "all.pem").write_bytes(content)
    return bundle.load(bundle_new.create(Wanted(name), [str(folder / "all.pem")], str(folder)))


def test_roles_chains_and_what_is_installed(tmp_path: Path) -> None:
    found = made(tmp_path, bundle_pem(CROSS, ISSUING, OLD, ROOT, ISSUING))

    rows = {one.certificate: (one.role, one.install) for one in found.certificates}
    assert rows == {
        CROSS.certificate: (BundleRole.CROSS, False),
        ISSUING.certificate: (BundleRole.INTERMEDIATE, True),
        OLD.certificate: (BundleRole.ROOT, False),
        ROOT.certificate: (BundleRole.ROOT, True),
    }
    (chain,) = found.chains
    assert chain.path == (ISSUING.certificate, ROOT.certificate)
    assert chain.alternates == ((ISSUING.certificate, CROSS.certificate, OLD.certificate),)


@pytest.mark.parametrize("name", ["sectigo-2019", "sectigo-2025"])
def test_the_shipped_bundles_come_out_as_they_are(name: str, tmp_path: Path) -> None:
    ours = bundle.load(name)
    found = made(tmp_path, b"".join(one.certificate.pem for one in reversed(ours.certificates)))

    assert {one.sha256: (one.role, one.install) for one in found.certificates} == {
        one.sha256: (one.role, one.install) for one in ours.certificates
    }
    assert {(chain.path, frozenset(chain.alternates)) for chain in found.chains} == {
        (chain.path, frozenset(chain.alternates)) for chain in ours.chains
    }


def test_words_of_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "root.der").write_bytes(ROOT.der)
    when = datetime(2027, 1, 2, 3, 4, tzinfo=UTC)
    wanted = Wanted("acme", 'The "new" root\\', "https://acme.example/notice", when, ("*.acme.example",))

    found = bundle.load(bundle_new.create(wanted, [str(tmp_path / "root.der")], str(tmp_path)))

    assert (found.title, found.source, found.deadline, found.endpoints) == (
        wanted.title,
        wanted.source,
        when,
        wanted.endpoints,
    )
    assert found.chains[0].path == (ROOT.certificate,), "a CA without an intermediate issues by its root"


LEAF = certificates.leaf(ISSUING)
REFUSED = {
    "a leaf": (bundle_pem(ROOT, ISSUING, LEAF), "no CA's: localhost"),
    "a private key": (ROOT.pem + ROOT.key_pem, "holds a private key"),
    "no root": (ISSUING.pem, "Acme Issuing CA was issued by O=Trustmend Test, CN=Acme Root, which is in none"),
    "a cross-sign without its root": (bundle_pem(ROOT, CROSS), "CN=Acme Old Root, which is in none"),
    "no certificate": (b"hello\n", "holds no certificate"),
    "an empty file": (b"", "holds no certificate"),
    "a damaged certificate": (ROOT.pem + ISSUING.pem[:300], "is damaged"),
    "a key store": (b"\xfe\xed\xfe\xed\0\0\0\2\0\0\0\0" + bytes(20), "holds a private key"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_bundle_is_refused_and_nothing_is_left(name: str, tmp_path: Path) -> None:
    content, words = REFUSED[name]

    with pytest.raises(BundleError) as caught:
        made(tmp_path, content)

    assert words in caught.value.message
    assert os.listdir(tmp_path) == ["all.pem"]


@pytest.mark.parametrize("name", ["", "A", "a b", "../a", "a/b", ".a", "sectigo-2019", "all", "x" * 65, "a\n"])
def test_names_that_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        made(tmp_path, ROOT.pem, name)

    assert os.listdir(tmp_path) == ["all.pem"]


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()

    with pytest.raises(BundleError, match="already"):
        made(tmp_path, ROOT.pem)

    assert os.listdir(tmp_path / "acme") == []


def test_a_missing_file_and_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read"):
        bundle_new.create(Wanted("acme"), [str(tmp_path / "none")], str(tmp_path))
    (tmp_path / "file").touch()
    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    with pytest.raises(BundleError, match="cannot be made"):
        bundle_new.create(Wanted("acme"), [str(tmp_path / "root.pem")], str(tmp_path / "file"))


def test_nobody_else_can_write_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        found = made(tmp_path, ROOT.pem)
    finally:
        os.umask(before)

    assert os.stat(found.folder).st_mode & 0o777 == 0o755
    assert {os.stat(f"{found.folder}/{name}").st_mode & 0o777 for name in os.listdir(found.folder)} == {0o644}


@st.composite
def hierarchies(draw: st.DrawFn) -> list[Made]:
    """Some roots, cross-signs among them, and CAs below them or below each other."""
    roots = [certificates.root(f"Root {number}") for number in range(draw(st.integers(1, 3)))]
    found = list(roots)
    for number in range(draw(st.integers(0, 4))):
        above = draw(st.sampled_from([one for one in found if one.spec.path_length is None]))
        found.append(certificates.intermediate(above, f"CA {number}"))
    for of, issuer in draw(st.lists(st.tuples(st.sampled_from(roots), st.sampled_from(roots)), max_size=3)):
        if of is not issuer:
            found.append(certificates.cross(of, issuer))
    return draw(st.permutations(found))


def names_of(certificate: Certificate) -> tuple[bytes, bytes]:
    return certificate.subject, certificate.spki


@given(hierarchies())
def test_any_hierarchy_becomes_a_bundle(hierarchy: Sequence[Made]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = made(Path(folder), bundle_pem(*hierarchy))

    given_ones = {one.certificate for one in hierarchy}
    assert {one.certificate for one in found.certificates} == given_ones
    for one in found.certificates:
        twins = [other for other in given_ones if names_of(other) == names_of(one.certificate)]
        assert (one.role is BundleRole.CROSS) == (len(twins) > 1 and not one.certificate.self_issued)
    assert all(chain.path[-1].self_issued for chain in found.chains)
    issuing = {chain.path[0] for chain in found.chains}
    above_another = {one.issuer for one in given_ones if not one.self_issued}
    ends = {one.subject for one in given_ones if one.subject not in above_another}
    assert {one.subject for one in issuing} == ends or (not ends and all(one.self_issued for one in issuing))
