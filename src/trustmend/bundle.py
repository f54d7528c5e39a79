"""Bundles: what a vendor's change asks of trust stores. Found, loaded and checked; never written here.

1. What `load` gives is what the manifest's author saw: every file has its pin, every signature in every path holds.
2. There is no private key in the folder, and nothing in a bundle is other than a CA's certificate.
3. A built-in name is the package's: nothing in a configuration folder or elsewhere can take it.
4. Another user cannot change a bundle that is used: the folder and its files belong to root or to the caller, and
   nobody else may write them. For root that holds for the folders above, too.
5. As root a name means the package or the site configuration, and only such a bundle is loaded to be installed.

Dates are no part of that: `check_dates` looks at them, for a bundle that cannot be installed can still be shown.
A bundle lies on the machine that trustmend runs on; it is never looked for below a foreign root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Final

from trustmend import bundle_folder
from trustmend.bundle_manifest import MANIFEST, NAME_FORM, BundleRole, ChainRow, Manifest, SiblingRow, parse
from trustmend.certificate import Certificate, canonical_name, name_text, printable
from trustmend.errors import BundleError, UsageError
from trustmend.host import Host
from trustmend.signatures import signed_by


class Origin(StrEnum):
    """Where a bundle comes from."""

    BUILT_IN = "built-in"
    SITE = "site"  # the site's configuration folder
    USER = "user"  # the caller's configuration folder
    FOLDER = "folder"  # named by path


@dataclass(frozen=True)
class BundleCertificate:
    """A certificate with its part in the bundle; `install`: patch puts it into stores."""

    file: str
    role: BundleRole
    sha256: str  # lower-case hex
    install: bool
    certificate: Certificate


@dataclass(frozen=True)
class Chain:
    """An issuing CA and how it reaches a root. Every path begins with the issuing CA and ends with a root."""

    id: str
    title: str
    path: tuple[Certificate, ...]  # the normal one
    alternates: tuple[tuple[Certificate, ...], ...]  # others, that a server can send through cross-signs
    served: tuple[Certificate, ...]  # what servers commonly send besides `path`
    required: bool
    seen: tuple[Certificate, ...] | None = None  # the CA certificates that one server sends; replaces all of these


@dataclass(frozen=True)
class Sibling:
    """A certificate that breaks old clients where it stands; `reason` follows its name. Never installed."""

    file: str
    sha256: str  # lower-case hex
    certificate: Certificate
    reason: str


@dataclass(frozen=True)
class Bundle:
    """A bundle that holds what it promises; see the module."""

    name: str
    title: str
    source: str
    notice: str  # lines, may be empty
    deadline: datetime | None  # aware, in the manifest's own time zone
    endpoints: tuple[str, ...]
    certificates: tuple[BundleCertificate, ...]
    chains: tuple[Chain, ...]
    siblings: tuple[Sibling, ...]
    origin: Origin
    folder: str

    @property
    def install(self) -> tuple[BundleCertificate, ...]:
        """The certificates that patch puts into stores, in the manifest's order."""
        return tuple(c for c in self.certificates if c.install)

    @property
    def summary(self) -> str:
        """One line: how many chains and certificates, and the deadline."""
        required = sum(chain.required for chain in self.chains)
        until = f", deadline {self.deadline:%Y-%m-%d}" if self.deadline else ""
        return (
            f"{_count(len(self.chains), 'chain')} ({required} required), "
            f"{_count(len(self.certificates), 'certificate')} ({len(self.install)} to install){until}"
        )


def sent_by(bundle: Bundle, sent: Sequence[Certificate]) -> Bundle | None:
    """The bundle with the chains that a server's certificate belongs to, each as that server sends it; None: with none.

    Args:
        bundle: whose chains.
        sent: all that the server sends: its own certificate, then others, in any order.
    """
    authorities = tuple(c for c in sent if c.is_ca)
    leaves = [c for c in sent if not c.is_ca]

    def concerns(chain: Chain) -> bool:
        issuing = chain.path[0]
        if leaves:
            return any(
                canonical_name(c.issuer) == canonical_name(issuing.subject) and signed_by(c, issuing) for c in leaves
            )
        return any(c.spki == issuing.spki and c.subject == issuing.subject for c in authorities)

    chains = tuple(replace(chain, alternates=(), seen=authorities) for chain in bundle.chains if concerns(chain))
    return replace(bundle, chains=chains) if chains else None


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def builtin_names() -> list[str]:
    """The names of the bundles that the package ships, sorted."""
    return bundle_folder.names_in(bundle_folder.builtin_folder())


def names(host: Host | None = None) -> list[str]:
    """Every name that `load` knows: the package's, then the configuration's, sorted each."""
    known = dict.fromkeys(builtin_names())
    for _, folder in _configured():
        known |= dict.fromkeys(name for name in bundle_folder.names_in(folder) if NAME_FORM.match(name))
    return list(known)


def shadowed() -> list[str]:
    """Folders of the configuration that have a built-in's name, and so are not used."""
    taken = set(builtin_names())
    return [
        f"{folder}/{name}" for _, folder in _configured() for name in bundle_folder.names_in(folder) if name in taken
    ]


def load_all(host: Host | None = None) -> list[Bundle]:
    """Every bundle with a name. Raises BundleError for the first that is none."""
    return [load(name, host=host) for name in names(host)]


def load(name_or_dir: str, *, host: Host | None = None, to_install: bool = False) -> Bundle:
    """The bundle of this name or in this folder, checked.

    Args:
        name_or_dir: with a "/" in it, or where no bundle has that name, a folder.
        host: whose door files are read through, if it is this machine's own.
        to_install: its certificates are to be written into stores; see promise 5. The caller asks `check_dates`.

    Raises:
        UsageError: there is no such bundle.
        BundleError: it is not what it promises.
    """
    origin, folder = _locate(name_or_dir)
    if to_install and os.geteuid() == 0 and origin not in (Origin.BUILT_IN, Origin.SITE):
        raise BundleError(
            f"as root, the bundle in `{printable(folder)}` is not installed",
            hint=f"put it into {bundle_folder.site_folder()} and give its name",
        )
    door = host if host is not None and not host.foreign else Host()
    files = bundle_folder.read(door, folder, guarded=origin is not Origin.BUILT_IN)
    path = f"{folder}/{MANIFEST}"
    manifest = parse(files.manifest, path)
    if origin is Origin.FOLDER and manifest.name in builtin_names():
        raise BundleError(
            f"`{printable(path)}`: the name `{manifest.name}` belongs to a built-in bundle",
            hint="choose another `name` in it",
        )
    if origin is not Origin.FOLDER and manifest.name != os.path.basename(folder):
        raise BundleError(f"`{printable(path)}`: `name` is `{manifest.name}`, which is not the folder's name")
    return _Check(manifest, files, folder, origin).bundle()


def check_dates(bundle: Bundle, at: datetime) -> list[str]:
    """Why this bundle must not be installed at a time (aware): one sentence each; empty where nothing is against it.

    Looks at the certificates to install and at the required chains' normal paths: a bundle must not die because an
    alternate has expired.
    """
    wanted = [c.certificate for c in bundle.install]
    wanted += [certificate for chain in bundle.chains if chain.required for certificate in chain.path]
    problems = []
    for certificate in dict.fromkeys(wanted):
        if certificate.not_after < at:
            problems.append(
                f"{certificate.label} ({certificate.sha256[:16]}...) expired on {_day(certificate.not_after)}"
            )
        elif at < certificate.not_before:
            problems.append(
                f"{certificate.label} ({certificate.sha256[:16]}...) begins on {_day(certificate.not_before)}"
            )
    return problems


@dataclass(frozen=True)
class Comparison:
    """Where a host has a bundle's certificate: stores with the same bytes, or with others of its name and key."""

    certificate: BundleCertificate
    same: tuple[str, ...]
    other: tuple[str, ...]


def compare(bundle: Bundle, trusted: Mapping[str, Sequence[Certificate]]) -> list[Comparison]:
    """Each certificate of the bundle beside a host's own copies.

    Args:
        bundle: any.
        trusted: the path of a store -> what it holds.
    """
    digests = {path: {one.sha256 for one in held} for path, held in trusted.items()}
    keys = {path: {(canonical_name(one.subject), one.spki) for one in held} for path, held in trusted.items()}
    rows = []
    for one in bundle.certificates:
        same = tuple(path for path in trusted if one.sha256 in digests[path])
        key = (canonical_name(one.certificate.subject), one.certificate.spki)
        rows.append(Comparison(one, same, tuple(p for p in trusted if key in keys[p] and p not in same)))
    return rows


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _configured() -> Iterator[tuple[Origin, str]]:
    """The configuration's folders of bundles. Root has the site's alone: a user's HOME may still be set under sudo."""
    yield Origin.SITE, bundle_folder.site_folder()
    if os.geteuid() != 0:
        yield Origin.USER, bundle_folder.user_folder()


def _locate(wanted: str) -> tuple[Origin, str]:
    """Where the bundle is; a path to the package's own folder is the built-in bundle."""
    builtin = bundle_folder.builtin_folder()
    if "/" not in wanted:
        if wanted in builtin_names():
            return Origin.BUILT_IN, f"{builtin}/{wanted}"
        for origin, folder in _configured():
            if wanted in bundle_folder.names_in(folder):
                return origin, f"{folder}/{wanted}"
    real = os.path.realpath(wanted) if wanted else ""
    if not os.path.isdir(real):
        hint = f"there are {', '.join(map(printable, names()))}; a path to a folder is a bundle, too"
        raise UsageError(f"there is no bundle `{printable(wanted)}`", hint=hint)
    if os.path.dirname(real) == builtin and os.path.basename(real) in builtin_names():
        return Origin.BUILT_IN, real
    return Origin.FOLDER, real


_NOT_AS_PINNED: Final = "get the file from the CA again, and compare its SHA-256 with the one that the CA publishes"


@dataclass(slots=True)
class _Check:
    """One bundle on its way from rows to certificates."""

    manifest: Manifest
    files: bundle_folder.Files
    folder: str
    origin: Origin

    def bundle(self) -> Bundle:
        """The bundle, if all of it holds. Raises BundleError."""
        manifest = self.manifest
        certificates = tuple(
            BundleCertificate(row.file, row.role, row.sha256, row.install, self._pinned(row.file, row.sha256))
            for row in manifest.certificates
        )
        by_file = {one.file: one for one in certificates}
        for one in certificates:
            self._role(one)
        chains = tuple(self._chain(row, by_file) for row in manifest.chains)
        siblings = tuple(self._sibling(row) for row in manifest.siblings)
        self._issuers(certificates, siblings)
        return Bundle(
            manifest.name, manifest.title, manifest.source, manifest.notice, manifest.deadline, manifest.endpoints,
            certificates, chains, siblings, self.origin, self.folder,
        )  # fmt: skip

    def _bad(self, what: str, hint: str = "") -> BundleError:
        return BundleError(f"the bundle in `{printable(self.folder)}`: {what}", hint=hint)

    def _pinned(self, file: str, pin: str) -> Certificate:
        """The one certificate in a file, which must be a CA's and the pinned one."""
        certificate = self.files.certificate(file)
        if certificate.sha256 != pin:
            text = f"`{file}` is not the pinned certificate: its SHA-256 is {certificate.sha256}, not {pin}"
            raise self._bad(text, _NOT_AS_PINNED)
        if not certificate.is_ca:
            raise self._bad(f"`{file}` ({certificate.label}) is no CA's certificate", "leave servers' certificates out")
        return certificate

    def _role(self, one: BundleCertificate) -> None:
        if one.role is BundleRole.ROOT and not _issued(one.certificate, one.certificate):
            raise self._bad(f"`{one.file}` has the role root, but is not signed by its own key")
        if one.role is not BundleRole.ROOT and one.certificate.self_issued:
            raise self._bad(f"`{one.file}` has the role {one.role.value}, but names itself as its issuer")

    def _sibling(self, row: SiblingRow) -> Sibling:
        return Sibling(row.file, row.sha256, self._pinned(row.file, row.sha256), row.reason)

    def _chain(self, row: ChainRow, by_file: dict[str, BundleCertificate]) -> Chain:
        path = self._path(row, row.path, by_file, f"chain `{row.id}`")
        alternates = []
        for number, files in enumerate(row.alternates, 1):
            alternate = self._path(row, files, by_file, f"chain `{row.id}`, alternate {number}")
            if alternate[0] != path[0]:
                raise self._bad(f"chain `{row.id}`, alternate {number}: it begins with another CA than the chain")
            alternates.append(alternate)
        served = tuple(self._known(file, by_file, f"chain `{row.id}`, served") for file in row.served)
        return Chain(row.id, row.title, path, tuple(alternates), tuple(one.certificate for one in served), row.required)

    def _known(self, file: str, by_file: dict[str, BundleCertificate], place: str) -> BundleCertificate:
        if file not in by_file:
            raise self._bad(f"{place}: no [[certificate]] has the file `{file}`")
        return by_file[file]

    def _path(
        self, row: ChainRow, files: tuple[str, ...], by_file: dict[str, BundleCertificate], place: str
    ) -> tuple[Certificate, ...]:
        """The certificates of a path in which each is issued by the next, and the last is a root."""
        ones = [self._known(file, by_file, place) for file in files]
        if not ones:
            raise self._bad(f"{place}: the path is empty")
        for child, issuer in pairwise(ones):
            self._link(child, issuer, place)
        if ones[-1].role is not BundleRole.ROOT:
            raise self._bad(f"{place}: it ends with `{ones[-1].file}`, which is no root")
        return tuple(one.certificate for one in ones)

    def _link(self, child: BundleCertificate, issuer: BundleCertificate, place: str) -> None:
        """Refuse a pair that is none."""
        if canonical_name(child.certificate.issuer) != canonical_name(issuer.certificate.subject):
            names_it = printable(name_text(child.certificate.issuer))
            raise self._bad(f"{place}: the chain is broken: `{child.file}` names {names_it} as its issuer, "
                            f"not the subject of `{issuer.file}`")  # fmt: skip
        if not signed_by(child.certificate, issuer.certificate):
            text = f"{place}: the chain is broken: the signature of `{child.file}` is not by the key of `{issuer.file}`"
            raise self._bad(text, _NOT_AS_PINNED)

    def _issuers(self, certificates: tuple[BundleCertificate, ...], siblings: tuple[Sibling, ...]) -> None:
        """Every signature holds: those outside of all chains, and the siblings', by whoever of the bundle made them."""
        everyone: list[BundleCertificate | Sibling] = [*certificates, *siblings]
        for one in everyone:
            named = [c.certificate for c in everyone
                     if canonical_name(c.certificate.subject) == canonical_name(one.certificate.issuer)]  # fmt: skip
            if not named and isinstance(one, BundleCertificate):
                issuer = printable(name_text(one.certificate.issuer))
                hint = "add the issuer's certificate, or leave this one out"
                raise self._bad(f"the issuer of `{one.file}`, {issuer}, is not in it", hint)
            if named and not any(signed_by(one.certificate, issuer) for issuer in named):
                raise self._bad(f"the signature of `{one.file}` is by none of its issuer's keys", _NOT_AS_PINNED)


def _issued(child: Certificate, issuer: Certificate) -> bool:
    return canonical_name(child.issuer) == canonical_name(issuer.subject) and signed_by(child, issuer)
