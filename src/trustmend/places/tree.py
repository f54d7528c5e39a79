"""One bounded walk over the folders in which programs are installed, from which all places take what they know.

The walk looks at names only: it opens no file, follows no link, and stays off other machines' file systems. What
it finds is a plain dict, so that a child process can walk while the parent still imports (`start_survey`).
"""

from __future__ import annotations

import errno
import marshal
import os
import re
import signal
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from trustmend.places import mounts
from trustmend.places.names import (
    ARCHIVES,
    BUNDLES,
    CONFIGS,
    FREE,
    INNER,
    KNOWN_TOPS,
    LIBRARIES,
    NO_HOMES,
    ONLY,
    SECURITY,
    SKIPPED,
    TESTS,
)

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.content import Scan

Survey = dict[str, list[str]]
"""What the walk found, as sorted paths of the root. Keys:

bundles: files whose name is a CA bundle's; java: folders of JDKs and JREs; openssl: OPENSSLDIRs of private builds;
configs: files whose name is that of a product's configuration; archives: files that end like a program archive;
homes: the homes that were searched; pythons: the system's interpreters; unreadable: folders that could not be read.
"""

TOPS: Final = (
    ("/usr/lib", 4),
    ("/usr/lib64", 4),
    ("/lib", 4),
    ("/lib64", 4),
    ("/usr/local", 4),
    ("/usr/java", 4),
    ("/usr/share", 3),
    ("/usr/libexec", 3),
    ("/opt", 5),
    ("/srv", 5),
    ("/var", 5),
)
"""Where is searched, and how many folders deep below it. A library folder or a JDK at that depth is
still entered: what is in `names.FREE` (lib, jre, security ...) costs no depth."""
HOME_DEPTH: Final = 6
"""How deep homes are searched: ~/src/github.com/owner/project/.venv is 5."""
OTHER_DEPTH: Final = 3
"""How deep folders of "/" that no standard names (/app, /data, /venv) are searched."""
LIBRARY_DEPTH: Final = 3
"""How deep below a library folder packages are searched."""
MAX_FOLDERS: Final = 200_000
"""How many folders are looked into for one place of search; the rest is counted as unreadable."""

_STANDARD_LIBRARY: Final = re.compile(r"(?:python|pypy)\d+(?:\.\d+)?t?\Z")
_SIGNS: Final = BUNDLES | CONFIGS | SECURITY | {"__init__.py", "openssl.cnf"}
_PYTHON: Final = re.compile(r"python3\.\d+\Z")


@dataclass(slots=True)
class _Search:
    """What one survey has found so far, and where it stops."""

    host: Host
    stops: frozenset[str]
    bundles: set[str] = field(default_factory=set)
    java: set[str] = field(default_factory=set)
    openssl: set[str] = field(default_factory=set)
    configs: set[str] = field(default_factory=set)
    archives: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)


def survey(host: Host, leave: frozenset[str] = frozenset()) -> Survey:
    """Walk once. Vanished folders are nothing; unreadable ones are listed; no exception for anything on the disk.

    Args:
        host: whose.
        leave: folders that are not entered.
    """
    own_homes = homes(host)
    tops = {**_other_tops(host), **dict(TOPS), **dict.fromkeys(own_homes, HOME_DEPTH)}
    real = {path: depth for top, depth in tops.items() if (path := _real_folder(host, top)) is not None}
    search = _Search(host, mounts.left_out(host, network=False) | frozenset(real) | leave)
    for top, depth in real.items():
        _walk(search, top, depth)
    guarded = own_homes if os.geteuid() == 0 else []
    return {
        "bundles": sorted(path for path in search.bundles if not leaves_home(host, path, guarded)),
        "java": sorted(search.java),
        "openssl": sorted(search.openssl),
        "configs": sorted(path for path in search.configs if not leaves_home(host, path, guarded)),
        "archives": sorted(path for path in search.archives if not leaves_home(host, path, guarded)),
        "homes": own_homes,
        "pythons": [f"/usr/bin/{name}" for name in host.listed("/usr/bin") if _PYTHON.match(name)],
        "unreadable": sorted(search.unreadable),
    }


def _walk(search: _Search, top: str, depth: int) -> None:
    """Search the folders below `top`, which is resolved; inside library folders as deep as those go."""
    entries = search.host.entries
    stack = [(top, top.rpartition("/")[2], depth)]
    room = MAX_FOLDERS
    while stack:
        path, name, left = stack.pop()
        signs = []
        folders = []
        room -= 1
        if room < 0:
            search.unreadable.add(top)
            return
        try:
            with entries(path) as listing:
                for entry in listing:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif entry.name in _SIGNS or entry.name.endswith(ARCHIVES):
                        signs.append(entry.name)
        except OSError as problem:
            if problem.errno not in (errno.ENOENT, errno.ENOTDIR):
                search.unreadable.add(path)
            continue
        if signs:
            _note(search, path, name, signs)
        if folders:
            stack.extend(_entered(search.stops, path, name, left, folders, package="__init__.py" in signs))


def _entered(
    stops: frozenset[str], path: str, name: str, left: int, folders: list[str], *, package: bool
) -> list[tuple[str, str, int]]:
    """Those of a folder's sub-folders that are worth a look, with the depth that is left for each."""
    library = name in LIBRARIES
    only = ONLY.get(name)
    if only is None and _STANDARD_LIBRARY.match(name):
        # Of the standard library itself nothing; but distributions call other things python3, too.
        only = LIBRARIES if "site-packages" in folders or "lib-dynload" in folders else None
    chosen = []
    for folder in folders:
        if folder in SKIPPED or (only is not None and folder not in only):
            continue
        if library:
            if "." in folder and not folder.endswith(".egg"):  # metadata and shared libraries of a package
                continue
        elif package and folder not in INNER:
            continue
        if folder in LIBRARIES:
            rest = max(left - 1, LIBRARY_DEPTH)
        elif folder in FREE:
            rest = left
        else:
            rest = min(left - 1, 0) if package and not library else left - 1
        child = f"{path}/{folder}"
        if rest >= 0 and child not in stops:
            chosen.append((child, folder, rest))
        elif rest < 0 and (_STANDARD_LIBRARY.match(folder) and name in ("lib", "lib64")):
            chosen.append((child, folder, 0))
    return chosen


def _note(search: _Search, path: str, name: str, signs: list[str]) -> None:
    """Keep what the telling names in a folder tell."""
    for sign in signs:
        if sign in BUNDLES:
            if not TESTS.intersection(path.split("/")):
                search.bundles.add(f"{path}/{sign}")
        elif sign in CONFIGS:
            if not TESTS.intersection(path.split("/")):
                search.configs.add(f"{path}/{sign}")
        elif sign.endswith(ARCHIVES):
            search.archives.add(f"{path}/{sign}")
        elif sign == "openssl.cnf":
            search.openssl.add(path)
        elif sign in SECURITY and name == "security":
            home = path.rpartition("/")[0]
            if home.endswith("/lib"):
                home = home[:-4]
                # A JDK 8 has its JRE inside, and JDKs since 9 keep lib/security and conf/security.
                search.java.add(home[:-4] if home.endswith("/jre") and _is_jdk8(search.host, home) else home)


def _is_jdk8(host: Host, jre: str) -> bool:
    return host.is_file(f"{jre[:-4]}/bin/java") or host.is_file(f"{jre[:-4]}/release")


def _real_folder(host: Host, path: str) -> str | None:
    try:
        real = host.resolve(path)
    except OSError:
        return None
    return real if real != "/" and host.is_dir(real) else None


def _other_tops(host: Host) -> dict[str, int]:
    names = (name for name in host.listed("/") if name not in KNOWN_TOPS)
    return {f"/{name}": OTHER_DEPTH for name in names if host.is_dir(f"/{name}")}


def homes(host: Host) -> list[str]:
    """The homes that are searched, resolved and sorted: of root and for a foreign root everybody's, else the caller's.

    Everybody's are those of /etc/passwd and, for accounts that live in a directory service, the folders of /home.
    """
    mine = host.environ.get("HOME", "")
    named = {mine} if mine.startswith("/") else set()
    if os.geteuid() == 0 or host.foreign:
        named.update(f"/home/{name}" for name in host.listed("/home"))
        named.update(_passwd_homes(host))
    reals = {real for home in named if (real := _real_folder(host, home)) is not None}
    return sorted(real for real in reals if real.split("/")[1] not in NO_HOMES)


def _passwd_homes(host: Host) -> list[str]:
    try:
        text = host.read("/etc/passwd").content.decode("utf-8", "surrogateescape")
    except OSError:
        return []
    fields = (line.split(":") for line in text.splitlines())
    return [part[5] for part in fields if len(part) >= 7 and part[5].startswith("/")]


def leaves_home(host: Host, path: str, guarded: list[str]) -> bool:
    """Whether `path`, in one of the `guarded` homes, is a link out of that home to what is not everybody's to read.

    Root must not look at a file for a user who may not; a link to the system's own bundle discloses nothing.
    """
    home = next((home for home in guarded if path.startswith(home + "/")), None)
    if home is None:
        return False
    try:
        real = host.resolve(path)
        if real == path or real.startswith(home + "/"):
            return False
        status = host.stat(real)
    except OSError:
        return False  # a broken link discloses nothing
    return not (status.st_uid == 0 and status.st_mode & stat.S_IROTH)


@dataclass(slots=True)
class Pending:
    """A survey that a child process may be making. `result` may be called again; `close` ends the child early."""

    host: Host
    _pid: int = 0
    _pipe: int = -1
    leave: frozenset[str] = frozenset()
    _done: Survey | None = None

    def result(self) -> Survey:
        """Wait for the survey; it is made here when the child could not make it."""
        if self._done is None:
            self._done = self._received() if self._pid else None
            if self._done is None:
                self._done = survey(self.host, self.leave)
        return self._done

    def close(self) -> None:
        """End the child if its result is no longer wanted."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)  # not yet waited for, so the number is still the child's
            self._reap()

    def _received(self) -> Survey | None:
        parts = []
        while part := os.read(self._pipe, 1 << 20):
            parts.append(part)
        if self._reap() != 0:
            return None
        found: Survey = marshal.loads(b"".join(parts))  # noqa: S302  our own child's bytes
        return found

    def _reap(self) -> int:
        os.close(self._pipe)
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return status


def start_survey(host: Host, leave: frozenset[str] = frozenset()) -> Pending:
    """Begin `survey` in a child process, so that it costs no time while this one imports.

    Call it before any thread is started; with threads, or where no process can be made, `result` does the work.
    """
    threading = sys.modules.get("threading")
    if threading is not None and threading.active_count() > 1:
        return Pending(host, leave=leave)
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        return Pending(host, leave=leave)
    if pid == 0:
        _child(host, leave, reading, writing)
    os.close(writing)
    return Pending(host, pid, reading, leave)


def _child(host: Host, leave: frozenset[str], reading: int, writing: int) -> None:
    """The child's whole life: it never returns, and flushes none of its parent's buffers."""
    code = 1
    try:
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(marshal.dumps(survey(host, leave)))
        code = 0
    finally:
        os._exit(code)


def scan(
    host: Host,
    top: str,
    *,
    network: bool = False,
    leave: frozenset[str] = frozenset(),
    progress: Callable[[int], None] | None = None,
) -> Scan:
    """Every file below `top` whose content is a trust store's; see `content.Scan`."""
    from trustmend.places.content import Scan  # only a scan needs it

    return Scan(host, top, network=network, leave=leave, progress=progress)
