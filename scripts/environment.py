"""Make the private environment that `scripts/trustmend` (and, with `--extra dev`, `scripts/test`) runs in.

Prints its folder on stdout; all words go to stderr. Needs nothing but Python 3.11 and its standard library.

1. Nothing is written outside one cache folder: root's is /var/cache/trustmend, a user's $XDG_CACHE_HOME/trustmend.
   The checkout and, for root, every home stay as they are.
2. Root uses only a cache folder that root owns and nobody else can write.
3. One environment is made at a time, and it counts only once it is whole: `ready` is written last, then `@env`,
   the file that the launcher reads, is swapped in. What an interrupted start left is removed by the next.
4. The code of the checkout is what runs (a .pth file names its src), so `git pull` takes effect at once. A changed
   pyproject.toml, Python or this file gives a new environment.
"""

from __future__ import annotations

import argparse
import fcntl
import glob
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import tomllib

CHECKOUT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
ROOTS_CACHE = "/var/cache/trustmend"
REFUSED = 6  # as errors.Exit.REFUSED: nothing was changed
# Settings of the caller that would lead pip or Python away from the environment. Proxy, index and certificates stay.
UNWANTED = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_REQUIRE_VIRTUALENV", "PIP_DRY_RUN")
ENTRY = """\
import sys

from trustmend.cli.start import main

sys.exit(main())
"""


class Failed(Exception):  # noqa: N818  # it is a state, and the only one
    """The environment could not be made; the second argument says what to do next."""


def say(words: str) -> None:
    """One line of progress."""
    sys.stderr.write(f"trustmend: {words}\n")
    sys.stderr.flush()


def cache_folder() -> str:
    """This user's folder for environments, made if it is missing.

    Raises:
        Failed: it belongs to, or can be written by, somebody else.
    """
    root = os.geteuid() == 0
    if root:
        folder = ROOTS_CACHE
    else:
        above = os.environ.get("XDG_CACHE_HOME", "")
        if not above.startswith("/"):  # relative ones do not count, says the XDG specification
            above = os.path.join(os.environ.get("HOME") or pwd.getpwuid(os.geteuid()).pw_dir, ".cache")
        folder = os.path.join(above, "trustmend")
    os.makedirs(folder, mode=0o755, exist_ok=True)
    status = os.lstat(folder) if root else os.stat(folder)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise Failed(f"`{folder}` is not a folder of this user's own", f"move it away: mv {folder} {folder}.old")
    if root and status.st_mode & 0o022:
        raise Failed(f"`{folder}` can be written by others than root", f"remove it: rm -r {folder}")
    return folder


def environment_key(python: str, pyproject: bytes, extra: str) -> str:
    """Names the environment: equal for an equal checkout path, Python, pyproject.toml and way of making it."""
    with open(__file__, "rb") as file:
        recipe = file.read()
    parts = (CHECKOUT.encode(), python.encode(), sys.version.encode(), extra.encode(), pyproject, recipe)
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]


def child_environ(scratch: str) -> dict[str, str]:
    """What pip and venv see: the caller's environment without what would lead them elsewhere."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in UNWANTED and not name.startswith("PYTHON") and name != "__PYVENV_LAUNCHER__"
    }
    home = environ.get("HOME", "")
    if os.geteuid() == 0 and not (os.path.isdir(home) and os.stat(home).st_uid == 0):
        environ["HOME"] = pwd.getpwuid(0).pw_dir  # sudo may keep the user's, and pip would read and write there
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
            environ.pop(name, None)
    return environ | {"TMPDIR": scratch}


def run(argv: list[str], environ: dict[str, str], *, quiet: bool = False) -> bool:
    """Whether the program ended well; its words go to stderr, or nowhere."""
    output = subprocess.DEVNULL if quiet else sys.stderr.fileno()
    try:
        done = subprocess.run(argv, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
    except OSError:
        return False
    return done.returncode == 0


def pip_commands(python: str, target: str) -> list[list[str]]:
    """The pips a host may have, the ones that need no set-up first; each installs into `target`."""
    found = [[python, "-I", "-m", "pip", "--python", target]]  # pip 22.3 or newer
    wheels = sorted(glob.glob("/usr/share/python-wheels/pip-*.whl"))
    try:
        import ensurepip

        bundled = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")
        wheels += sorted(glob.glob(os.path.join(glob.escape(bundled), "pip-*.whl")))
    except ImportError:  # Debian without python3-venv has no such module, or an empty one
        pass
    return found + [[target, "-I", f"{wheel}/pip"] for wheel in reversed(wheels)]


def fetched_pip(target: str, scratch: str, environ: dict[str, str]) -> list[str] | None:
    """Debian's own pip, unpacked below `scratch` and installed nowhere; None where apt cannot give it.

    Package lists are fetched into `scratch` too where the host has none, so this needs no root.
    """
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return None
    say("this Python has no pip; fetching Debian's package of it, without installing it")
    folder = os.path.join(scratch, "deb")
    os.makedirs(os.path.join(folder, "lists", "partial"))
    os.makedirs(os.path.join(folder, "archives", "partial"))
    # Its own user could not write into this private folder; what it fetches is checked against signed lists anyway.
    settings = [f"Dir::Cache={folder}", "APT::Sandbox::User="]
    script = 'cd "$1" && shift && exec apt-get -q "$@"'
    apt = ["sh", "-c", script, "sh", folder, *(part for option in settings for part in ("-o", option))]
    download = ["download", "python3-pip-whl", "ca-certificates"]  # that pip trusts the host's CA file alone
    if not run([*apt, *download], environ, quiet=True):
        apt += ["-o", f"Dir::State::lists={folder}/lists"]
        if not run([*apt, "update"], environ, quiet=True) or not run([*apt, *download], environ):
            return None
    for package in glob.glob(os.path.join(glob.escape(folder), "*.deb")):
        if not run(["dpkg-deb", "-x", package, os.path.join(folder, "x")], environ):
            return None
    unpacked = glob.escape(os.path.join(folder, "x"))
    wheels = glob.glob(f"{unpacked}/usr/share/python-wheels/pip-*.whl")
    if not wheels:
        return None
    command = [target, "-I", f"{wheels[0]}/pip"]
    if not os.path.exists("/etc/ssl/certs/ca-certificates.crt") and "PIP_CERT" not in environ:
        roots = os.path.join(folder, "roots.pem")
        with open(roots, "wb") as file:
            for path in sorted(glob.glob(f"{unpacked}/usr/share/ca-certificates/mozilla/*.crt")):
                with open(path, "rb") as root:
                    file.write(root.read())
        command += ["--cert", roots]
    return command


def install(python: str, target: str, requirements: list[str], scratch: str) -> None:
    """Install `requirements` for the interpreter `target` with the first pip that is there.

    Raises:
        Failed: there is no pip, or it failed.
    """
    environ = child_environ(scratch)
    pip = next((one for one in pip_commands(python, target) if run([*one, "--version"], environ, quiet=True)), None)
    pip = pip or fetched_pip(target, scratch, environ)
    if pip is None:
        raise Failed(f"`{python}` has no pip and none could be fetched", "install one: apt install python3-venv")
    options = ["-qq", "--disable-pip-version-check", "--no-input", "--no-user", "--no-compile", "--prefer-binary"]
    if not run([*pip, "install", *options, *requirements], environ):
        raise Failed("pip could not install what trustmend needs (see above)", "check the network, then start again")


def build(folder: str, python: str, pyproject: bytes, extra: str) -> None:
    """Make the environment at `folder`, its final place: a virtual environment cannot be moved. Raises Failed."""
    project = tomllib.loads(pyproject.decode())["project"]
    requirements = list(project["dependencies"])
    if extra:
        requirements += project["optional-dependencies"][extra]
    with tempfile.TemporaryDirectory(dir=os.path.dirname(folder), prefix="making-") as scratch:
        environ = child_environ(scratch)
        if not run([python, "-I", "-m", "venv", "--without-pip", folder], environ):
            raise Failed(f"`{python} -m venv` failed (see above)", "install it: apt install python3-venv")
        target = os.path.join(folder, "bin", "python")
        install(python, target, requirements, scratch)
        packages = os.path.join(folder, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")
        write(os.path.join(packages, "trustmend-checkout.pth"), os.path.join(CHECKOUT, "src") + "\n")
        entry = os.path.join(folder, "bin", "trustmend")
        write(entry, ENTRY)
        # Compiles what every start imports; if the checkout's code is broken, the start itself will say so.
        run([target, "-I", "-X", f"pycache_prefix={folder}/pycache", entry, "--version"], environ, quiet=True)


def write(path: str, text: str) -> None:
    """Write a file of this environment as a whole: a temporary file beside it takes its place."""
    with open(path + ".new", "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.replace(path + ".new", path)


def in_use(cache: str, folder: str) -> bool:
    """Whether a checkout that still exists starts in this environment."""
    try:
        with open(os.path.join(folder, "ready"), encoding="utf-8", errors="surrogateescape") as file:
            checkout = file.read()
        pointers = glob.glob(glob.escape(cache + "/at" + checkout) + "/@env*")
        for pointer in pointers if os.path.isdir(checkout) else []:
            with open(pointer, encoding="utf-8", errors="surrogateescape") as file:
                if file.read().rstrip("\n") == folder:
                    return True
    except OSError:  # not ready: an interrupted start left it
        pass
    return False


def clear_leftovers(cache: str, keep: str) -> None:
    """Remove what interrupted starts left, and environments that no checkout starts in any more.

    The one that is about to be replaced is still in use here, so it outlives the tools that run in it now.
    """
    for name in os.listdir(cache):
        path = os.path.join(cache, name)
        if name.startswith("making-") or (name.startswith("env-") and path != keep and not in_use(cache, path)):
            shutil.rmtree(path, ignore_errors=True)


def environment(extra: str) -> str:
    """The folder of the environment, made if it is missing. Raises Failed and OSError."""
    os.umask(0o022)
    cache = cache_folder()
    with open(os.path.join(cache, "lock"), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another start, which is making an environment")
            fcntl.flock(lock, fcntl.LOCK_EX)
        python = os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
        source = os.path.join(CHECKOUT, "pyproject.toml")
        status = os.stat(source)
        with open(source, "rb") as file:
            pyproject = file.read()
        folder = os.path.join(cache, "env-" + environment_key(python, pyproject, extra))
        clear_leftovers(cache, folder)
        if not os.path.exists(os.path.join(folder, "ready")):
            say(f"making its environment in {folder} (once)")
            shutil.rmtree(folder, ignore_errors=True)
            build(folder, python, pyproject, extra)
            write(os.path.join(folder, "ready"), CHECKOUT)
        # The launcher compares this copy's time with the original's, and asks here again where they differ.
        write(os.path.join(folder, "pyproject.toml"), pyproject.decode())
        os.utime(os.path.join(folder, "pyproject.toml"), ns=(status.st_atime_ns, status.st_mtime_ns))
        pointer = os.path.join(cache, "at" + CHECKOUT)
        os.makedirs(pointer, exist_ok=True)
        write(os.path.join(pointer, f"@env-{extra}" if extra else "@env"), folder + "\n")
    return folder


def main() -> int:
    """Make it, print its folder, and say in two lines on stderr what went wrong if it did."""
    parser = argparse.ArgumentParser(description="Make trustmend's private environment and print its folder.")
    parser.add_argument("--extra", default="", help="also install this extra of pyproject.toml")
    try:
        folder = environment(parser.parse_args().extra)
    except Failed as failure:
        sys.stderr.write(f"error: {failure.args[0]}\n\nhint: {failure.args[1]}\n")
        return REFUSED
    except OSError as problem:
        sys.stderr.write(f"error: the environment could not be made: {problem}\n\nhint: see README.md, Installing\n")
        return REFUSED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the next start makes the environment anew\n")
        return 130
    sys.stdout.buffer.write(os.fsencode(folder) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
