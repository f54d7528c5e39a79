"""Every JDK and JRE: the key store that its JSSE takes its trust from by default.

JSSE reads lib/security/jssecacerts and, only where there is none, lib/security/cacerts (JSSE Reference Guide,
"Customizing the Default Keystores"). A JDK up to 8 keeps both in its jre folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trustmend.certificate import printable
from trustmend.model import Family, Location, Role, Use
from trustmend.places.paths import everywhere
from trustmend.places.tree import leaves_home

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

VARIABLES: Final = ("JAVA_HOME", "JRE_HOME", "JDK_HOME")
FOLDERS: Final = (
    # Folders whose children are Java homes: distributions, Oracle's packages, the Temurin image, SDKMAN for all users.
    "/usr/lib/jvm",
    "/usr/lib64/jvm",
    "/usr/java",
    "/usr/local/java",
    "/opt",
    "/opt/java",
    "/usr/local/sdkman/candidates/java",
)
HOME_FOLDERS: Final = (
    ".sdkman/candidates/java",
    ".jenv/versions",
    ".asdf/installs/java",
    ".local/share/mise/installs/java",
    ".jabba/jdk",
    ".jdks",
    ".gradle/jdks",
)
PRODUCT_FOLDERS: Final = ("jre", "jdk", "jbr")
"""Below /opt/*: where products keep the Java that they bring."""
PRODUCTS: Final = ("/snap/*/current/jbr", "/snap/*/current/jre", "/snap/*/current/jdk", "/snap/*/current/usr/lib/jvm/*")
"""Java that products bring, where the survey's walk does not come."""
HOME_PRODUCTS: Final = (
    ".local/share/JetBrains/Toolbox/apps/*/ch-*/*/jbr",
    ".vscode/extensions/redhat.java-*/jre/*",
    ".vscode-server/extensions/redhat.java-*/jre/*",
)
ALTERNATIVES: Final = ("/etc/alternatives/java", "/etc/alternatives/jre", "/usr/bin/java")
ALTERNATIVE_LISTS: Final = (
    "/var/lib/dpkg/alternatives/java",
    "/var/lib/alternatives/java",
    "/var/lib/rpm/alternatives/java",
)
"""What update-alternatives(1) of Debian and alternatives(8) of RHEL and SUSE know: paths that end in bin/java."""
_JAVA_VERSION: Final = re.compile(r'^(JAVA_VERSION|IMPLEMENTOR)="?([^"\n]*)"?', re.MULTILINE)


def locations(host: Host, survey: Survey) -> Iterator[Location]:
    """The default key store of each Java home, and a cacerts that a jssecacerts shadows; each home once.

    A home without either, or with a link that leads nowhere, is a location too: its JVM trusts nobody.
    """
    seen: set[str] = set()
    for candidate in _candidates(host, survey):
        home = _home(host, candidate)
        if home is not None and home not in seen:
            seen.add(home)
            yield from _of_home(host, home)


@dataclass(frozen=True)
class Home:
    """A Java home: what it says of itself, and which file its JSSE reads by default."""

    path: str
    folder: str  # of the key stores
    version: str | None
    owner: str
    own_store: bool  # there is a jssecacerts

    @property
    def store(self) -> str:
        """What its JVMs read where no property names a store."""
        return f"{self.folder}/jssecacerts" if self.own_store else self.fallback

    @property
    def fallback(self) -> str:
        """What they read where a property names what is no file: cacerts, even beside a jssecacerts.

        Source: sun.security.ssl.TrustStoreManager.TrustStoreDescriptor.createInstance; seen with JDK 17 and 25.
        """
        return f"{self.folder}/cacerts"


def describe(host: Host, home: str) -> Home:
    """What is known of a resolved Java home."""
    release = _release(host, home)
    version = release.get("JAVA_VERSION")
    owner = printable(" ".join(filter(None, (release.get("IMPLEMENTOR"), "Java", version))))
    folder = f"{home}/jre/lib/security" if host.is_dir(f"{home}/jre/lib/security") else f"{home}/lib/security"
    return Home(home, folder, version, owner, host.is_file(f"{folder}/jssecacerts"))


def home_of(host: Host, program: str) -> str | None:
    """The resolved home to which a program in its bin folder belongs, or None."""
    return _home(host, f"{os.path.dirname(program)}/java")


def _of_home(host: Host, path: str) -> Iterator[Location]:
    home = describe(host, path)
    use = Use("jsse", "the default store of this JVM", home.path, home.version, store_type="")
    yield Location(home.store, Family.JAVA, Role.PUBLIC, (use,), owner=home.owner, named=True)
    if home.own_store and host.exists(home.fallback):
        yield Location(home.fallback, Family.JAVA, Role.PUBLIC, owner=home.owner, shadowed_by=home.store)


def _candidates(host: Host, survey: Survey) -> Iterator[str]:
    """Paths that may be a Java home, or its bin/java."""
    for name in VARIABLES:
        if (value := host.environ.get(name, "")).startswith("/"):
            yield value
    yield from ALTERNATIVES
    for path in ALTERNATIVE_LISTS:
        yield from _alternatives(host, path)
    for folder in FOLDERS:
        yield from (f"{folder}/{name}" for name in host.listed(folder))
    for name in host.listed("/opt"):
        yield from (f"/opt/{name}/{inner}" for inner in PRODUCT_FOLDERS)
    guarded = survey["homes"] if os.geteuid() == 0 else []
    for home in survey["homes"]:
        for folder in HOME_FOLDERS:
            for name in host.listed(f"{home}/{folder}"):
                path = f"{home}/{folder}/{name}"
                if not leaves_home(host, path, guarded):
                    yield path
    yield from everywhere(host, survey, PRODUCTS, HOME_PRODUCTS)
    yield from survey["java"]


def _alternatives(host: Host, path: str) -> list[str]:
    try:
        text = host.read(path, limit=1 << 20).content.decode("utf-8", "surrogateescape")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.startswith("/") and line.endswith("/bin/java")]


def _home(host: Host, candidate: str) -> str | None:
    """The resolved Java home to which `candidate` leads, or None: a home has bin/java or a security folder."""
    try:
        real = host.resolve(candidate)
    except OSError:
        return None
    if real.endswith("/bin/java"):
        if not host.is_file(real):
            return None
        real = real[: -len("/bin/java")]
    if real.endswith("/jre") and host.is_file(f"{real[:-4]}/bin/java"):
        real = real[:-4]  # the JRE inside a JDK 8 is one store with it
    security = host.is_dir(f"{real}/lib/security") or host.is_dir(f"{real}/jre/lib/security")
    runs = host.exists(f"{real}/bin/java") or host.exists(f"{real}/jre/bin/java")
    return real if real not in ("/", "/usr") and security and (runs or _has_store(host, real)) else None


def _has_store(host: Host, home: str) -> bool:
    """For jlinked and trimmed runtimes without a launcher: the key store itself is there."""
    folders = (f"{home}/lib/security", f"{home}/jre/lib/security")
    return any(host.exists(f"{folder}/{name}") for folder in folders for name in ("cacerts", "jssecacerts"))


def _release(host: Host, home: str) -> dict[str, str]:
    """What the home's `release` file says of itself (JEP 223)."""
    for path in (f"{home}/release", f"{home}/jre/release"):
        try:
            text = host.read(path, limit=1 << 18).content.decode("utf-8", "replace")
        except OSError:
            continue
        return dict(_JAVA_VERSION.findall(text))
    return {}
