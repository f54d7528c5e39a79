"""trustmend of this checkout as a session starts it: by a guest's own Python, or on the copy of this machine.

A guest has neither pip nor a network, so what trustmend needs at run time is installed here for its Python, into one
folder. As a program this file fills such a folder: `tool.py FOLDER 3.13 PACKAGE...`. It uses what makes trustmend's own
environment: the same pip, index and settings.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INSIDE = "/var/cache/trustmend"  # in a guest; below root's own cache nothing counts as a store of the host


@dataclass(frozen=True, slots=True)
class Tool:
    """How trustmend is started: `session.run([*tool.argv, "audit"], environ=tool.environ)`."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]
    binds: Mapping[str, str] = field(default_factory=dict)  # for the session


def on_machine() -> Tool:
    """For `machine_session`: the Python that runs the tests, with the checkout's code."""
    missing = {path: path for path in (REPOSITORY, sys.prefix, sys.base_prefix) if not _in_copy(path)}
    return Tool((sys.executable, "-P", "-B", "-m", "trustmend"), {"PYTHONPATH": f"{REPOSITORY}/src"}, missing)


def _in_copy(path: str) -> bool:
    """A copy of the machine has what the file system of "/" holds, but for /tmp."""
    below_tmp = os.path.realpath(path).startswith("/tmp/")  # noqa: S108 # a name to compare with
    return os.stat(path).st_dev == os.stat("/").st_dev and not below_tmp


def in_guest(root: str, top: str, network: Mapping[str, str]) -> Tool:
    """For a session of the guest at `root`: its own python3, from 3.11 on. The other arguments are those of `make`."""
    version = os.readlink(f"{root}/usr/bin/python3").removeprefix("python")
    return Tool(
        ("python3", "-P", "-m", "trustmend"),
        {
            "PYTHONPATH": f"{INSIDE}/checkout/src:{INSIDE}/libraries",
            "PYTHONPYCACHEPREFIX": "/tmp/pycache",  # noqa: S108 # the session's own
        },
        {
            f"{REPOSITORY}/src": f"{INSIDE}/checkout/src",
            f"{REPOSITORY}/bundles": f"{INSIDE}/checkout/bundles",
            make(top, version, network): f"{INSIDE}/libraries",
        },
    )


def make(
    top: str, version: str, network: Mapping[str, str], name: str = "python", packages: Sequence[str] | None = None
) -> str:
    """The folder `top`/python-3.13 with all packages for that Python; filled if it is missing or no longer right.

    Args:
        top: the guests' folder.
        version: "3.13", of CPython.
        network: the settings that a pip needs on this machine.
        name: of the folder, before the version.
        packages: as pip names them; None: what trustmend needs at run time.

    Raises:
        subprocess.CalledProcessError: they could not be installed; stderr says why.
    """
    folder = os.path.join(top, f"{name}-{version}")
    wanted = _requirements() if packages is None else list(packages)
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "LC_ALL": "C.UTF-8", **network}
    with open(f"{folder}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        if _made_with(folder) != wanted:
            argv = [sys.executable, "-I", os.path.abspath(__file__), folder, version, *wanted]
            subprocess.run(argv, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return folder


def _requirements() -> list[str]:
    with open(os.path.join(REPOSITORY, "pyproject.toml"), "rb") as file:
        return list(tomllib.load(file)["project"]["dependencies"])


def _made_with(folder: str) -> object:
    try:
        with open(os.path.join(folder, ".made-with"), encoding="utf-8") as file:
            return json.load(file)
    except OSError:
        return None


def _environment() -> ModuleType:
    """scripts/environment.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("environment", os.path.join(REPOSITORY, "scripts", "environment.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(folder: str, version: str, *requirements: str) -> None:
    """Fill the folder: a new one takes its place."""
    new = f"{folder}.new"
    shutil.rmtree(new, ignore_errors=True)
    options = ["--target", new, "--python-version", version, "--only-binary=:all:"]
    with tempfile.TemporaryDirectory() as scratch:
        _environment().install(sys.executable, sys.executable, [*options, *requirements], scratch)
    with open(os.path.join(new, ".made-with"), "w", encoding="utf-8") as file:
        json.dump(list(requirements), file)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(new, folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
