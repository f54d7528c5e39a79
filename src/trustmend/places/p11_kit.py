"""The folders that p11-kit's trust module reads, and who takes its word: GnuTLS, NSS where it loads that module.

An administrator's folder and a vendor's make one store: what the module gives is the sum of both, and a bar in either
holds for both. It stands under the vendor's folder, and its source is the administrator's.

Source: pkcs11.conf(5) and trust(1); the paths are those that distributions compile in (`trust_paths` of meson):
ca-certificates and p11-kit of Fedora and RHEL, Arch, openSUSE. Debian compiles in its bundle, a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from trustmend.model import Family, Location, Role, Use

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

PAIRS: Final = (
    ("/etc/pki/ca-trust/source", "/usr/share/pki/ca-trust-source"),
    ("/etc/ca-certificates/trust-source", "/usr/share/ca-certificates/trust-source"),
    ("/etc/pki/trust", "/usr/share/pki/trust"),
)
"""The administrator's folder and the vendor's, of: Fedora and RHEL; Arch; SUSE."""
BUNDLE: Final = "/etc/ssl/certs/ca-certificates.crt"
"""Debian's and Alpine's own path: one file."""
MODULES: Final = ("/etc/pkcs11/modules/p11-kit-trust.module", "/usr/share/p11-kit/modules/p11-kit-trust.module")
"""Where the trust module is configured, the first wins (pkcs11.conf(5))."""
_PATHS: Final = re.compile(r"^x-init-reserved:.*?\bpaths=(?:'([^'\n]*)'|(\S+))", re.MULTILINE)
_MODULE: Final = "p11-kit-trust.so"
_ROOTS: Final = "libnssckbi.so"
_GNUTLS: Final = "libgnutls.so.30"
_SUB_FOLDERS: Final = frozenset({"anchors", "blocklist", "blacklist"})


def locations(host: Host, survey: Survey) -> Iterator[Location]:
    """The store of each pair of folders that is there, and Debian's bundle where NSS reads it by p11-kit."""
    nss, gnutls = _readers(host)
    uses = [Use("nss", f"p11-kit's trust module, which NSS programs load as {path}") for path in nss]
    if gnutls is not None:
        uses.append(Use("gnutls", "GnuTLS's default where it is built so: p11-kit's trust module", gnutls))
    uses = uses or [Use("nss", "programs that load p11-kit's trust module")]
    for folders in _configured(host):
        if host.is_dir(folders[-1]):  # without the vendor's part nobody takes this for a list of public roots
            source = f"{folders[0]}/anchors"
            owner = "ca-certificates (read by p11-kit)"
            yield Location(folders[-1], Family.OS, Role.PUBLIC, tuple(uses), source, owner)
        elif nss and folders[-1:] == (BUNDLE,) and host.is_file(BUNDLE):
            yield Location(BUNDLE, Family.OS, None, tuple(use for use in uses if use.reader == "nss"))


def folders_of(host: Host, path: str) -> tuple[str, ...]:
    """The folders that make one store with the folder `path`, in their order; empty for any other folder.

    Args:
        host: whose.
        path: resolved.
    """
    known = {folder for pair in PAIRS for folder in pair}
    if path not in known and not _SUB_FOLDERS.intersection(host.listed(path)):
        return ()
    for folders in _configured(host):
        there = [folder for folder in folders if host.is_dir(folder)]
        if any(folder == path or _resolved(host, folder) == path for folder in there):
            return tuple(there)
    return ()


def _configured(host: Host) -> list[tuple[str, ...]]:
    """The paths that the module is told to read, then those that distributions compile into it."""
    found: list[tuple[str, ...]] = []
    for path in MODULES:
        try:
            text = host.read(path, limit=65536).content.decode("utf-8", "surrogateescape")
        except OSError:
            continue
        if (said := _PATHS.search(text)) is not None:
            paths = (said[1] or said[2] or "").split(":")
            found.append(tuple(one.rstrip("/") for one in paths if one.startswith("/")))
        break
    return list(dict.fromkeys([*found, *PAIRS, (BUNDLE,)]))


def _resolved(host: Host, path: str) -> str | None:
    try:
        return host.resolve(path)
    except OSError:
        return None


def _readers(host: Host) -> tuple[Sequence[str], str | None]:
    """NSS's modules of built-in roots that are links to p11-kit's, and GnuTLS's library."""
    libraries = ["/usr/lib64", "/usr/lib"]
    libraries += [f"/usr/lib/{name}" for name in host.listed("/usr/lib") if name.endswith(("-linux-gnu", "-gnueabihf"))]
    modules = [f"{folder}/{inner}{_ROOTS}" for folder in libraries for inner in ("", "nss/", "firefox/")]
    nss = [path for path in modules if host.exists(path) and (_resolved(host, path) or "").endswith(f"/{_MODULE}")]
    gnutls = next((f"{folder}/{_GNUTLS}" for folder in libraries if host.is_file(f"{folder}/{_GNUTLS}")), None)
    return nss, gnutls
