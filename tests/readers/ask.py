"""Asks the real readers whether they accept a server with one trust store. An answer is "" or the error's text."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hosts.machine import Guest

HANDSHAKE = Path(__file__).parent / "handshake.py"
ENVIRON = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Question:
    """Would a reader with this store accept this server? `chain` is what the server sends, its leaf first."""

    store: str
    chain: str
    key: str

    @property
    def folder(self) -> bool:
        """The store is a folder of hash links."""
        return os.path.isdir(self.store)


def openssl_verify(question: Question, *flags: str) -> str:
    """`openssl verify` with the store alone: the defaults are shut off, and the purpose makes reject lists count."""
    name = "-CApath" if question.folder else "-CAfile"
    alone = ["-no-CAfile"] if question.folder else ["-no-CApath"]
    store = [name, question.store, *alone, "-no-CAstore"]
    done = subprocess.run(
        ["openssl", "verify", *store, "-purpose", "sslserver", *flags, "-untrusted", question.chain, question.chain],
        env=ENVIRON,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else (done.stderr + done.stdout).strip() or "failed"


def python_default(python: str, questions: Sequence[Question]) -> list[str]:
    """Handshakes of this interpreter with its default context."""
    asked = json.dumps([_request(q) for q in questions])
    done = subprocess.run(
        [python, "-I", str(HANDSHAKE)], env=ENVIRON, input=asked, capture_output=True, text=True, check=True
    )
    return [answer or "" for answer in json.loads(done.stdout)]


def guest_python_default(guest: Guest, folder: str, questions: Sequence[Question]) -> list[str]:
    """The same by the python3 of another system; all files of the questions lie below `folder`."""
    asked = json.dumps([_request(q) for q in questions]).encode()
    binds = {folder: folder, str(HANDSHAKE.parent): "/mnt"}
    done = guest.run(["python3", "-I", "/mnt/handshake.py"], binds=binds, stdin=asked)
    assert done.returncode == 0, done.stderr
    return [answer or "" for answer in json.loads(done.stdout)]


def _request(question: Question) -> dict[str, object]:
    return {
        "store": question.store,
        "folder": question.folder,
        "chain": question.chain,
        "key": question.key,
    }


def curl(question: Question) -> str:
    """curl against a server of this process on loopback."""
    with server(question.chain, question.key) as port:
        flag = "--capath" if question.folder else "--cacert"
        other = [] if question.folder else ["--capath", "/nonexistent"]
        address = ["--noproxy", "*", "--resolve", f"localhost:{port}:127.0.0.1", f"https://localhost:{port}/"]
        done = subprocess.run(
            ["curl", "-sS", "-o", os.devnull, flag, question.store, *other, *address],
            env=ENVIRON,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    return "" if done.returncode == 0 else done.stderr.strip() or "failed"


@contextmanager
def server(chain: str, key: str) -> Iterator[int]:
    """A TLS server on loopback that answers one request with 204; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        thread = threading.Thread(target=_answer, args=(listener, context), daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join()


def _answer(listener: socket.socket, context: ssl.SSLContext) -> None:
    try:
        connection, _ = listener.accept()
        with connection, context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(4096)
            tls.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    except OSError:  # the client did not like the certificate, and hung up
        pass


def curl_is_openssl() -> bool:
    """Whether the curl on PATH is built with OpenSSL, whose rules the tests of curl are about."""
    said = subprocess.run(["curl", "--version"], env=ENVIRON, capture_output=True, text=True, check=False).stdout
    return re.search(r"\bOpenSSL/", said) is not None
