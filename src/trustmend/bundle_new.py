"""A bundle from certificate files of any vendor: sorted into roots, cross-signs and intermediates, and into chains."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trustmend import bundle, bundle_folder
from trustmend.bundle_manifest import MANIFEST, NAME_FORM, BundleRole
from trustmend.certificate import Certificate, canonical_name, name_label, name_text, printable
from trustmend.change import folder
from trustmend.errors import BundleError
from trustmend.formats import der_certificate, pem, registry
from trustmend.host import Host
from trustmend.model import Kind
from trustmend.signatures import signed_by

_MAX_PATHS: Final = 16
_MAX_LENGTH: Final = 8
_HEAD: Final = (
    "# The form of this file: `trustmend bundle new` writes one, and loading refuses what it does not know.\n"
)


@dataclass(frozen=True)
class Wanted:
    """What the manifest says besides certificates and chains."""

    name: str
    title: str = ""
    source: str = ""
    deadline: datetime | None = None  # aware
    endpoints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sorted:
    """Certificates with their roles, and for each issuing CA its paths to roots, the normal one first."""

    roles: Mapping[Certificate, BundleRole]
    chains: Sequence[Sequence[tuple[Certificate, ...]]]

    def installs(self, certificate: Certificate) -> bool:
        """Whether patch shall put it into stores: issuing CAs and others on the way, and the roots they end at."""
        if self.roles[certificate] is BundleRole.CROSS:
            return False
        return any(certificate in paths[0] for paths in self.chains)


def create(wanted: Wanted, paths: Sequence[str], into: str | None = None) -> str:
    """Write a bundle and give its folder's path.

    Args:
        wanted: its name and words.
        paths: files of certificates: PEM of any number, DER, PKCS#7.
        into: the folder to make it in; else the configuration's own, the site's for root.

    Raises:
        BundleError: the name or a file is no good, a chain is not whole, or there is such a bundle already.
    """
    _check_name(wanted.name)
    target = os.path.join(os.path.abspath(into) if into else _own_folder(), wanted.name)
    if os.path.lexists(target):
        raise BundleError(f"there is a `{printable(target)}` already", hint="choose another name, or move it away")
    found = sort(_certificates(paths))
    files = _files(wanted, found)

    def check(made: str) -> None:
        bundle.load(made)

    try:
        folder.create(target, files, check=check)
    except OSError as problem:
        hint = "give another folder with --into" if into is None else "give a folder that you may write"
        raise BundleError(f"`{printable(target)}` cannot be made: {problem.strerror}", hint=hint) from problem
    return target


def _own_folder() -> str:
    return bundle_folder.site_folder() if os.geteuid() == 0 else bundle_folder.user_folder()


def _check_name(name: str) -> None:
    if not NAME_FORM.match(name):
        text = f"`{printable(name)}` cannot be a bundle's name"
        raise BundleError(text, hint="write a-z, 0-9, `.`, `_` and `-`, a letter or digit first, 64 at most")
    if name in bundle.builtin_names() or name == "all":
        raise BundleError(f"the name `{name}` belongs to trustmend itself", hint="choose another one")


def _certificates(paths: Sequence[str]) -> list[Certificate]:
    """All certificates of the files, each once, in their order. Raises BundleError."""
    if not paths:
        raise BundleError("no file of certificates was given", hint="trustmend bundle new NAME --from FILE.pem...")
    return list(dict.fromkeys(certificate for path in paths for certificate in _of_file(path)))


def _of_file(path: str) -> list[Certificate]:
    """The CA certificates in one file. Raises BundleError for anything else in it."""
    shown = printable(path)
    try:
        content = Host().read(os.path.abspath(path)).content
    except OSError as problem:
        raise BundleError(f"`{shown}` cannot be read: {problem.strerror}") from problem
    kind = registry.recognise(content)
    read = pem.read(content) if kind is Kind.PEM_BUNDLE else der_certificate.read(content)
    if bundle_folder.holds_private_key(content) or read.private_keys:
        raise BundleError(f"`{shown}` holds a private key", hint="a bundle is public: give files without the key")
    damage = next((finding for finding in read.findings if finding.code == "bad-entry"), None)
    if kind not in (Kind.PEM_BUNDLE, Kind.DER) or not read.entries:
        reason = f": {damage.message}" if damage else ""
        raise BundleError(f"`{shown}` holds no certificate{reason}", hint="PEM, DER and PKCS#7 are read")
    if damage:
        raise BundleError(f"`{shown}` is damaged: {damage.message}", hint="get the file again")
    found = [entry.certificate for entry in read.entries]
    leaf = next((one for one in found if not one.is_ca), None)
    if leaf is not None:
        text = f"`{shown}` holds a certificate that is no CA's: {leaf.label}"
        raise BundleError(text, hint="leave servers' certificates out: stores trust CAs")
    return found


def sort(certificates: Sequence[Certificate]) -> Sorted:
    """Roles and chains of CA certificates, which are all different.

    Raises:
        BundleError: one of them leads to no root among them.
    """
    roots = [one for one in certificates if one.self_issued and signed_by(one, one)]
    roles = dict.fromkeys(roots, BundleRole.ROOT)
    # Of several certificates for one name and key the root is no cross-sign, else the one that lasts longest.
    for one in sorted(certificates, key=lambda c: c.not_after, reverse=True):
        if one not in roles:
            twin = any(_same_ca(one, other) for other in roles)
            roles[one] = BundleRole.CROSS if twin else BundleRole.INTERMEDIATE
    known = {one: roles[one] for one in certificates}
    for one in certificates:
        if not any(_issued(one, other) for other in certificates):
            issuer = printable(name_text(one.issuer))
            text = f"{one.label} was issued by {issuer}, which is in none of the files"
            raise BundleError(text, hint="add the file of that CA, up to the root, or leave this one out")
    issuing = [one for one in certificates if known[one] is not BundleRole.CROSS and not _issues_another(one, known)]
    issuing = issuing or roots  # roots that only signed each other
    return Sorted(known, [_paths(one, certificates, known) for one in issuing])


def _same_ca(one: Certificate, other: Certificate) -> bool:
    return one.spki == other.spki and canonical_name(one.subject) == canonical_name(other.subject)


def _issued(certificate: Certificate, issuer: Certificate) -> bool:
    return canonical_name(certificate.issuer) == canonical_name(issuer.subject) and signed_by(certificate, issuer)


def _issues_another(one: Certificate, roles: Mapping[Certificate, BundleRole]) -> bool:
    """Whether it is on the way to another CA (or, by a cross-sign, to a root) and so issues no leaf by itself."""
    return any(not _same_ca(other, one) and _issued(other, one) for other in roles)


def _paths(
    start: Certificate, certificates: Sequence[Certificate], roles: Mapping[Certificate, BundleRole]
) -> list[tuple[Certificate, ...]]:
    """All paths to roots: those without cross-signs first, then the short ones. Raises BundleError where none is."""

    def climb(path: tuple[Certificate, ...]) -> Iterator[tuple[Certificate, ...]]:
        if roles[path[-1]] is BundleRole.ROOT:
            yield path
            return
        for issuer in certificates:
            known = any(_same_ca(issuer, other) for other in path)
            if not known and len(path) < _MAX_LENGTH and _issued(path[-1], issuer):
                yield from climb((*path, issuer))

    def rank(path: tuple[Certificate, ...]) -> tuple[bool, int]:
        return any(roles[one] is BundleRole.CROSS for one in path), len(path)

    found = sorted(climb((start,)), key=rank)
    if not found:
        issuer = name_label(start.issuer)
        raise BundleError(
            f"no path leads from {start.label} to a root: it ends with {issuer}", hint="add the root's file"
        )
    return found[:_MAX_PATHS]


def _files(wanted: Wanted, found: Sorted) -> dict[str, bytes]:
    """Name -> content of all files of the bundle."""
    names: dict[Certificate, str] = {}
    for certificate, role in found.roles.items():
        short = "inter" if role is BundleRole.INTERMEDIATE else role.value
        name = f"{short}-{_slug(certificate.label)}"
        if role is BundleRole.CROSS:
            name += f"-by-{_slug(name_label(certificate.issuer))}"
        taken = f"{name}.pem" in names.values()
        names[certificate] = f"{name}-{certificate.sha256[:8]}.pem" if taken else f"{name}.pem"
    files = {name: certificate.pem for certificate, name in names.items()}
    return {MANIFEST: _manifest(wanted, found, names).encode(), **files}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:48] or "ca"


def _manifest(wanted: Wanted, found: Sorted, names: Mapping[Certificate, str]) -> str:
    lines = [_HEAD + f"name = {_text(wanted.name)}", f"title = {_text(wanted.title or wanted.name)}"]
    lines.append(f"source = {_text(wanted.source or 'files given to trustmend bundle new')}")
    if wanted.deadline is not None:
        lines.append(f"deadline = {wanted.deadline.isoformat()}")
    lines.append(f"endpoints = {_listed(wanted.endpoints)}")
    for certificate, role in found.roles.items():
        install = str(found.installs(certificate)).lower()
        lines += [
            "\n[[certificate]]",
            f"file = {_text(names[certificate])}",
            f"role = {_text(role.value)}",
            f"sha256 = {_text(certificate.sha256)}",
            f"install = {install}",
        ]
    ids: set[str] = set()
    for paths in found.chains:
        first = paths[0][0]
        chain_id = _slug(first.label)
        chain_id = f"{chain_id}-{first.sha256[:8]}" if chain_id in ids else chain_id
        ids.add(chain_id)
        lines += [
            "\n[[chain]]",
            f"id = {_text(chain_id)}",
            f"title = {_text(first.label)}",
            "required = true",
            f"path = {_listed([names[one] for one in paths[0]])}",
            "alternates = [",
            *(f"  {_listed([names[one] for one in path])}," for path in paths[1:]),
            "]",
        ]
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are among TOML's."""
    return json.dumps(value, ensure_ascii=False)


def _listed(values: Sequence[str]) -> str:
    return "[" + ", ".join(map(_text, values)) + "]"
