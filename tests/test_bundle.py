"""Bundles: the shipped ones are what they say, and each way of not being one is refused in words of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509

import certificates
import shipped
from certificates import Made
from trustmend import bundle
from trustmend.bundle import Origin
from trustmend.bundle_manifest import BundleRole
from trustmend.errors import BundleError, UsageError

NAMES = ["sectigo-2019", "sectigo-2025"]


def test_two_are_shipped() -> None:
    assert bundle.builtin_names() == NAMES
    assert [bundle.load(name).origin for name in NAMES] == [Origin.BUILT_IN] * 2


@pytest.mark.parametrize("name", NAMES)
def test_every_link_of_every_path_is_signed(name: str) -> None:
    """By a second library, and by names."""
    loaded = bundle.load(name)
    for chain in loaded.chains:
        for path in (chain.path, *chain.alternates):
            parsed = [x509.load_der_x509_certificate(certificate.der) for certificate in path]
            for child, issuer in pairwise(parsed):
                child.verify_directly_issued_by(issuer)


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("name", NAMES)
def test_openssl_verifies_every_path(name: str, tmp_path: Path) -> None:
    for chain in bundle.load(name).chains:
        for path in (chain.path, *chain.alternates):
            for part, made in (("target", path[:1]), ("between", path[1:-1]), ("root", path[-1:])):
                (tmp_path / part).write_bytes(b"".join(certificate.pem for certificate in made))
            command = ["openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", "root", "-no_check_time"]
            between = ["-untrusted", "between"] if path[1:-1] else []
            done = subprocess.run([*command, *between, "target"], cwd=tmp_path, capture_output=True, check=False)
            assert done.returncode == 0, done.stderr


def test_sectigo_2019_says_what_zuora_said() -> None:
    loaded = bundle.load("sectigo-2019")

    assert loaded.deadline is not None
    assert loaded.deadline.isoformat() == "2019-09-30T01:00:00-07:00"
    assert loaded.endpoints == (
        "*.zuora.com",
        "services*.zuora.com",
        "restservices*.zuora.com",
        "zconnect.zuora.com",
        "zconnectsandbox.zuora.com",
    )
    assert [(chain.id, chain.required) for chain in loaded.chains] == [
        (f"sectigo-{key}-{level}", key == "rsa") for key in ("rsa", "ecc") for level in ("dv", "ov", "ev")
    ]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_installed(name: str) -> None:
    """Roots that chains end at, and issuing CAs; no cross-sign, no AAA, no sibling."""
    loaded = bundle.load(name)
    ends = {chain.path[-1].sha256 for chain in loaded.chains}
    for one in loaded.certificates:
        expected = one.role is BundleRole.INTERMEDIATE or (one.role is BundleRole.ROOT and one.sha256 in ends)
        assert one.install == expected, one.file


def test_dates_are_looked_at_only_where_they_matter() -> None:
    loaded = bundle.load("sectigo-2019")

    assert bundle.check_dates(loaded, datetime(2026, 1, 1, tzinfo=UTC)) == []
    assert bundle.check_dates(loaded, datetime(2029, 1, 1, tzinfo=UTC)) == [], "AAA has expired then, and is not used"
    assert any("expired on 2030-12-31" in text for text in bundle.check_dates(loaded, datetime(2031, 1, 2, tzinfo=UTC)))
    assert any("begins on" in text for text in bundle.check_dates(loaded, datetime(2000, 1, 1, tzinfo=UTC)))


ROOT = certificates.root("Acme Root")
ISSUING = certificates.intermediate(ROOT, "Acme Issuing CA")
OTHER = certificates.root("Acme Other Root")


def manifest(root: Made = ROOT, issuing: Made = ISSUING, name: str = "acme") -> str:
    return f"""\
name = "{name}"
title = "Acme's new root"
[[certificate]]
file = "root.pem"
role = "root"
sha256 = "{root.sha256}"
install = true
[[certificate]]
file = "issuing.pem"
role = "intermediate"
sha256 = "{issuing.sha256}"
install = true
[[chain]]
id = "acme"
title = "Acme"
required = true
path = ["issuing.pem", "root.pem"]
"""


def write(folder: Path, text: str | None = None, **files: bytes) -> Path:
    """A bundle's folder; names of files without their ending."""
    folder.mkdir(mode=0o755, exist_ok=True)
    (folder / "bundle.toml").write_text(manifest() if text is None else text)
    for name, content in {"root": ROOT.pem, "issuing": ISSUING.pem, **files}.items():
        (folder / f"{name}.pem").write_bytes(content)
    return folder


def test_a_folder_is_a_bundle(tmp_path: Path) -> None:
    loaded = bundle.load(str(write(tmp_path / "acme")))

    assert (loaded.name, loaded.origin, len(loaded.install)) == ("acme", Origin.FOLDER, 2)


def changed(old: str, new: str) -> Callable[[Path], Path]:
    """The good manifest with one text replaced."""

    def make(folder: Path) -> Path:
        text = manifest()
        assert old in text
        return write(folder, text.replace(old, new, 1))

    return make


def leads_out(folder: Path) -> Path:
    write(folder)
    (folder / "root.pem").unlink()
    (folder.parent / "elsewhere.pem").write_bytes(ROOT.pem)
    (folder / "root.pem").symlink_to("../elsewhere.pem")
    return folder


def without(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (write(folder) / name).unlink()
        return folder

    return make


def loose(mode: int, name: str = "") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (write(folder) / name).chmod(mode)
        return folder

    return make


LEAF = certificates.leaf(ROOT)
STRANGER = certificates.intermediate(OTHER, "Acme Issuing CA")
FORGED = certificates.intermediate(ROOT, "Acme Issuing CA", bad_signature=True)
REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a private key": (lambda folder: write(folder, key=ROOT.key_pem), "holds a private key"),
    "a private key beside its certificate": (
        lambda folder: write(folder, root=ROOT.pem + ROOT.key_pem), "holds a private key"),
    "a leaf": (lambda folder: write(folder, manifest(issuing=LEAF), issuing=LEAF.pem), "is no CA's certificate"),
    "a wrong pin": (changed(ROOT.sha256, "0" * 64), "is not the pinned certificate"),
    "a pin that is none": (changed(ROOT.sha256, "00"), "is not a SHA-256"),
    "an unknown key": (changed('title = "Acme"', 'title = "Acme"\nnonsense = 1'), "unknown key `nonsense`"),
    "a missing key": (changed('id = "acme"\n', ""), "has no key `id`"),
    "an unknown role": (changed('role = "root"', 'role = "leaf"'), "none of root, cross, intermediate"),
    "a wrong role": (changed('role = "intermediate"', 'role = "root"'), "has the role root, but is not signed"),
    "a broken chain": (lambda folder: write(folder, manifest(issuing=STRANGER), issuing=STRANGER.pem),
                       "names O=Trustmend Test, CN=Acme Other Root as its issuer"),
    "a forged signature": (lambda folder: write(folder, manifest(issuing=FORGED), issuing=FORGED.pem),
                           "is not by the key of `root.pem`"),
    "a path to no root": (changed('["issuing.pem", "root.pem"]', '["issuing.pem"]'), "which is no root"),
    "a file that is not there": (without("root.pem"), "is missing"),
    "no manifest": (without("bundle.toml"), "it has no bundle.toml"),
    "a file outside": (changed('file = "root.pem"', 'file = "../root.pem"'), "leads out of the folder"),
    "a link outside": (leads_out, "a link that leads out"),
    "no TOML": (lambda folder: write(folder, "name = "), "is not TOML"),
    "a damaged certificate": (lambda folder: write(folder, root=ROOT.pem[:300]), "no whole PEM certificate"),
    "two certificates in a file": (lambda folder: write(folder, root=ROOT.pem + OTHER.pem), "holds 2 PEM blocks"),
    "a name of ours": (lambda folder: write(folder, manifest(name="sectigo-2019")), "belongs to a built-in"),
    "a bad name": (lambda folder: write(folder, manifest(name="A b")), "it must be of a-z"),
    "control characters": (changed("Acme's new root", "Acme\\u001b[31m"), "control characters"),
    "a chain twice": (lambda folder: write(folder, manifest() + "[[chain]]" + manifest().split("[[chain]]")[1]),
                      "has the chain id `acme` twice"),
    "everybody may write": (loose(0o777), "can be written by other users"),
    "everybody may write a file": (loose(0o666, "root.pem"), "can be written by other users"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_bundle_is_refused_in_its_own_words(name: str, tmp_path: Path) -> None:
    make, words = REFUSED[name]
    folder = make(tmp_path / "acme")

    with pytest.raises(BundleError, match=re.escape(words)) as caught:
        bundle.load(str(folder))

    assert caught.value.message.isprintable()


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        bundle.load("sectigo-1999")

    assert all(name in caught.value.hint for name in NAMES)


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of the site's bundles, moved to a folder of the test's own."""
    folder = tmp_path / "config"
    folder.mkdir()
    monkeypatch.setattr("trustmend.bundle_folder.site_folder", lambda: str(folder))
    monkeypatch.setattr("trustmend.bundle_folder.user_folder", lambda: str(tmp_path / "user"))
    return folder


def test_a_bundle_in_the_configuration_has_a_name(configured: Path) -> None:
    write(configured / "acme")

    assert bundle.names() == [*NAMES, "acme"]
    assert bundle.load("acme").origin is Origin.SITE


def test_a_built_in_name_cannot_be_taken(configured: Path) -> None:
    write(configured / "sectigo-2019", manifest(name="sectigo-2019"))

    assert bundle.load("sectigo-2019").origin is Origin.BUILT_IN
    assert bundle.shadowed() == [str(configured / "sectigo-2019")]
    with pytest.raises(BundleError, match="belongs to a built-in"):
        bundle.load(str(configured / "sectigo-2019"))


def test_a_bundle_is_called_as_its_folder(configured: Path) -> None:
    write(configured / "other")

    with pytest.raises(BundleError, match="which is not the folder's name"):
        bundle.load("other")


@pytest.mark.skipif(os.geteuid() != 0, reason="the rule is for root")
def test_as_root_only_a_bundle_with_a_name_is_installed(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="as root"):
        bundle.load(str(write(tmp_path / "acme")), to_install=True)

    assert bundle.load("sectigo-2025", to_install=True).install


def test_comparison_with_a_hosts_own_copies() -> None:
    loaded = bundle.load("sectigo-2019")
    root = shipped.certificate("root-usertrust-rsa")
    cross = shipped.certificate("cross-usertrust-rsa-by-aaa")

    rows = {row.certificate.sha256: row for row in bundle.compare(loaded, {"/a": [root], "/b": [cross], "/c": []})}

    assert (rows[root.sha256].same, rows[root.sha256].other) == (("/a",), ("/b",))
    assert (rows[cross.sha256].same, rows[cross.sha256].other) == (("/b",), ("/a",))


@pytest.mark.slow
def test_the_wheel_brings_the_bundles(tmp_path: Path) -> None:
    """What is installed from a wheel finds them, away from any checkout."""
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    making = [sys.executable, "-c", build, str(tmp_path)]
    done = subprocess.run(making, cwd=shipped.ROOT, capture_output=True, text=True, check=True)
    wheel = tmp_path / done.stdout.strip().splitlines()[-1]
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    code = "from trustmend import bundle; print(*bundle.builtin_names(), len(bundle.load('sectigo-2025').install))"

    environ = {"PYTHONPATH": str(tmp_path / "installed")}
    asking = [sys.executable, "-c", code]
    said = subprocess.run(asking, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True).stdout

    assert said.split() == [*NAMES, "6"]
