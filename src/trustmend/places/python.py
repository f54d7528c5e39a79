"""Python's own CA bundles: every certifi and its vendored copies, and the bundles other packages carry.

The survey's walk has found the files by name; here each gets its owner, and the Python version whose rules read it.
No interpreter is run. A bundle's name outside any place that is known to be read by Python is no Python bundle: its
content decides then what it is for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from trustmend.certificate import printable
from trustmend.model import Family, Location, Role, Use

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

BUNDLES: Final = (
    # (end of the path, the package that reads it)
    ("certifi/cacert.pem", "certifi"),
    ("bq/third_party/certifi/cacert.pem", "certifi"),
    ("botocore/cacert.pem", "botocore"),
    ("requests/cacert.pem", "requests"),  # before 2.16, and the copies vendored by botocore and pip
    ("requests/packages/certifi/cacert.pem", "requests"),
    ("httplib2/cacerts.txt", "httplib2"),
    ("httplib2/python2/cacerts.txt", "httplib2"),
    ("httplib2/python3/cacerts.txt", "httplib2"),
    ("grpc/_cython/_credentials/roots.pem", "grpc"),
    ("boto/cacerts/cacerts.txt", "boto"),
    ("gslib/data/cacerts.txt", "gslib"),
    ("tornado/ca-certificates.crt", "tornado"),  # before 4.2
    ("websocket/cacert.pem", "websocket"),  # websocket-client before 0.58
    ("pip/cacert.pem", "pip"),
)
_VERSION: Final = re.compile(r"/(?:python|pypy)(\d+)\.(\d+)t?/")
_INTERPRETER: Final = re.compile(r"(.*)/lib(?:64)?/(?:python|pypy)\d+(?:\.\d+)?t?/")
_DUNDER: Final = re.compile(rb"""^__version__\s*=\s*["']([0-9A-Za-z.+!-]{1,40})["']""", re.MULTILINE)
_METADATA: Final = re.compile(r"(?P<name>.+?)-(?P<version>\d[^-]*)(?:-py[\d.]+)?\.(?:dist-info|egg-info)\Z")
_DISTRIBUTIONS: Final = {"grpc": "grpcio", "websocket": "websocket-client"}
_LIBRARIES: Final = frozenset(("site-packages", "dist-packages", "vendor-packages"))


def locations(host: Host, survey: Survey) -> Iterator[Location]:
    """Every bundle of the survey, each path once; and conda's, which OpenSSL and its Python read."""
    listings: dict[str, list[str]] = {}
    for path in survey["bundles"]:
        if _in_package_cache(host, path):
            continue
        package = next((package for end, package in BUNDLES if path.endswith("/" + end)), None)
        prefix, version, reader = _interpreter(host, survey, path)
        conda = path.endswith("/ssl/cacert.pem") and host.is_dir(f"{path[: -len('/ssl/cacert.pem')]}/conda-meta")
        if conda:
            prefix = path[: -len("/ssl/cacert.pem")]
            uses = (
                Use("openssl-3", "OpenSSL's default in a conda environment", prefix),
                Use(reader, "the ssl module's default in a conda environment", prefix),
            )
            yield Location(path, Family.PYTHON, Role.PUBLIC, uses, owner="conda: ca-certificates")
        elif package is not None:
            use = Use(reader, f"the Python package {package}", prefix, version)
            owner = _owner(host, path, package, listings)
            yield Location(path, Family.PYTHON, Role.PUBLIC, (use,), owner=owner)
        else:
            inside = _LIBRARIES.intersection(path.split("/"))
            yield Location(path, Family.PYTHON if inside else Family.CUSTOM)


def _in_package_cache(host: Host, path: str) -> bool:
    """Whether conda keeps the file to link it into environments, in which it is found, too; nothing reads it there."""
    before, cache, inside = path.partition("/pkgs/")
    return bool(cache) and host.is_file(f"{before}/pkgs/{inside.partition('/')[0]}/info/index.json")


def _interpreter(host: Host, survey: Survey, path: str) -> tuple[str | None, str | None, str]:
    """(interpreter or environment, version "3.11", reader) of the Python whose library folder holds `path`."""
    where = _INTERPRETER.match(path)
    prefix = where[1] if where else None
    matches = _VERSION.findall(path)
    if not matches and prefix == "/usr" and survey["pythons"]:
        # Debian's /usr/lib/python3 serves all its versions; the newest one is the default.
        newest = max(survey["pythons"], key=lambda name: int(name.rpartition(".")[2]))
        matches = [("3", newest.rpartition(".")[2])]
    if not matches:
        return prefix, None, "python-3.12"
    major, minor = matches[-1]
    version = f"{major}.{minor}"
    program = f"{prefix}/bin/python{version}"
    # Rules up to 3.12 are those of every older version, 2.7 included.
    reader = "python-3.13" if (int(major), int(minor)) >= (3, 13) else "python-3.12"
    return program if host.exists(program) else prefix, version, reader


def _owner(host: Host, path: str, package: str, listings: dict[str, list[str]]) -> str:
    """ "pip: certifi 2026.5.20", "certifi 2023.07.22, vendored by pip 23.0.1", or as much of it as the disk says."""
    inner = path[: path.rindex(f"/{package}/") + 1]
    folder = inner.rstrip("/")
    parts = folder.split("/")
    version = _written_version(host, f"{inner}{package}/__init__.py")
    anchor = next((i for i in range(len(parts) - 1, 0, -1) if parts[i] in _LIBRARIES), None)
    if anchor is None:
        return printable(f"{package} {version}".rstrip())
    library = "/".join(parts[: anchor + 1])
    if anchor == len(parts) - 1:
        installed = _installed(host, library, _DISTRIBUTIONS.get(package, package), listings)
        return printable(f"pip: {installed or f'{package} {version}'.rstrip()}")
    holder = parts[anchor + 1]
    vendored = f"{package} {version}".rstrip()
    return printable(f"{vendored}, vendored by {_installed(host, library, holder, listings) or holder}")


def _written_version(host: Host, path: str) -> str:
    try:
        found = _DUNDER.search(host.read(path, limit=1 << 18).content)
    except OSError:
        return ""
    return found[1].decode("ascii") if found else ""


def _installed(host: Host, library: str, name: str, listings: dict[str, list[str]]) -> str | None:
    """ "certifi 2026.5.20" from the metadata folders of a library folder (PEP 376, and setuptools before it)."""
    if library not in listings:
        listings[library] = [n for n in host.listed(library) if n.endswith((".dist-info", ".egg-info"))]
    wanted = name.lower().replace("-", "_")
    for entry in listings[library]:
        match = _METADATA.match(entry)
        if match and match["name"].lower().replace("-", "_") == wanted:
            return f"{name} {match['version']}"
    return None
