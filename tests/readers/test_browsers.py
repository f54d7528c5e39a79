"""What the real Firefox and Chromium make of a database before a patch, after it and after its rollback."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import authority as authorities
from patching import Bench, snapshot
from trustmend.formats import nss
from trustmend.host import Host
from trustmend.model import EntryKind
from trustmend.places import nss as places

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
pytestmark = [pytest.mark.slow, pytest.mark.needs("certutil")]


class Server:
    """A TLS server on the loopback that counts the requests which come through, and the handshakes that fail."""

    def __init__(self, chain: str, key: str) -> None:
        self.requests = self.refusals = 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(chain, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self.listener.getsockname()[1]}/"

    def serve(self) -> None:
        """Until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection: socket.socket) -> None:
        """One connection; a browser that does not like the certificate hangs up."""
        connection.settimeout(20)
        try:
            with connection, self.context.wrap_socket(connection, server_side=True) as tls:
                if tls.recv(4096):
                    self.requests += 1
                    tls.sendall(ANSWER)
        except ssl.SSLError:  # an alert: unknown CA
            self.refusals += 1
        except OSError:
            pass


@pytest.fixture(scope="module")
def vendor() -> authorities.Authority:
    return authorities.make()


@pytest.fixture
def server(tmp_path: Path, vendor: authorities.Authority) -> Iterator[Server]:
    served = authorities.serve(vendor, tmp_path)
    found = Server(served.normal, served.key)
    threading.Thread(target=found.serve, daemon=True).start()
    yield found
    found.listener.close()


def visits(server: Server, argv: list[str], environ: Mapping[str, str]) -> bool:
    """Whether the browser gets through to the server."""
    requests, refusals = server.requests, server.refusals
    command = [*argv, server.url]
    with subprocess.Popen(command, env=dict(environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
        for _ in range(300):
            if server.requests > requests or server.refusals > refusals or browser.poll() is not None:
                break
            time.sleep(0.2)
        browser.terminate()  # Firefox waits for ever at its page that says no
        browser.wait(30)
    assert (server.requests, server.refusals) != (requests, refusals), "it never came to the server"
    return server.requests > requests


def firefox(folder: Path) -> list[str]:
    return ["firefox-esr", "--headless", "--profile", str(folder), "--screenshot", f"{folder.parent}/page.png"]


CHROMIUM = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]


@pytest.mark.needs("firefox-esr")
def test_firefox(tmp_path: Path, clean_env: dict[str, str], server: Server, vendor: authorities.Authority) -> None:
    profile = tmp_path / "home" / ".mozilla" / "firefox" / "abc.default"
    profile.mkdir(parents=True)
    command = firefox(profile)
    assert not visits(server, command, clean_env)
    database = profile / "cert9.db"
    host = Host(environ={"HOME": clean_env["HOME"]})
    found = list(places.locations(host, {"homes": [clean_env["HOME"]]}))
    assert [str(one.path) for one in found] == [str(database)]
    bench = Bench([database], authorities.bundle(vendor), tmp_path / "state")
    before = {path: thing for path, thing in snapshot(profile).items() if path.endswith(("cert9.db", "key4.db"))}

    assert [one.state for one in bench.patch()] == ["applied"]
    assert visits(server, command, clean_env)

    held = {e.certificate.sha256: e.kind for e in nss.read(database.read_bytes()).entries}
    assert held[vendor.new.sha256] is EntryKind.CERTIFICATE
    assert held[vendor.issuing.sha256] is EntryKind.PLAIN
    assert bench.take_back() == []
    assert {path: thing for path, thing in snapshot(profile).items() if path in before} == before
    assert not visits(server, command, clean_env)


@pytest.mark.needs("firefox-esr")
def test_a_running_firefox_is_waited_for_by_the_operator(
    tmp_path: Path, clean_env: dict[str, str], vendor: authorities.Authority
) -> None:
    profile = tmp_path / "profile"
    profile.mkdir()
    command = ["firefox-esr", "--headless", "--no-remote", "--profile", str(profile), "about:blank"]
    with subprocess.Popen(command, env=clean_env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
        try:
            for _ in range(300):
                files = [profile / name for name in ("cert9.db", "key4.db")]
                if all(file.exists() and file.stat().st_size for file in files):
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    browser.wait(0.2)
            bench = Bench([profile / "cert9.db"], authorities.bundle(vendor), tmp_path / "state")

            plan = bench.plan()

            assert plan.steps == ()
            assert "in use by process" in plan.cannot_fix[0].reason
        finally:
            browser.terminate()
            browser.wait(30)


@pytest.mark.needs("chromium")
def test_chromium(tmp_path: Path, clean_env: dict[str, str], server: Server, vendor: authorities.Authority) -> None:
    folder = Path(clean_env["HOME"]) / ".pki" / "nssdb"
    folder.mkdir(parents=True)
    made = ["certutil", "-N", "--empty-password", "-d", f"sql:{folder}"]
    subprocess.run(made, env={"PATH": clean_env["PATH"]}, check=True)
    assert not visits(server, CHROMIUM, clean_env)
    bench = Bench([folder / "cert9.db"], authorities.bundle(vendor), tmp_path / "state")

    assert [one.state for one in bench.patch()] == ["applied"]
    assert visits(server, CHROMIUM, clean_env)

    assert bench.take_back() == []
    assert not visits(server, CHROMIUM, clean_env)
