"""`scripts/trustmend` from copies of the checkout, with the real pip: what the first start makes, what later ones do.

As root the starts run as nobody, so that the whole of a user's case is tested there too; root's own case has a
/var/cache of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hosts.machine import REPOSITORY, Guest
from trustmend import __version__

NOBODY = 65534
SAYS_VERSION = f"trustmend {__version__}\n"
PRINTS_ENVIRON = "import json, os\n\ndef main():\n    print(json.dumps(dict(os.environ)))\n"
FAKE = "raise SystemExit('a stranger was imported: ' + __file__)\n"
OWN_VAR_CACHE = "mount -t tmpfs -o mode=755 tmpfs /var/cache; "
pytestmark = [pytest.mark.slow, pytest.mark.needs("setpriv")]


@dataclass(frozen=True)
class Copy:
    """A copy of the checkout and a home for the user that starts it."""

    top: Path
    pip: Mapping[str, str] = field(default_factory=dict)

    @property
    def checkout(self) -> Path:
        """The folder of the copy; a shell that splits or expands it would stumble."""
        return self.top / "my [prod] * checkout's"

    @property
    def cache(self) -> Path:
        """The folder of this user's environments."""
        return self.top / "home" / "cache" / "trustmend"

    @property
    def program(self) -> str:
        """The path of the launcher."""
        return str(self.checkout / "scripts" / "trustmend")

    def environ(self, changes: Mapping[str, str] | None = None) -> dict[str, str]:
        """The whole environment of a start."""
        home = str(self.top / "home")
        path = "/usr/local/bin:/usr/bin:/bin"
        return {"PATH": path, "HOME": home, "XDG_CACHE_HOME": f"{home}/cache", **self.pip, **(changes or {})}

    def popen(self, argv: list[str], changes: Mapping[str, str] | None = None, cwd: str = "/") -> subprocess.Popen[str]:
        """Start a program as the user."""
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            argv,
            env=self.environ(changes),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **user,
        )

    def start(
        self, *argv: str, changes: Mapping[str, str] | None = None, cwd: str = "/", program: str = ""
    ) -> tuple[int, str, str]:
        """Start the launcher as the user; its code, stdout and stderr."""
        process = self.popen([program or self.program, *(argv or ("--version",))], changes, cwd)
        stdout, stderr = process.communicate(timeout=240)
        return process.returncode, stdout, stderr

    def environments(self) -> list[Path]:
        """The folders of all environments in the cache."""
        return sorted(self.cache.glob("env-*"))


def copy_checkout(top: Path) -> Copy:
    """A copy without .git, owned by this process's user; the home belongs to the user that starts it."""
    copy = Copy(top)
    for name in ("src", "bundles", "scripts"):
        shutil.copytree(f"{REPOSITORY}/{name}", copy.checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(f"{REPOSITORY}/pyproject.toml", copy.checkout)
    (top / "home").mkdir()
    if os.geteuid() == 0:
        os.chown(top / "home", NOBODY, NOBODY)
    return copy


def listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every path below `folder` with its owner, size and time of change."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        found[str(path)] = (status.st_uid, status.st_size, status.st_mtime_ns)
    return found


@pytest.fixture(scope="module")
def pip_settings(network_env: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """pip's way to its index, and one cache of downloads for all first starts."""
    folder = tempfile.mkdtemp(prefix="trustmend-pip-", dir="/tmp")  # nobody must reach it
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield {**network_env, "PIP_CACHE_DIR": folder}
    shutil.rmtree(folder)


def _fresh(pip_settings: Mapping[str, str]) -> Iterator[Copy]:
    top = Path(tempfile.mkdtemp(prefix="trustmend-launcher-", dir="/tmp"))  # as above
    top.chmod(0o755)
    yield Copy(copy_checkout(top).top, pip_settings)
    shutil.rmtree(top)


@pytest.fixture
def fresh(pip_settings: Mapping[str, str]) -> Iterator[Copy]:
    """A copy that was never started."""
    yield from _fresh(pip_settings)


@pytest.fixture(scope="module")
def started(pip_settings: Mapping[str, str]) -> Iterator[Copy]:
    """A copy that was started once; tests leave it as it is."""
    for copy in _fresh(pip_settings):
        code, _, stderr = copy.start()
        assert code == 0, stderr
        yield copy


def test_the_first_start_makes_an_environment_and_leaves_the_checkout_alone(fresh: Copy) -> None:
    before = listing(fresh.checkout)

    code, stdout, stderr = fresh.start()

    assert (code, stdout) == (0, SAYS_VERSION), stderr
    assert stderr.startswith("trustmend: making its environment in ")
    assert "(once)" in stderr
    assert listing(fresh.checkout) == before
    assert len(fresh.environments()) == 1
    assert not list(fresh.cache.glob("making-*"))


def test_a_later_start_needs_no_program_but_the_tool(started: Copy) -> None:
    assert started.start(changes={"PATH": "/nonexistent"}) == (0, SAYS_VERSION, "")


def test_a_later_start_costs_no_more_than_the_installed_command(started: Copy) -> None:
    environment = str(started.environments()[0])
    # What pip installs: a script that the environment's Python runs, with its compiled files in place.
    installed = [
        f"{environment}/bin/python",
        "-X",
        f"pycache_prefix={environment}/pycache",
        f"{environment}/bin/trustmend",
    ]
    best = {"launcher": 9.0, "installed": 9.0}

    for _ in range(20):
        for name, argv in (("launcher", [started.program]), ("installed", installed)):
            begin = time.perf_counter()
            process = started.popen([*argv, "--version"])
            process.communicate()
            best[name] = min(best[name], time.perf_counter() - begin)
            assert process.returncode == 0

    assert best["launcher"] <= best["installed"] + 0.010, best


def test_the_code_of_the_caller_is_not_imported(started: Copy) -> None:
    strange = started.top / "strange"
    strange.mkdir()
    for name in ("typer", "trustmend", "os", "sitecustomize", "usercustomize", "encodings"):
        (strange / f"{name}.py").write_text(FAKE)
    changes = {"PYTHONPATH": str(strange), "PYTHONHOME": str(strange), "PYTHONSTARTUP": str(strange / "os.py")}

    answer = started.start(changes=changes, cwd=str(strange))

    assert answer == (0, SAYS_VERSION, "")


def test_it_starts_through_links_and_by_a_relative_path(started: Copy) -> None:
    links = started.top / "bin"
    links.mkdir()
    (links / "trustmend").symlink_to("second")
    (links / "second").symlink_to(started.program)
    path = f"{links}:/usr/bin:/bin"

    assert started.start(program=str(links / "trustmend"))[:2] == (0, SAYS_VERSION)
    assert started.start(program="./trustmend", cwd=str(links))[:2] == (0, SAYS_VERSION)
    process = started.popen(["sh", "-c", "trustmend --version"], {"PATH": path, "CDPATH": "/:/usr"})
    assert process.communicate()[0] == SAYS_VERSION


def test_changed_code_counts_at_once_and_sees_the_callers_environment(fresh: Copy) -> None:
    fresh.start()
    (fresh.checkout / "src" / "trustmend" / "cli" / "start.py").write_text(PRINTS_ENVIRON)
    changes = {"SSL_CERT_FILE": "/a/b", "JAVA_HOME": "/no", "PYTHONPATH": "/c", "_tm_env": "x", "IFS": "y"}

    code, stdout, _ = fresh.start(changes=changes)

    seen = json.loads(stdout)
    of_the_shell = {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE", "_tm_env", "IFS"}
    assert code == 0
    assert {name: seen[name] for name in seen if name not in of_the_shell} == {
        name: value for name, value in fresh.environ(changes).items() if name not in of_the_shell
    }


def test_only_a_changed_project_file_makes_a_new_environment(fresh: Copy) -> None:
    project = fresh.checkout / "pyproject.toml"
    fresh.start()
    first = fresh.environments()

    os.utime(project, (1, 1))
    touched = fresh.start()
    after_touch = fresh.environments()
    project.write_text(project.read_text() + "# one more line\n")
    changed = fresh.start()
    project.write_text(project.read_text() + "# and another\n")
    again = fresh.start()

    assert touched == (0, SAYS_VERSION, "")
    assert after_touch == first
    assert changed[:2] == again[:2] == (0, SAYS_VERSION)
    assert "making its environment" in changed[2]
    assert len(fresh.environments()) == 2  # the last but one outlives the tools that still run in it
    assert first[0] not in fresh.environments()


def test_two_first_starts_at_once_both_succeed(fresh: Copy) -> None:
    both = [fresh.popen([fresh.program, "--version"]) for _ in range(2)]

    answers = [process.communicate(timeout=240) for process in both]

    assert [stdout for stdout, _ in answers] == [SAYS_VERSION] * 2, answers
    assert sum("making its environment" in stderr for _, stderr in answers) == 1
    assert len(fresh.environments()) == 1


@pytest.mark.parametrize("when", ["bin/python", "lib/python*/site-packages/*"])
def test_the_next_start_mends_an_interrupted_one(fresh: Copy, when: str) -> None:
    process = fresh.popen([fresh.program, "--version"])
    deadline = time.monotonic() + 120
    while not list(fresh.cache.glob(f"env-*/{when}")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.communicate()[0] == ""

    code, stdout, stderr = fresh.start()

    assert (code, stdout) == (0, SAYS_VERSION), stderr
    assert "making its environment" in stderr
    assert not list(fresh.cache.glob("making-*"))
    assert fresh.start() == (0, SAYS_VERSION, "")


def test_a_failing_install_says_so_and_the_next_start_tries_again(fresh: Copy) -> None:
    unreachable = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1"}

    code, stdout, stderr = fresh.start(changes=unreachable)

    assert (code, stdout) == (6, "")
    assert "error: pip could not install" in stderr
    assert "hint: " in stderr
    assert fresh.start()[:2] == (0, SAYS_VERSION)


@pytest.mark.parametrize("old", [False, True])
def test_without_a_new_enough_python_it_says_what_to_install(fresh: Copy, *, old: bool) -> None:
    folder = fresh.top / "path"
    folder.mkdir()
    if old:
        (folder / "python3").write_text("#!/bin/sh\nexit 1\n")  # as an old one answers the question for its version
        (folder / "python3").chmod(0o755)

    code, stdout, stderr = fresh.start(changes={"PATH": str(folder)})

    assert (code, stdout) == (6, "")
    assert re.search("error: .*Python 3.11 or newer", stderr)
    assert "apt install python3" in stderr
    assert not fresh.cache.exists()


def as_root(copy: Copy, script: str, changes: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a shell script as root, as sudo without a home of root's would, with a /var/cache of its own."""
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", OWN_VAR_CACHE + script, copy.program],
        env=copy.environ(changes),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.privileged
def test_root_leaves_nothing_in_a_users_checkout_and_home(fresh: Copy) -> None:
    for path in [fresh.checkout, *fresh.checkout.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    places = (fresh.checkout, fresh.top / "home")
    before = [listing(place) for place in places]

    done = as_root(fresh, '"$0" --version && "$0" --version && ls -ln /var/cache/trustmend && find /var/cache ! -uid 0')

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(SAYS_VERSION * 2)
    assert done.stderr.count("making its environment in /var/cache/trustmend/env-") == 1
    assert str(fresh.top / "home") not in done.stderr
    assert "\n/var/cache" not in done.stdout  # find: nothing there belongs to somebody else
    assert [listing(place) for place in places] == before


@pytest.mark.privileged
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("mkdir -m 777 /var/cache/trustmend", "can be written by others than root"),
        ("mkdir /var/cache/trustmend; chown 1000 /var/cache/trustmend", "not a folder of this user's own"),
        ("mkdir /var/cache/else; ln -s else /var/cache/trustmend", "not a folder of this user's own"),
    ],
)
def test_root_refuses_a_cache_that_others_could_write(started: Copy, spoil: str, words: str) -> None:
    done = as_root(started, f'{spoil}; "$0" --version')

    assert done.returncode == 6
    assert done.stdout == ""
    assert words in done.stderr


@pytest.mark.privileged
def test_root_refuses_a_ready_environment_once_others_can_write_the_cache(fresh: Copy) -> None:
    done = as_root(fresh, '"$0" --version && chmod g+w /var/cache/trustmend && "$0" --version')

    assert done.returncode == 6
    assert done.stdout == SAYS_VERSION
    assert "can be written by others than root" in done.stderr


@pytest.mark.privileged
@pytest.mark.parametrize("user", ["0", "1000"])
def test_a_bare_debian_needs_nothing_installed(
    fresh: Copy, bookworm: Guest, network_env: Mapping[str, str], user: str
) -> None:
    environ = dict(network_env)
    binds = {str(fresh.checkout): "/srv/checkout"}
    if "PIP_CERT" in environ:  # kept out of the place where Debian has its own, which is missing there
        binds[environ["PIP_CERT"]] = "/run/roots.pem"
        environ["PIP_CERT"] = "/run/roots.pem"
    user_start = f"setpriv --reuid={user} --regid={user} --clear-groups /srv/checkout/scripts/trustmend --version"
    script = (
        "mkdir -m 755 /home/ann && chown 1000 /home/ann && touch /tmp/before && export HOME=/home/ann && "
        f"! python3 -m pip --version 2>/dev/null && {user_start} && {user_start} && "
        "find / -xdev -newer /tmp/before -not -path '/var/cache/trustmend*' -not -path '/home/ann/.cache*'"
    )

    done = bookworm.run(["sh", "-c", script], binds=binds, environ=environ, timeout_s=240)

    stdout = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
    assert stdout.startswith(SAYS_VERSION * 2)
    assert set(stdout.split("\n")[2:]) <= {"", "/var/cache", "/home/ann"}  # the folders that got a new one
    assert done.stderr.decode().count("making its environment") == 1


def test_the_code_that_makes_environments_needs_the_standard_library_alone() -> None:
    code = "import runpy, sys; runpy.run_path(sys.argv[1]); print(*{n.split('.')[0] for n in sys.modules})"

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, f"{REPOSITORY}/scripts/environment.py"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert {name for name in done.stdout.split() if not name.startswith("_")} <= sys.stdlib_module_names
