"""Patches of real systems: Debian 11, 12 and 13 with their own commands, JVMs and clients; killed and locked."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import authority as authorities
import certificates
import shipped
from hosts import clients
from hosts.machine import Guest, Session, machine_session
from hosts.manifest import Row, differences
from hosts.tool import Tool, on_machine

pytestmark = [pytest.mark.privileged, pytest.mark.slow]
PLACES = ("/etc", "/usr/local", "/usr/lib/jvm", "/usr/lib/python3", "/var/lib/ca-certificates-java")
KILLS = int(os.environ.get("TRUSTMEND_KILLS") or "25")
"""How often each of two patches below is killed at a random time; TRUSTMEND_KILLS=100 for a long night."""
SESSION_ROOT = "/run/trustmend-session/root"
"""Where the mount namespace of a session has its root; see hosts/session."""
ToolIn = Callable[[Guest], Tool]


@pytest.fixture(scope="module")
def vendor() -> authorities.Authority:
    return authorities.make()


class Site:
    """A session with trustmend and a bundle of the test vendor's in the site configuration."""

    def __init__(self, session: Session, tool: Tool, vendor: authorities.Authority) -> None:
        self.session, self.tool, self.vendor = session, tool, vendor
        for name, made in (("root", vendor.new), ("issuing", vendor.issuing)):
            Path(session.path("/tmp"), f"{name}.pem").write_bytes(certificates.bundle_pem(made))  # noqa: S108
        into = "/etc/xdg/trustmend/bundles"
        self.run("bundle", "new", "vendor", "/tmp/root.pem", "/tmp/issuing.pem", "--into", into)  # noqa: S108

    def run(self, *words: str, codes: Sequence[int] = (0,)) -> subprocess.CompletedProcess[bytes]:
        done = self.session.run([*self.tool.argv, *words], environ=self.tool.environ, timeout_s=300)
        assert done.returncode in codes, (
            words,
            done.returncode,
            done.stdout.decode()[-3000:],
            done.stderr.decode()[-3000:],
        )
        assert b"Traceback" not in done.stderr
        return done

    def patch(self, *words: str, codes: Sequence[int] = (0,)) -> dict[str, Any]:
        done = self.run("patch", "--bundle", "vendor", "--json", *words, codes=codes)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def places(self) -> Mapping[str, Row]:
        return self.session.manifest(PLACES)

    def ask(self) -> dict[str, bool]:
        return clients.ask(self.session, clients.chain_from(self.vendor.issuing))


@contextmanager
def site_in(guest: Guest, tool_in: ToolIn, vendor: authorities.Authority) -> Iterator[Site]:
    tool = tool_in(guest)
    with guest.session(binds=tool.binds) as session:
        yield Site(session, tool, vendor)


@pytest.fixture(params=["bookworm_java", "trixie"])
def site(request: pytest.FixtureRequest, tool_in: ToolIn, vendor: authorities.Authority) -> Iterator[Site]:
    with site_in(request.getfixturevalue(request.param), tool_in, vendor) as found:
        yield found


def changed_files(before: Mapping[str, Row], after: Mapping[str, Row]) -> set[str]:
    """The paths at which another thing stands, but for folders."""
    paths = {*before, *after}
    return {p for p in paths if before.get(p) != after.get(p) and "folder" not in str(after.get(p, before.get(p)))}


def java_aliases(session: Session) -> set[str]:
    done = session.run(
        ["keytool", "-list", "-keystore", "/etc/ssl/certs/java/cacerts", "-storepass", "changeit"],
        environ={"JAVA_TOOL_OPTIONS": "-Duser.language=en"},
    )
    return {line.partition(",")[0] for line in done.stdout.decode().splitlines() if "trustedCertEntry" in line}


def test_every_client_trusts_it_and_refuses_it_again(site: Site) -> None:
    assert set(site.ask().values()) == {False}
    before = site.places()
    plan = site.patch("--dry-run", codes=(3,))
    assert differences(before, site.places()) == []

    done = site.patch("--yes")

    assert done["state"] == "applied"
    assert all(site.ask().values()), site.ask()
    after = site.places()
    changed = changed_files(before, after)
    assert changed == {path for row in plan["stores"] for path in row["files"]}
    site.run("audit", "--bundle", "vendor")
    assert site.patch("--yes")["stores"] == []

    site.run("rollback", "--yes")

    assert differences(before, site.places()) == []
    assert set(site.ask().values()) == {False}


def test_debian_11_is_patched_from_outside(bullseye: Guest, vendor: authorities.Authority, tmp_path: Path) -> None:
    """Its Python is too old for trustmend, and its hook writes the Java store by itself, without a trigger."""
    with bullseye.session() as session:
        folder = tmp_path / "vendor"
        bundle = [sys.executable, "-m", "trustmend", "bundle", "new", "vendor", "--into", str(tmp_path)]
        for name, made in (("root", vendor.new), ("issuing", vendor.issuing)):
            (tmp_path / f"{name}.pem").write_bytes(certificates.bundle_pem(made))
        environ = {
            "PYTHONPATH": str(shipped.ROOT / "src"),
            "LC_ALL": "C.UTF-8",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        }
        subprocess.run([*bundle, str(tmp_path / "root.pem"), str(tmp_path / "issuing.pem")], env=environ, check=True)
        enter = ["nsenter", f"--target={session.pid}", "--mount", "--pid"]
        site = Path("/etc/xdg/trustmend/bundles/vendor")

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            # Outside the guest, where it is mounted; the bundle is in a site configuration of this command's own.
            script = f'mount -t tmpfs tmpfs /etc/xdg && mkdir -p {site} && cp {folder}/* {site} && exec "$@"'
            program = [sys.executable, "-P", "-m", "trustmend", "--state-dir", str(tmp_path / "state")]
            return subprocess.run(
                [*enter, "unshare", "--mount", "sh", "-ec", script, "sh", *program, "--root", SESSION_ROOT, *words],
                env=environ, capture_output=True, text=True, check=False, timeout=300,
            )  # fmt: skip

        def ask() -> dict[str, bool]:
            return clients.ask(session, clients.chain_from(vendor.issuing))

        assert set(ask().values()) == {False}
        before = session.manifest(PLACES)
        refused = run("patch", "--yes", "--bundle", "vendor")
        assert refused.returncode == 6, refused.stderr
        assert "--allow-chroot" in refused.stdout
        assert differences(before, session.manifest(PLACES)) == []

        done = run("patch", "--yes", "--bundle", "vendor", "--allow-chroot")

        assert done.returncode == 0, done.stderr + done.stdout
        assert all(ask().values()), ask()
        assert run("rollback", "--yes").returncode == 0
        assert differences(before, session.manifest(PLACES)) == []
        assert set(ask().values()) == {False}


def test_surgery_takes_it_out_of_all_that_debian_would_leave_it_in(site: Site) -> None:
    """Plain update-ca-certificates leaves links that lead nowhere, and even --fresh leaves Java's entry."""
    session = site.session
    before = site.places()
    site.patch("--yes")
    other = certificates.bundle_pem(certificates.root("Another CA"))
    Path(session.path("/usr/local/share/ca-certificates/other.crt")).write_bytes(other)
    assert session.run(["update-ca-certificates"], environ={"DEBIAN_FRONTEND": "noninteractive"}).returncode == 0
    site.run("rollback", "--yes", codes=(6,))

    site.run("rollback", "--yes", "--surgical")

    left = differences(before, site.places())
    assert not [line for line in left if "trustmend" in line], left
    assert any("other.pem" in line for line in left)
    links = session.run(["find", "/etc/ssl/certs", "-xtype", "l"])
    assert links.stdout == b""
    aliases = java_aliases(session)
    assert "debian:other.pem" in aliases
    assert not [alias for alias in aliases if "trustmend" in alias]
    assert set(site.ask().values()) == {False}


def test_what_somebody_has_left_for_the_next_run_is_named_in_the_plan(site: Site) -> None:
    other = certificates.bundle_pem(certificates.root("Another CA"))
    Path(site.session.path("/usr/local/share/ca-certificates/other.crt")).write_bytes(other)
    before = site.places()
    plan = site.patch("--dry-run", codes=(3,))

    site.patch("--yes")

    after = site.places()
    changed = changed_files(before, after)
    named = {path for row in plan["stores"] for path in row["files"]}
    assert "/etc/ssl/certs/other.pem" in named
    assert changed == named
    assert "other" in plan["stores"][0]["notes"][1]
    site.run("rollback", "--yes")
    assert differences(before, site.places()) == []


def test_a_deselected_certificate_and_a_failing_hook_are_reported(site: Site) -> None:
    session = site.session
    shipped_file = Path(session.path("/usr/share/ca-certificates")) / "ours.crt"
    shipped_file.write_bytes(certificates.bundle_pem(site.vendor.new))
    settings = Path(session.path("/etc/ca-certificates.conf"))
    original = settings.read_bytes()
    settings.write_bytes(original + b"!ours.crt\n")
    before = site.places()

    refused = site.patch("--yes", codes=(6,))
    assert "!ours.crt" in refused["cannot_fix"][0]["reason"]
    assert differences(before, site.places()) == []

    settings.write_bytes(original)
    hook = Path(session.path("/etc/ca-certificates/update.d/jks-keystore"))
    hook.write_text("#!/bin/sh\ncat >/dev/null\nexit 3\n")  # the command then still ends with 0
    before = site.places()
    failed = site.patch("--yes", codes=(4,))

    assert "java/cacerts lacks" in failed["stores"][0]["error"]
    assert "exited with code 3" in failed["stores"][0]["error"]
    assert differences(before, site.places()) == []


def test_a_hook_that_others_could_change_is_not_run(site: Site) -> None:
    hook = Path(site.session.path("/etc/ca-certificates/update.d/planted"))
    hook.write_text("#!/bin/sh\ncat >/dev/null\ntouch /etc/ran-as-root\n")
    hook.chmod(0o777)
    before = site.places()

    refused = site.patch("--yes", codes=(6,))

    assert "can be changed by others" in refused["cannot_fix"][0]["reason"]
    assert differences(before, site.places()) == []
    assert not os.path.exists(site.session.path("/etc/ran-as-root"))


def test_dpkg_at_work_is_waited_for(site: Site) -> None:
    with open(site.session.path("/var/lib/dpkg/lock-frontend"), "r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        argv = [*site.tool.argv, "patch", "--yes", "--bundle", "vendor"]
        process = site.session.start(argv, environ=site.tool.environ)
        assert process.stderr is not None
        said = b""
        while b"waiting for the package manager" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        assert process.poll() is None
        fcntl.lockf(lock, fcntl.LOCK_UN)
    _, rest = process.communicate(timeout=120)

    assert process.returncode == 0, said + rest


@pytest.mark.parametrize("which", ["all", "one"])
def test_killed_at_random_times_everything_is_old_or_new(
    which: str, tool_in: ToolIn, vendor: authorities.Authority, request: pytest.FixtureRequest
) -> None:
    """`one`: only trustmend itself, whose command goes on and must be waited for; `all`: all that it started, too."""
    guest: Guest = request.getfixturevalue("bookworm_java" if which == "all" else "trixie")
    chance = random.Random(which)  # noqa: S311  no secret
    with site_in(guest, tool_in, vendor) as site:
        old = site.places()
        times = []
        for _ in range(2):  # the first one meets cold caches
            began = time.monotonic()
            site.patch("--yes")
            times.append(time.monotonic() - began)
            site.run("rollback", "--yes")
        whole = min(times)
        outcomes = set()
        for number in range(KILLS):
            argv = [*site.tool.argv, "patch", "--yes", "--bundle", "vendor"]
            process = site.session.start(argv, environ=site.tool.environ)
            time.sleep(chance.uniform(0.2, whole))
            if which == "all":
                os.killpg(process.pid, signal.SIGKILL)
            elif process.poll() is None:
                site.session.send(process, signal.SIGKILL)
            process.wait()

            site.run("recover")

            left = differences(old, site.places())
            states = json.loads(site.run("history", "--json").stdout)["changes"]
            if states and states[-1]["state"] == "applied":
                site.run("audit", "--bundle", "vendor")
                site.run("rollback", "--yes")
                left = differences(old, site.places())
                outcomes.add("new")
            else:
                outcomes.add("old")
            assert left == [], (number, left)
            package = site.session.run(["dpkg-query", "-W", "-f=${db:Status-Status}", "ca-certificates-java"])
            assert package.stdout == b"installed"
        assert "old" in outcomes


@pytest.mark.parametrize("what", ["patch", "rollback"])
@pytest.mark.parametrize("how", ["kill", "full"])
def test_each_operation_around_the_systems_command_fails_in_turn(
    how: str, what: str, bookworm_java: Guest, tool_in: ToolIn, vendor: authorities.Authority
) -> None:
    tool = tool_in(bookworm_java)
    tests = "/var/cache/trustmend/tests"
    with bookworm_java.session(binds={**tool.binds, str(shipped.ROOT / "tests"): tests}) as session:
        Site(session, tool, vendor)
        environ = {**tool.environ, "PYTHONPATH": f"{tool.environ['PYTHONPATH']}:{tests}"}

        done = session.run(["python3", f"{tests}/change/system_faults.py", how, what], environ=environ, timeout_s=900)

        assert done.returncode == 0, (done.stdout + done.stderr).decode()[-3000:]
        assert int(done.stdout.split()[-1]) > 20


def test_this_whole_machine_for_both_bundles(vendor: authorities.Authority) -> None:
    tool = on_machine()
    with machine_session(binds=tool.binds) as session:
        site = Site(session, tool, vendor)
        session.run(["update-ca-certificates"])  # whatever waits for it is not our change
        stores = json.loads(site.run("audit", "--bundle", "all", "--json", codes=(0, 3, 4)).stdout)["stores"]
        folders = sorted({os.path.dirname(store["path"]) for store in stores} | {"/etc/ssl", "/usr/local/share"})
        before = session.manifest(folders)

        done = json.loads(site.run("patch", "--bundle", "all", "--json", "--yes", codes=(0, 4)).stdout)

        left = json.loads(site.run("audit", "--bundle", "all", "--json", codes=(0, 3, 4)).stdout)["stores"]
        untrusted = {store["path"] for store in left if store["counted"] and store["verdict"] != "trusted"}
        assert untrusted <= {row["path"] for row in done["cannot_fix"]}
        assert len(done["stores"]) >= 20
        assert {row["state"] for row in done["stores"]} == {"applied"}
        assert site.ask()
        site.run("rollback", "--yes")
        assert differences(before, session.manifest(folders)) == []
