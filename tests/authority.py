"""A small vendor's change, made for tests: an old root, a new root, a cross-sign between them, and an issuing CA."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import certificates
from certificates import Made
from trustmend.bundle import Bundle, BundleCertificate, Chain, Origin, Sibling
from trustmend.bundle_manifest import BundleRole

OLD_ENDS = datetime(2035, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Authority:
    """All of the vendor's certificates. `old` ends before `new`; `expired` and `crossed_by_expired` have expired."""

    old: Made
    new: Made
    cross: Made  # `new` signed by `old`
    issuing: Made
    leaf: Made
    expired: Made  # another root
    crossed_by_expired: Made  # `new` signed by `expired`
    stranger: Made  # a root that has nothing to do with it


def make() -> Authority:
    """The certificates; equal ones for every call in one run."""
    old = certificates.root("Old Root", not_after=OLD_ENDS)
    new = certificates.root("New Root")
    expired = certificates.root("Expired Root", not_after=certificates.PAST)
    issuing = certificates.intermediate(new, "Issuing CA", path_length=0)
    return Authority(
        old=old,
        new=new,
        cross=certificates.cross(new, old, not_after=OLD_ENDS),
        issuing=issuing,
        leaf=certificates.leaf(issuing, "localhost"),
        expired=expired,
        crossed_by_expired=certificates.cross(new, expired, not_after=certificates.PAST),
        stranger=certificates.root("Stranger"),
    )


def bundle(authority: Authority) -> Bundle:
    """What an operator would be given for this change: one required chain."""
    rows = (
        _row("root-new.pem", BundleRole.ROOT, authority.new, install=True),
        _row("root-old.pem", BundleRole.ROOT, authority.old, install=False),
        _row("cross.pem", BundleRole.CROSS, authority.cross, install=False),
        _row("issuing.pem", BundleRole.INTERMEDIATE, authority.issuing, install=True),
    )
    issuing, new = authority.issuing.certificate, authority.new.certificate
    chain = Chain(
        id="vendor",
        title="Vendor",
        path=(issuing, new),
        alternates=((issuing, authority.cross.certificate, authority.old.certificate),),
        served=(),
        required=True,
    )
    siblings = tuple(
        Sibling("sibling.pem", made.sha256, made.certificate, "expired; old clients end the chain there")
        for made in (authority.expired, authority.crossed_by_expired)
    )
    return Bundle("test", "A vendor's change", "", "", None, (), rows, (chain,), siblings, Origin.FOLDER, "/nowhere")


def _row(file: str, role: BundleRole, made: Made, *, install: bool) -> BundleCertificate:
    return BundleCertificate(file, role, made.sha256, install, made.certificate)


@dataclass(frozen=True, slots=True)
class Served:
    """The files of a server of the vendor: what it normally sends, and what it sends with the cross-sign."""

    normal: str
    crossed: str
    key: str


def serve(authority: Authority, folder: Path) -> Served:
    """Write them."""
    normal, crossed, key = (folder / name for name in ("normal.pem", "crossed.pem", "key.pem"))
    normal.write_bytes(certificates.bundle_pem(authority.leaf, authority.issuing))
    crossed.write_bytes(certificates.bundle_pem(authority.leaf, authority.issuing, authority.cross))
    key.write_bytes(authority.leaf.key_pem)
    return Served(str(normal), str(crossed), str(key))
