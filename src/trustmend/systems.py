"""How each family of distributions takes in a certificate for all its programs: data, with where it is written down.

What an administrator edits is the source; a command makes the artifacts from it, which programs read. A certificate
that was put into an artifact is lost at the command's next run, so only the source is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from trustmend.certificate import Certificate

_SLUG: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class System:
    """One family.

    source: the administrator's folder, as `places.os_store` names it.
    folder: what our files go into; it is the source or lies in it.
    commands: programs that make the artifacts, with their arguments; the first that is there is run.
    watched: files and folders (with all that is in them) that the command writes.
    blocked: folders of certificates that are not to be trusted; a certificate there wins over every source.
    deselected: a file whose lines with a leading `!` name certificates that are not to be trusted.
    hooks: a folder of programs that the command runs.
    spreads: intermediates are put there, too, and become anchors like roots.
    locks: of the package manager, which are waited for.
    link: what the command calls its link to a file of the source, by the file's name without its ending.
    configured: a package of the manager's whose own part of the work is left undone for good where it is cut off.
    """

    name: str
    ids: tuple[str, ...]  # ID or ID_LIKE of os-release(5)
    source: str
    folder: str
    suffix: str
    commands: tuple[tuple[str, ...], ...]
    watched: tuple[str, ...]
    spreads: bool
    blocked: tuple[str, ...] = ()
    deselected: str | None = None
    shipped: str | None = None  # where the lines of `deselected` begin
    hooks: str | None = None
    locks: tuple[str, ...] = ()
    configured: str | None = None
    link: str = "{}.pem"


SYSTEMS: Final = (
    # update-ca-certificates(8) takes every *.crt below the folder, at any depth, and links it by its bare name. The
    # hook of ca-certificates-java adds it to the Java store, since Debian 12 through a trigger of dpkg.
    System(
        "Debian",
        ("debian", "ubuntu"),
        "/usr/local/share/ca-certificates",
        "/usr/local/share/ca-certificates/trustmend",
        ".crt",
        (("/usr/sbin/update-ca-certificates",),),
        ("/etc/ssl/certs", "/var/lib/ca-certificates-java"),
        spreads=True,
        deselected="/etc/ca-certificates.conf",
        shipped="/usr/share/ca-certificates",
        hooks="/etc/ca-certificates/update.d",
        locks=("/var/lib/dpkg/lock-frontend",),
        configured="ca-certificates-java",
    ),
    # Alpine's update-ca.c reads no folder below this one, and takes every file in it as it is.
    System(
        "Alpine",
        ("alpine",),
        "/usr/local/share/ca-certificates",
        "/usr/local/share/ca-certificates",
        ".crt",
        (("/usr/sbin/update-ca-certificates",),),
        ("/etc/ssl/certs",),
        spreads=True,
        deselected="/etc/ca-certificates.conf",
        shipped="/usr/share/ca-certificates",
        hooks="/etc/ca-certificates/update.d",
        locks=("/lib/apk/db/lock",),
        link="ca-cert-{}.pem",
    ),
    System(
        "Gentoo",
        ("gentoo",),
        "/usr/local/share/ca-certificates",
        "/usr/local/share/ca-certificates/trustmend",
        ".crt",
        (("/usr/sbin/update-ca-certificates",),),
        ("/etc/ssl/certs",),
        spreads=True,
        deselected="/etc/ca-certificates.conf",
        shipped="/usr/share/ca-certificates",
        hooks="/etc/ca-certificates/update.d",
    ),
    # update-ca-trust(8): what stands in source/ itself is neither trusted nor barred, only what is in anchors/ is. No
    # intermediate is put there: p11-kit writes it into ca-bundle.trust.crt without any trusted use, and OpenSSL then
    # refuses every chain through it ("certificate rejected", seen with p11-kit 0.24 and OpenSSL 3.0).
    System(
        "RHEL",
        ("rhel", "fedora", "centos", "rocky", "almalinux", "ol", "amzn"),
        "/etc/pki/ca-trust/source/anchors",
        "/etc/pki/ca-trust/source/anchors",
        ".pem",
        (("/usr/bin/update-ca-trust", "extract"), ("/usr/sbin/update-ca-trust", "extract")),
        ("/etc/pki/ca-trust/extracted", "/etc/pki/tls/certs"),
        spreads=False,
        blocked=(
            "/etc/pki/ca-trust/source/blocklist",
            "/etc/pki/ca-trust/source/blacklist",
            "/usr/share/pki/ca-trust-source/blocklist",
            "/usr/share/pki/ca-trust-source/blacklist",
        ),
        locks=("/var/lib/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/.rpm.lock"),
    ),
    System(
        "Arch",
        ("arch", "manjaro"),
        "/etc/ca-certificates/trust-source/anchors",
        "/etc/ca-certificates/trust-source/anchors",
        ".pem",
        (("/usr/bin/update-ca-trust",), ("/usr/bin/trust", "extract-compat")),
        ("/etc/ca-certificates/extracted", "/etc/ssl/certs"),
        spreads=False,
        blocked=(
            "/etc/ca-certificates/trust-source/blocklist",
            "/etc/ca-certificates/trust-source/blacklist",
            "/usr/share/ca-certificates/trust-source/blocklist",
            "/usr/share/ca-certificates/trust-source/blacklist",
        ),
    ),
    # openSUSE/ca-certificates, README: anchors/ is for plain certificates.
    System(
        "SUSE",
        ("suse", "opensuse", "sles", "sled", "opensuse-leap", "opensuse-tumbleweed"),
        "/etc/pki/trust/anchors",
        "/etc/pki/trust/anchors",
        ".pem",
        (("/usr/sbin/update-ca-certificates",),),
        ("/var/lib/ca-certificates",),
        spreads=False,
        blocked=(
            "/etc/pki/trust/blocklist",
            "/etc/pki/trust/blacklist",
            "/usr/share/pki/trust/blocklist",
            "/usr/share/pki/trust/blacklist",
        ),
        locks=("/var/lib/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/.rpm.lock"),
    ),
)


def system_of(source: str, ids: Iterable[str]) -> System | None:
    """The family whose source this is; where several share it, the one that os-release's words name first.

    Args:
        source: a store's source folder.
        ids: ID and ID_LIKE of the host, in their order.
    """
    words = list(ids)
    fitting = [system for system in SYSTEMS if system.source == source]
    return min(
        fitting,
        key=lambda system: min((words.index(i) for i in system.ids if i in words), default=len(words)),
        default=None,
    )


def takes_intermediates(source: str) -> bool:
    """Whether an intermediate that is put into this source comes into the artifacts."""
    return all(system.spreads for system in SYSTEMS if system.source == source)


def file_name(certificate: Certificate) -> str:
    """The bare name, without a suffix, of our file for a certificate: unique, for Debian links by bare names."""
    slug = _SLUG.sub("-", certificate.label.lower()).strip("-")[:60].rstrip("-")
    return "-".join(filter(None, ("trustmend", slug, certificate.sha256[:16])))


def alias(certificate: Certificate) -> str:
    """The alias of a certificate that we add to a key store: never another certificate's, and the same every time."""
    return f"trustmend-{certificate.sha256[:16]}"
