"""Node: the root certificates that each of its programs was built with, read from the program's own bytes.

Node trusts these, and nothing of the system's, unless it was built with --openssl-use-def-ca-store, as Debian's and
Fedora's are: those read OpenSSL's default store (configure.py; src/crypto/crypto_context.cc, NewRootCertStore). Nothing
is executed: a program of a foreign root, or one that others may write, is read like any other, in a few milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trustmend.certificate import printable
from trustmend.model import Family, Finding, Location, Role, Severity, Use
from trustmend.places import image
from trustmend.places.paths import everywhere, matching, regular

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

PART: Final = "compiled-in roots"
REMEDY: Final = (
    "update this Node; until then NODE_EXTRA_CA_CERTS=FILE adds roots, and --use-openssl-ca, or --use-system-ca since "
    "22.15 and 23.8, make it read the system's"
)
PROGRAMS: Final = (
    "/usr/bin/node",
    "/usr/bin/nodejs",
    "/usr/bin/node-*",  # Fedora's and SUSE's, one for each version
    "/usr/bin/node[0-9]*",
    "/usr/local/bin/node",
    "/usr/local/node*/bin/node",
    "/usr/local/lib/nodejs/*/bin/node",
    "/usr/local/nvm/versions/node/*/bin/node",
    "/usr/local/n/versions/node/*/bin/node",
    "/usr/local/share/nvm/versions/node/*/bin/node",
    "/opt/node*/bin/node",
    "/opt/*/bin/node",
    "/opt/*/node/bin/node",
    "/opt/nvm/versions/node/*/bin/node",
    "/snap/node/current/bin/node",
)
HOME_PROGRAMS: Final = (
    ".nvm/versions/node/*/bin/node",
    ".volta/tools/image/node/*/bin/node",
    ".fnm/node-versions/*/installation/bin/node",
    ".local/share/fnm/node-versions/*/installation/bin/node",
    ".asdf/installs/nodejs/*/bin/node",
    ".local/share/mise/installs/node/*/bin/node",
    ".nodenv/versions/*/bin/node",
    "n/n/versions/node/*/bin/node",
    ".local/share/pnpm/nodejs/*/bin/node",
    ".local/bin/node",
    ".vscode-server/bin/*/node",
    ".vscode-server/cli/servers/*/server/node",
    ".cursor-server/bin/*/node",
    "miniconda3/bin/node",
    "miniconda3/envs/*/bin/node",
)
LIBRARIES: Final = ("/usr/lib/*/libnode.so.*", "/usr/lib64/libnode.so.*", "/usr/lib/libnode.so.*")
"""Where distributions keep all of Node but a small program that loads it."""
OPENSSL_FOLDERS: Final = ("/usr/lib/ssl", "/etc/pki/tls", "/etc/ssl")
"""OPENSSLDIR of Debian, Fedora, others: the first that has a store is the host's."""
MAX_BYTES: Final = 256 << 20
_SMALL: Final = 1 << 20
_MAX_PROGRAMS: Final = 40
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_CONFIG: Final = b'{ "target_defaults"'  # process.config, which ./configure wrote
_RELEASE: Final = b"/download/release/v"  # process.release.headersUrl
_SYSTEM_STORE: Final = b"NODE_OPENSSL_CERT_STORE"
_VERSION: Final = re.compile(rb"v(\d+\.\d+\.\d+)")


@dataclass(frozen=True)
class Node:
    """What one Node says of itself."""

    version: str | None
    reads_system: bool  # OpenSSL's default store, not its own roots
    roots: image.Roots | None


def locations(host: Host, survey: Survey) -> Iterator[Location]:
    """The roots of each Node; for one that reads OpenSSL's default store, that store with it as a reader."""
    done: set[str] = set()
    for number, program in enumerate(regular(host, everywhere(host, survey, PROGRAMS, HOME_PROGRAMS))):
        if number == _MAX_PROGRAMS:
            return
        for path in _images(host, program):
            if path not in done:
                done.add(path)
                yield from _of(host, program, path)


def _images(host: Host, program: str) -> list[str]:
    """The file that has the roots in it: the program itself, or the library that it loads."""
    try:
        small = host.stat(program).st_size < _SMALL
        script = small and host.head(program, 4) != b"\x7fELF"
    except OSError:
        return []
    if script:
        return []
    return list(regular(host, (path for p in LIBRARIES for path in matching(host, p)))) if small else [program]


def _of(host: Host, program: str, path: str) -> Iterator[Location]:
    node = read(host, path)
    if node is None:
        return
    if node.reads_system:
        use = Use("openssl-3", "OpenSSL's default store, which this Node was built to read", program, node.version)
        stores = [[path for path in (f"{d}/cert.pem", f"{d}/certs") if host.exists(path)] for d in OPENSSL_FOLDERS]
        for store in next(filter(None, stores), []):
            yield Location(store, Family.OS, Role.PUBLIC, (use,))
    elif node.roots is not None:
        yield compiled_in(
            path,
            Family.NODE,
            node.roots,
            Use("node", "the roots that this Node was built with", program, node.version),
            REMEDY,
            owner=f"Node {node.version or ''}".rstrip(),
        )


def read(host: Host, path: str) -> Node | None:
    """What the Node in this file was built with; None for a file that is no program or cannot be read."""
    try:
        with host.opened(path) as file:
            picture = image.image(file)
            if picture is None or sum(end - start for start, end in picture.read_only) > MAX_BYTES:
                return None
            hits = image.search(file, picture.read_only, (_BEGIN, _CONFIG, _RELEASE), enough=True)
            config = image.read_at(file, hits[_CONFIG][0], 4096) if hits[_CONFIG] else b""
            release = image.read_at(file, hits[_RELEASE][0], 64) if hits[_RELEASE] else b""
            found = image.in_text(file, hits[_BEGIN])
    except OSError:
        return None
    version = _VERSION.search(release)
    roots = image.Roots(tuple(found), exact=True, pem=True) if len(found) >= image.MIN_ROOTS else None
    return Node(version[1].decode() if version else None, _SYSTEM_STORE in config, roots)


def compiled_in(
    path: str, family: Family, roots: image.Roots, use: Use, remedy: str, *, owner: str | None = None
) -> Location:
    """The roots inside a program as a location that no patch can change."""
    text = "these roots are part of the program itself"
    if not roots.exact:
        text += "; of each only subject and key stand there, and the certificates shown are known ones with both"
    return Location(
        path,
        family,
        Role.PUBLIC,
        (use,),
        owner=None if owner is None else printable(owner),
        findings=(Finding("compiled-in", Severity.INFO, text),),
        part=PART,
        data=roots.text(),
        remedy=remedy,
    )
