"""Asks the real TLS clients of a session whether they trust a server, each with the store it reads by default.

curl (OpenSSL), wget (GnuTLS), python3 (urllib), node (`--use-openssl-ca`: its own roots are compiled in), openssl
(`s_client`) and every JVM below /usr/lib/jvm and /opt: whichever of them the system has. They see nothing but PATH,
HOME and LC_ALL, so no variable leads them to another store.
"""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import certificates
from certificates import Made
from hosts.machine import GUEST_ENVIRON, HERE, Session, find_jdks, java_version

JVM_FOLDERS = (("/usr/lib/jvm", "*"), ("/opt", "j[adr]*"))
REFUSED = 60  # how our own clients, and curl, end where they refuse a certificate
PYTHON = f"""
import ssl, sys, urllib.error, urllib.request
try:
    urllib.request.urlopen(sys.argv[1], timeout=60)
except urllib.error.URLError as problem:
    refused = isinstance(problem.reason, ssl.SSLCertVerificationError)
    if not refused or problem.reason.verify_code in (62, 64):  # another name or address
        raise
    sys.exit(print("refused:", problem.reason, file=sys.stderr) or {REFUSED})
"""
NODE = f"""
const refused = /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|INVALID_|PATH_LENGTH_)/
require("https").get(process.argv[1]).on("response", () => process.exit(0)).on("error", problem => {{
  if (!refused.test(problem.code)) throw problem
  console.error("refused:", problem.code)
  process.exit({REFUSED})
}})
"""
Key = TypeVar("Key")
JAVA = "/tmp/trustmend-client"  # noqa: S108 # the session's own


class ClientError(Exception):
    """Clients that failed, and not because they refused the server's certificate."""


@dataclass(frozen=True, slots=True)
class Client:
    """How a client is asked, and how it says no."""

    name: str
    argv: tuple[str, ...]
    code: int  # its exit code where it refuses a certificate, ...
    refusal: str  # ... and what it then says, as a pattern
    acceptance: str = ""  # what it says where it accepts one, ...

    accepted: int = 0  # ... and its exit code then: not 0 where the server has nothing for it but a certificate

    def ask(self, session: Session, environ: Mapping[str, str] | None = None) -> bool:
        """Whether it trusts the server. Raises ClientError.

        Args:
            session: where it runs.
            environ: added to PATH, HOME and LC_ALL.
        """
        done = session.run(self.argv, environ=environ)
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        if done.returncode == self.accepted and re.search(self.acceptance, said):
            return True
        if done.returncode == self.code and re.search(self.refusal, said):
            return False
        words = " ".join(said.split())[-1000:] or "it said nothing"
        raise ClientError(f"{self.name} ended with {done.returncode}: {words}")


def ask(session: Session, chain: Sequence[Made]) -> dict[str, bool]:
    """Whether each client trusts a server, by the client's name: curl, wget, python3, node, openssl, java-17 ...

    Any reason to refuse a chain counts as a no: an unknown root, an expired one, a bad signature.

    Args:
        session: the system whose clients are asked. The server runs in its network.
        chain: what the server sends, its own certificate first; see `chain_from`.

    Raises:
        ClientError: a client failed for another reason, such as a store that is missing, or a name that does not fit;
            one line for each that did.
    """
    with server(session, chain) as port:
        clients = _clients(session, f"https://127.0.0.1:{port}/")
        return ask_each(session, {client.name: (client, {}) for client in clients})


def ask_each(session: Session, asked: Mapping[Key, tuple[Client, Mapping[str, str]]]) -> dict[Key, bool]:
    """Whether each of some clients trusts its server, some at a time, each with variables of its own.

    Raises:
        ClientError: as `ask`.
    """
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        answers = {key: threads.submit(client.ask, session, environ) for key, (client, environ) in asked.items()}
    if failed := [str(answer.exception()) for answer in answers.values() if answer.exception()]:
        raise ClientError("\n".join(failed))
    return {key: answer.result() for key, answer in answers.items()}


def chain_from(issuing: Made, *more: Made) -> tuple[Made, ...]:
    """What a server on the loopback sends whose certificate `issuing` has signed; `more` are cross-signs and the like.

    The clients go to an address, since not every guest knows a localhost.
    """
    return (certificates.leaf(issuing, "localhost", hosts=("localhost", "127.0.0.1")), issuing, *more)


@contextmanager
def server(session: Session, chain: Sequence[Made]) -> Iterator[int]:
    """A TLS server in the session's network and with this machine's files; its port on 127.0.0.1."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("chain.pem", "key.pem")]
        for path, content in zip(paths, (certificates.bundle_pem(*chain), chain[0].key_pem), strict=True):
            with open(path, "wb") as file:
                file.write(content)
        program = [sys.executable, "-I", os.path.join(HERE, "server.py"), *paths]
        with subprocess.Popen(
            ["nsenter", f"--target={session.pid}", "--net", "--", *program],
            env=GUEST_ENVIRON,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            yield int(process.stdout.readline())


def _clients(session: Session, url: str) -> list[Client]:
    address = url.removeprefix("https://").rstrip("/")
    options = ["-connect", address, "-verify_ip", "127.0.0.1", "-verify_return_error"]
    known = [
        Client("curl", ("curl", "-sS", url), REFUSED, "SSL certificate problem: "),
        Client("wget", ("wget", "-nv", "-O", "/dev/null", url), 5, "certificate of .* is not trusted"),
        Client("python3", ("python3", "-I", "-c", PYTHON, url), REFUSED, "refused: "),
        Client("node", ("node", "--use-openssl-ca", "-e", NODE, url), REFUSED, "refused: "),
        Client(
            "openssl",
            ("openssl", "s_client", *options),
            1,
            r"verify error:num=(?!62|64)\d",  # another name or address
            r"Verify return code: 0 \(ok\)",
        ),
    ]
    names = " ".join(client.name for client in known)
    script = f"for name in {names}; do command -v $name >/dev/null && echo $name; done; true"
    there = session.run(["sh", "-c", script]).stdout.decode().split()
    return [client for client in known if client.name in there] + java_clients(session, url)


def java_clients(session: Session, url: str) -> list[Client]:
    """One for every Java runtime of the session, oldest first: java-17, java-25 ..."""
    homes = _java_homes(session)
    if homes:
        os.makedirs(session.path(JAVA), exist_ok=True)
        with open(session.path(f"{JAVA}/Client.class"), "wb") as file:
            file.write(_compiled())
    versions = list(homes.values())
    return [
        Client(
            f"java-{version}" if versions.count(version) == 1 else f"java-{version} {home}",
            (f"{home}/bin/java", "-XX:TieredStopAtLevel=1", "-cp", JAVA, "Client", url),
            REFUSED,
            "refused: ",
        )
        for home, version in homes.items()
    ]


def _java_homes(session: Session) -> dict[str, int]:
    """Every Java runtime of the session, oldest first: its folder, links resolved, and its version."""
    found: dict[str, int] = {}
    for folder, pattern in JVM_FOLDERS:
        top = session.path(folder)
        names = fnmatch.filter(os.listdir(top), pattern) if os.path.isdir(top) else []
        for name in names:
            home = session.path(f"{folder}/{name}").removeprefix(session.path("/").rstrip("/"))
            version = java_version(session.path(f"{home}/release"))
            if version and os.path.exists(session.path(f"{home}/bin/java")):
                found[home] = version
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))


@cache
def _compiled() -> bytes:
    """The class file of our Java client, for Java 8 and all newer ones; a JRE has no compiler."""
    source = os.path.join(os.path.dirname(HERE), "java", "Client.java")
    javac = next(jdk.javac for jdk in find_jdks() if jdk.javac)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [javac, "--release", "8", "-d", folder, source], env=GUEST_ENVIRON, capture_output=True, check=True
        )
        with open(os.path.join(folder, "Client.class"), "rb") as file:
            return file.read()
