"""What a plan is made of: wishes, facts, steps, and what cannot be mended. `planning` makes one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from trustmend.audit import Judged
from trustmend.bundle import Bundle, BundleCertificate
from trustmend.model import Kind, Store
from trustmend.systems import System

KEY_STORES: Final = frozenset({Kind.JKS, Kind.JCEKS, Kind.PKCS12})
"""The kinds that are written here; BCFKS only a JVM with its provider can write."""


class Method(StrEnum):
    """How a store is changed."""

    PEM = "pem"
    DIRECTORY = "directory"
    KEY_STORE = "key-store"
    NSS = "nss"
    SYSTEM = "system"


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for."""

    complete: bool = False  # also stores that trust the chains and lack a certificate
    roots_only: bool = False
    client_auth: bool = False  # also stores that verify clients
    families: frozenset[str] = frozenset()  # families and kinds; empty: all


@dataclass(frozen=True)
class Obstacle:
    """Why a store cannot be written here, and what to do instead."""

    reason: str
    remedy: str


@dataclass(frozen=True)
class Facts:
    """What stands around one store, as far as a plan needs it.

    content: a file's bytes, the ones that were judged.
    names: of a folder: name -> what it links to, "" for what is no link.
    obstacle: what is in the way of writing there.
    package, upgrade: whose file it is, and the command that would bring that package's next version.
    newer: what is known of versions that bring the missing roots.
    hopeless: what is known of versions that do not bring them.
    hard_links: further names of the same file.
    keytool: a program that can read the written key store back; None: there is none that may be run.
    writable: builds the new bytes with a password that opens the store; None: no known password does.
    """

    content: bytes = b""
    names: Mapping[str, str] = field(default_factory=dict)
    obstacle: Obstacle | None = None
    package: str | None = None
    upgrade: str | None = None
    newer: str | None = None
    hopeless: str | None = None
    hard_links: int = 1
    keytool: str | None = None
    password: str | None = field(default=None, repr=False)
    opens: bool = False  # `password` (None: no password at all) opens the key store or database
    certutil: str | None = None  # of an NSS database: a program that may be run to change it
    beside: tuple[str, ...] = ()  # further files that change with it


@dataclass(frozen=True)
class SystemFacts:
    """What is known of the system's own way to take in certificates.

    command: what makes the artifacts; None: it is not there.
    bars: SHA-256 of a certificate -> the file, or file and line, that bars it.
    existing: SHA-256 of our own files that stand in the source already.
    files: files that the command writes, as they are there now; with a "/" at the end a folder that it writes whole.
    links: names of the hash directory, as in `Facts.names`; its path is `directory`.
    pending: paths that its command changes anyway, for what others have left for its next run.
    unreached: artifacts that its command does not write after all, and that are changed like any other store.
    newer, upgrade: as in `Facts`, of the package that brings the command and the roots.
    """

    system: System
    command: tuple[str, ...] | None = None
    obstacle: Obstacle | None = None
    bars: Mapping[str, str] = field(default_factory=dict)
    existing: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()
    directory: str | None = None
    unreached: frozenset[str] = frozenset()
    pending: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    newer: str | None = None
    upgrade: str | None = None


@dataclass(frozen=True)
class Step:
    """One change to one source: the stores that it mends, what is added, and every path whose bytes change by it."""

    method: Method
    stores: tuple[Judged, ...]
    add: tuple[BundleCertificate, ...]
    files: tuple[str, ...]
    facts: Facts = field(default_factory=Facts, repr=False)
    system: SystemFacts | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """What is edited: the store itself, or the source folder."""
        return self.system.system.source if self.system else self.stores[0].store.path


@dataclass(frozen=True)
class CannotFix:
    """A counted store that refuses the chains and stays as it is."""

    store: Store
    reason: str
    remedy: str


@dataclass(frozen=True)
class Plan:
    """All that a patch would do; applying it touches the files of its steps and nothing else."""

    at: datetime
    bundles: tuple[Bundle, ...]
    steps: tuple[Step, ...]
    cannot_fix: tuple[CannotFix, ...]
    roots_only: bool = False
