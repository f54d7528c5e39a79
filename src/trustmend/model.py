"""The nouns: entries, stores, verdicts and findings. Frozen values; nothing here touches the host.

Only what is made by the thousand has slots: they make the definition of a class, and so each start, slower.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from trustmend.certificate import Certificate


class Kind(StrEnum):
    """The form of a store; design: interface."""

    PEM_BUNDLE = "pem-bundle"
    PEM_DIRECTORY = "pem-directory"
    DER = "der"
    JKS = "jks"
    JCEKS = "jceks"
    PKCS12 = "pkcs12"
    BCFKS = "bcfks"
    NSS = "nss"
    P11_KIT = "p11-kit"
    KEYCHAIN = "keychain"
    WINDOWS = "windows"


class Family(StrEnum):
    """Whose store it is."""

    OS = "os"
    PYTHON = "python"
    JAVA = "java"
    BROWSER = "browser"
    NODE = "node"
    TOOL = "tool"
    CUSTOM = "custom"


class Role(StrEnum):
    """What a store's trust is for; only `public` ones and PATHs that the user names are counted."""

    PUBLIC = "public"
    PRIVATE = "private"
    CLIENT_AUTH = "client-auth"
    UNKNOWN = "unknown"
    NOT_A_TRUST_STORE = "not-a-trust-store"


class Verdict(StrEnum):
    """What one reader would say of a chain, or the worst of them for a store."""

    TRUSTED = "trusted"
    CONDITIONAL = "conditional"
    DISTRUSTED = "distrusted"
    UNTRUSTED = "untrusted"
    UNREADABLE = "unreadable"


# Worst first: a store's verdict is the worst over its known readers and the required chains.
WORST_FIRST: Final = (
    Verdict.UNREADABLE,
    Verdict.UNTRUSTED,
    Verdict.DISTRUSTED,
    Verdict.CONDITIONAL,
    Verdict.TRUSTED,
)


class Severity(StrEnum):
    """How much a finding matters to the verdict."""

    ERROR = "error"  # it makes a verdict bad
    WARNING = "warning"  # somebody should act
    INFO = "info"


@dataclass(frozen=True)
class Finding:
    """Something worth saying about a store. `message` is one printable sentence without a full stop."""

    code: str
    severity: Severity
    message: str
    certificate: str | None = None  # SHA-256


class EntryKind(StrEnum):
    """What an entry is to the store that holds it."""

    CERTIFICATE = "certificate"  # a trusted certificate
    KEY = "key"  # the first certificate of a key entry's chain: JSSE takes it as an anchor, too
    PLAIN = "plain"  # a certificate that a key store holds without marking it as trusted


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate as it stands in a store.

    `trust` and `reject` are the purposes' OIDs of an OpenSSL TRUSTED CERTIFICATE block; None means no such list.
    """

    certificate: Certificate
    position: int  # 0-based, among the entries of its file
    offset: int | None = None  # bytes from the start of its file
    alias: str | None = None
    kind: EntryKind = EntryKind.CERTIFICATE
    trust: frozenset[str] | None = None
    reject: frozenset[str] | None = None
    file: str | None = None  # of a directory: the name inside it


@dataclass(frozen=True)
class Loaded:
    """What a library takes from a store, in the order in which it will meet it."""

    entries: tuple[Entry, ...]
    note: str = ""  # said when the view is poorer than the file, e.g. "opened without its password"


@dataclass(frozen=True)
class Refused:
    """A library does not load the store at all: a program that uses it trusts nobody."""

    reason: str
    offset: int | None = None  # bytes


View = Loaded | Refused

OPENSSL: Final = "openssl"
"""The view of everything built on OpenSSL's X509_load_cert_crl_file or its hash directories."""
JAVA_OPEN: Final = "java-open"
"""The view of a JVM that opens the key store without a password: the default cacerts, a bare -D trustStore."""
JAVA_PASSWORD: Final = "java-password"  # noqa: S105  a view's name
"""The view of a JVM that opens it with the configured password, else `changeit`."""
JCEKS_OPEN: Final = "jceks-open"
JCEKS_PASSWORD: Final = "jceks-password"  # noqa: S105  a view's name
"""The same two of a JVM that is told the type JCEKS (javax.net.ssl.trustStoreType)."""
NSS: Final = "nss"
"""The view of NSS: what a database trusts to issue for TLS servers, and what it bars."""
ALL_FILES: Final = "all-files"
"""The view of a library that skips what it does not know and reads every file of a directory (Go, rustls)."""
GNUTLS: Final = "gnutls"
"""The view of GnuTLS: the same, but a file with a damaged block counts for nothing."""


@dataclass(frozen=True)
class Content:
    """What a format module read from a store's bytes: entries of all kinds, damages, and each library's view."""

    kind: Kind
    entries: tuple[Entry, ...] = ()
    findings: tuple[Finding, ...] = ()
    views: Mapping[str, View] = field(default_factory=dict)
    private_keys: int = 0
    unverified: bool = False  # an integrity digest that no known password confirms
    error: str | None = None  # nothing could be read: the store is `unreadable`
    empty: bool = False  # a valid store of its kind with nothing in it


@dataclass(frozen=True)
class Process:
    """A running program. All text is printable, and the command a line without secrets."""

    pid: int
    command: str
    user: str
    unit: str | None = None  # of systemd
    container: str | None = None  # its id or root, where that is not this host's


@dataclass(frozen=True)
class Setting:
    """Where a configuration names a store."""

    file: str
    line: int | None  # 1-based
    key: str


@dataclass(frozen=True)
class Use:
    """One program, or kind of program, that reads a store by a library whose rules `readers.py` knows."""

    reader: str  # a key of readers.READERS
    how: str  # "the default store", "environment variable SSL_CERT_FILE"
    program: str | None = None  # path of the program or runtime
    version: str | None = None
    password: bool = False  # key stores: a password is configured for it
    secret: str | None = field(default=None, repr=False)  # that password, where its place is known; never printed
    store_type: str | None = None  # that the JVM is told, "" for none; None: not known, and taken for the right one
    extends: bool = False  # beside the roots that the program has anyway; else instead of them
    process: Process | None = None  # that reads it, now
    setting: Setting | None = None  # that says so


@dataclass(frozen=True)
class Location:
    """A path at which a place module found, or was told of, a trust store. Paths are the root's own: "/etc/..."."""

    path: str
    family: Family
    role: Role | None = None  # None: the content decides
    uses: tuple[Use, ...] = ()
    source: str | None = None  # what to edit instead, where the store is generated from something
    owner: str | None = None  # package or tool that brings it
    named: bool = False  # by PATH or a variable: missing or empty is a row then, and a PATH counts
    by_user: bool = False  # by PATH
    own: bool = False  # in trustmend's own environment
    shadowed_by: str | None = None  # jssecacerts beside it
    findings: tuple[Finding, ...] = ()  # what its place already knows
    part: str | None = None  # the name of what inside the file is the store: an archive's member, a setting's text
    data: bytes | None = field(default=None, repr=False)  # that part's bytes, which its place has cut out
    remedy: str | None = None  # it cannot be changed where it is: what to do instead


@dataclass(frozen=True)
class Store:
    """One trust store: all the locations that lead to the same file or folder, and what it holds."""

    id: str
    path: str  # resolved; of a part of a file: "FILE!/PART"
    links: tuple[str, ...]  # the other paths that lead here, sorted
    family: Family
    role: Role
    content: Content
    uses: tuple[Use, ...] = ()
    source: str | None = None
    owner: str | None = None
    sha256: str | None = None  # of the file's bytes; of a directory: of its listing
    counted: bool = True
    by_user: bool = False
    own: bool = False
    direct: bool = True  # somebody names `path` itself; else only links lead to it
    shadowed_by: str | None = None
    findings: tuple[Finding, ...] = ()  # of finding and opening it, before any judging
    bars: Mapping[str, str] = field(default_factory=dict)  # SHA-256 -> where its source bars that certificate
    remedy: str | None = None  # it cannot be changed where it is: what to do instead
