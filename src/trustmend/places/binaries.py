"""Programs that trust by roots compiled into them: Go's x509roots/fallback, Rust's webpki-roots, Deno, uv and others.

They read no store, or only when told to, so that no patch reaches them; an audit that left them out would call a host
ready that is not. Only what `programs` names is opened, and of that only the constants, see `image`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

from trustmend.certificate import Certificate, printable
from trustmend.model import Family, Finding, Location, Role, Severity, Use
from trustmend.places import image
from trustmend.places.node import compiled_in
from trustmend.places.programs import Program, programs

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

GO_FALLBACKS: Final = (b"golang.org/x/crypto/x509roots/fallback", b"github.com/breml/rootcerts")
"""Go takes their roots only where the system has none (crypto/x509, SetFallbackRoots), as in an empty container."""
GO_MODULES: Final = (b"github.com/certifi/gocertifi", *GO_FALLBACKS)
"""Packages of Go that embed Mozilla's roots."""
REMEDIES: Final = {
    "uv": "update uv; until then SSL_CERT_FILE=FILE, or --system-certs, replaces its roots",
    "uvx": "update uv; until then SSL_CERT_FILE=FILE, or --system-certs, replaces its roots",
    "deno": "update Deno; until then DENO_CERT=FILE adds roots, and DENO_TLS_CA_STORE=system reads the system's",
    "bun": "update Bun; until then NODE_EXTRA_CA_CERTS=FILE adds roots, or --use-system-ca reads the system's",
}
REMEDY: Final = "update this program to a release with newer roots, or use an option of its own that names a CA file"
MIN_BYTES: Final = 1 << 20
MAX_BYTES: Final = 256 << 20
MAX_TOTAL_BYTES: Final = 512 << 20
"""Of constants read for one audit: half a second, from a disk of 1 GB/s."""
BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/var/lib/ca-certificates/ca-bundle.pem",
    "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
)
_NODES: Final = ("node", "nodejs")


def locations(host: Host, survey: Survey) -> Iterator[Location]:
    """The roots of each such program."""

    @cache
    def known() -> tuple[Certificate, ...]:
        return _known(host, survey)

    room = MAX_TOTAL_BYTES
    for program in programs(host, survey):
        name = program.path.rpartition("/")[2]
        if not program.head.startswith(b"\x7fELF") or not MIN_BYTES <= program.size <= MAX_BYTES or name in _NODES:
            continue
        try:
            with host.opened(program.path) as file:
                picture = image.image(file)
                if picture is None or not _promising(picture):
                    continue
                room -= sum(end - start for start, end in picture.read_only)
                if room < 0:
                    return
                found = image.roots(picture, known)
                reader, fallback = _reader(name, picture, found), _only_fallback(picture)
        except OSError:
            continue
        if found is not None:
            yield _location(program, found, reader, fallback=fallback)


def _promising(picture: image.Image) -> bool:
    """A program of Go says which modules it was made from."""
    modules = picture.go_modules
    return modules is None or any(module in modules for module in GO_MODULES)


def _only_fallback(picture: image.Image) -> bool:
    modules = picture.go_modules or b""
    return any(module in modules for module in GO_FALLBACKS) and GO_MODULES[0] not in modules


def _reader(name: str, picture: image.Image, found: image.Roots | None) -> str:
    """Whose rules judge: Go's, Node's for Bun (seen with 1.4.5) and for text, which is OpenSSL's form, or rustls's."""
    if picture.is_go:
        return "go"
    return "node" if name == "bun" or (found is not None and found.pem) else "rustls"


def _location(program: Program, found: image.Roots, reader: str, *, fallback: bool) -> Location:
    name = program.path.rpartition("/")[2]
    use = Use(reader, "the roots that this program was built with", program.path)
    family = Family.NODE if name in ("deno", "bun") else Family.TOOL
    location = compiled_in(program.path, family, found, use, REMEDIES.get(name, REMEDY), owner=printable(name))
    if fallback:
        text = "Go takes them only where the system has no roots at all"
        findings = (*location.findings, Finding("fallback-roots", Severity.INFO, text))
        return replace(location, role=Role.UNKNOWN, findings=findings)
    return location


def _known(host: Host, survey: Survey) -> tuple[Certificate, ...]:
    """Certificates of everybody's roots: those of this host's bundles and of the bundles that trustmend ships."""
    from trustmend.host import Host  # trustmend's own files are this machine's, whatever host is looked at

    found: dict[Certificate, None] = {}
    certifis = [path for path in survey["bundles"] if path.endswith("certifi/cacert.pem")]
    for path in (*BUNDLES, *certifis[-3:]):
        found.update((one, None) for one in _certificates(host, path))
    for path in _shipped():
        found.update((one, None) for one in _certificates(Host(), path))
    return tuple(found)


def _shipped() -> list[str]:
    """The roots of trustmend's own bundles, which lie beside the package or in its checkout."""
    package = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    for top in (os.path.join(package, "bundles"), os.path.join(package, "..", "..", "bundles")):
        if os.path.isdir(top):
            files = (os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names)
            return sorted(file for file in files if file.endswith(".pem"))
    return []


def _certificates(host: Host, path: str) -> list[Certificate]:
    try:
        with host.opened(path, limit=16 << 20) as file:
            return image.in_text(
                file, image.search(file, [(0, file.seek(0, os.SEEK_END))], (image.BEGIN,))[image.BEGIN]
            )
    except OSError:
        return []
