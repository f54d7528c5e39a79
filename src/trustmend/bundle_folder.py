"""The folders that bundles lie in: where they are, whose they must be, and what may be in one."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from trustmend import guard
from trustmend.bundle_manifest import MANIFEST
from trustmend.certificate import Certificate, printable
from trustmend.errors import BundleError, MalformedError
from trustmend.host import Host

_MAX_BYTES: Final = 1024 * 1024  # one certificate takes a few kilobytes
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 #]+)-----")
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_KEY_MARK: Final = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY")
# PKCS #8, PKCS #1, SEC 1 and PKCS #12 all begin with a SEQUENCE whose first part is a small version number; no
# certificate does. An encrypted PKCS #8 begins with the OID of its encryption. JKS and JCEKS have magic numbers.
_KEY_DER: Final = re.compile(
    rb"\x30(?:[\x00-\x7f]|\x81.|\x82..|\x83...|\x80)(?:\x02\x01[\x00-\x03]"
    rb"|\x30(?:[\x00-\x7f]|\x81.|\x82..)\x06.\x2a\x86\x48\x86\xf7\x0d\x01(?:\x05|\x0c))",
    re.DOTALL,
)
_KEY_STORES: Final = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")


@cache
def builtin_folder() -> str:
    """The folder of the shipped bundles: beside the installed package, else in its checkout.

    Raises:
        BundleError: it is in neither place.
    """
    package = os.path.dirname(os.path.realpath(__file__))
    beside = f"{package}/bundles"
    if os.path.isdir(beside):
        return beside
    source, checkout = os.path.dirname(package), os.path.dirname(os.path.dirname(package))
    if os.path.basename(source) == "src" and os.path.isdir(f"{checkout}/bundles"):
        return f"{checkout}/bundles"
    raise BundleError("the shipped bundles are missing from this installation", hint="install trustmend again")


def site_folder() -> str:
    """Where an administrator puts bundles for all users."""
    from platformdirs import site_config_dir

    return f"{site_config_dir('trustmend', appauthor=False)}/bundles"


def user_folder() -> str:
    """Where the caller puts bundles."""
    from platformdirs import user_config_dir

    return f"{user_config_dir('trustmend', appauthor=False)}/bundles"


def names_in(folder: str) -> list[str]:
    """The names of the bundles in a folder of bundles, sorted; none where there is no such folder."""
    try:
        return sorted(name for name in os.listdir(folder) if os.path.isfile(f"{folder}/{name}/{MANIFEST}"))
    except OSError:
        return []


@dataclass(frozen=True)
class Files:
    """The files of one bundle, all read at once."""

    folder: str
    content: Mapping[str, bytes]

    @property
    def manifest(self) -> bytes:
        """The manifest's bytes."""
        return self.content[MANIFEST]

    def certificate(self, file: str) -> Certificate:
        """The certificate in a PEM file that holds nothing but this one. Raises BundleError."""
        path = printable(f"{self.folder}/{file}")
        if file not in self.content:
            raise BundleError(f"`{path}`, which the manifest names, is missing")
        content = self.content[file]
        blocks = len(_BLOCK.findall(content))
        found = _CERTIFICATE.search(content)
        if blocks > 1:
            raise BundleError(f"`{path}` holds {blocks} PEM blocks", hint="one certificate per file, and nothing else")
        if found is None:
            raise BundleError(f"`{path}` holds no whole PEM certificate")
        try:
            return Certificate.of(base64.b64decode(b"".join(found[1].split()), validate=True))
        except (binascii.Error, MalformedError) as problem:
            raise BundleError(f"`{path}` holds a damaged certificate: {problem}") from problem


def read(host: Host, folder: str, *, guarded: bool) -> Files:
    """Every file of a bundle's folder, none of them a private key. Folders in it are not looked into.

    Args:
        host: this machine.
        folder: an absolute path.
        guarded: others than root and the caller must not be able to write it.

    Raises:
        BundleError: for a file that cannot be read, is too large, leads out of the folder or holds a private key.
    """
    if guarded:
        _believe(guard.of_path(folder, "bundle"))
    content: dict[str, bytes] = {}
    try:
        found = host.names(folder)
    except OSError as problem:
        raise BundleError(f"`{printable(folder)}` cannot be read: {problem.strerror}") from problem
    if MANIFEST not in found:
        raise BundleError(
            f"`{printable(folder)}` is no bundle: it has no {MANIFEST}",
            hint="`trustmend bundle new` makes a bundle from certificate files",
        )
    for name in found:
        path = f"{folder}/{name}"
        if os.path.islink(path) and not _inside(folder, path):
            raise BundleError(
                f"`{printable(path)}` is a link that leads out of its folder", hint="put a copy in its place"
            )
        if not os.path.isfile(path):
            continue
        try:
            file = host.read(path, limit=_MAX_BYTES)
        except OSError as problem:
            raise BundleError(f"`{printable(path)}` cannot be read: {problem.strerror}") from problem
        if guarded:
            _believe(guard.of_status(path, file.status, "bundle"))
        if holds_private_key(file.content):
            raise BundleError(
                f"`{printable(path)}` holds a private key", hint="a bundle is public: keep the key elsewhere"
            )
        content[name] = file.content
    return Files(folder, content)


def holds_private_key(content: bytes) -> bool:
    """Whether these are the bytes of a private key or of a key store, as far as their form tells."""
    start = content[:32]
    return bool(_KEY_MARK.search(content) or _KEY_DER.match(start) or start.startswith(_KEY_STORES))


def _inside(folder: str, path: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(folder) + "/")


def _believe(doubt: guard.Doubt | None) -> None:
    """Raises BundleError where there is a doubt."""
    if doubt is not None:
        raise BundleError(doubt.message, hint=doubt.hint)
