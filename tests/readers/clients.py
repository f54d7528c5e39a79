"""Asks further real programs whether they accept a server with one trust store. An answer is "" or the error's text.

They are given the store in the way in which each names one: NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, SSL_CERT_DIR or an
option. One server answers for all questions about the same chain.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from conftest import unmet
from readers.ask import ENVIRON, Question

SERVER = Path(__file__).parent.parent / "hosts" / "server.py"
NODE = """
const asked = JSON.parse(require("fs").readFileSync(0))
const one = ({port}) => new Promise(done => {
  const socket = require("tls").connect({port, host: "127.0.0.1", servername: "localhost"}, () => {
    socket.destroy()
    done("")
  })
  socket.on("error", problem => done(problem.code || String(problem)))
})
Promise.all(asked.map(one)).then(all => console.log(JSON.stringify(all)))
"""
GO = """
package main

import (
	"crypto/tls"
	"fmt"
	"os"
)

func main() {
	for _, port := range os.Args[1:] {
		connection, problem := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{ServerName: "localhost"})
		if problem != nil {
			fmt.Printf("%q\\n", problem.Error())
			continue
		}
		connection.Close()
		fmt.Println(`""`)
	}
}
"""


Client = Callable[[Question, Sequence[int]], list[str]]
"""Asked for one store, by the ports of servers on the loopback, one answer each."""


@contextmanager
def servers(questions: Sequence[Question]) -> Iterator[dict[tuple[str, str], int]]:
    """A TLS server for each chain and key of the questions, and its port."""
    started: dict[tuple[str, str], subprocess.Popen[bytes]] = {}
    try:
        for question in questions:
            if (question.chain, question.key) not in started:
                started[question.chain, question.key] = subprocess.Popen(
                    ["python3", "-I", str(SERVER), question.chain, question.key],
                    env=ENVIRON,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
        yield {key: _port(process) for key, process in started.items()}
    finally:
        for process in started.values():
            process.communicate()


def _port(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def answers(questions: Sequence[Question], client: Client) -> list[str]:
    """What a client says to each question; it is started once for each store, with the ports of its servers."""
    by_store: dict[str, list[Question]] = {}
    for question in questions:
        by_store.setdefault(question.store, []).append(question)
    with servers(questions) as ports, ThreadPoolExecutor(os.cpu_count()) as threads:
        asked = {
            store: threads.submit(client, same[0], [ports[q.chain, q.key] for q in same])
            for store, same in by_store.items()
        }
        said = {store: iter(answer.result()) for store, answer in asked.items()}
    return [next(said[question.store]) for question in questions]


def node(question: Question, ports: Sequence[int]) -> list[str]:
    """node with the store beside its own roots: it has no folders."""
    environ = {**ENVIRON, "NODE_EXTRA_CA_CERTS": question.store}
    said = _output(["node", "-e", NODE], environ, json.dumps([{"port": port} for port in ports]))
    return list(json.loads(said.splitlines()[-1]))


def go(program: str) -> Client:
    """A Go program made from `GO`, with the store as its only roots."""

    def ask(question: Question, ports: Sequence[int]) -> list[str]:
        file, folder = ("/nonexistent", question.store) if question.folder else (question.store, "/nonexistent")
        environ = {**ENVIRON, "SSL_CERT_FILE": file, "SSL_CERT_DIR": folder}
        return [json.loads(line) for line in _output([program, *map(str, ports)], environ).splitlines()]

    return ask


def wget(question: Question, ports: Sequence[int]) -> list[str]:
    """wget with GnuTLS, as Debian builds it."""
    where = (
        [f"--ca-directory={question.store}"]
        if question.folder
        else ["--ca-directory=/nonexistent", f"--ca-certificate={question.store}"]
    )
    return [
        _failure(["wget", "--no-config", "-nv", "-O", os.devnull, *where, f"https://localhost:{p}/"]) for p in ports
    ]


def gnutls_cli(question: Question, ports: Sequence[int]) -> list[str]:
    """GnuTLS's own client."""
    option = f"--x509cafile={question.store}"
    return [_failure(["gnutls-cli", option, "-p", str(port), "localhost"]) for port in ports]


def uv(question: Question, ports: Sequence[int]) -> list[str]:
    """uv, which is built with rustls; it asks the server for a package, and there is none."""
    said = []
    with tempfile.TemporaryDirectory() as home:
        name = "SSL_CERT_DIR" if question.folder else "SSL_CERT_FILE"
        environ = {**ENVIRON, "HOME": home, name: question.store}
        options = ["--no-cache", "--no-config", "--system", "--target", f"{home}/target"]
        for port in ports:
            index = f"https://localhost:{port}/simple"
            argv = [installed("uv"), "pip", "install", *options, "--default-index", index, "no-such-package"]
            done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60, check=False)
            refused = re.search(r"invalid peer certificate: .*", done.stderr)
            assert refused or re.search("not found|Content-Type", done.stderr), done.stderr  # it had an answer
            said.append(refused[0] if refused else "")
    return said


def installed(name: str) -> str:
    """The path of a program that the `dev` extra or this machine has; without it the test ends here."""
    found = shutil.which(name, path=f"{os.path.dirname(sys.executable)}:{os.environ.get('PATH', '')}")
    return found or unmet(f"missing here: {name}; the dev extra has it")


def _output(argv: Sequence[str], environ: dict[str, str], stdin: str = "") -> str:
    done = subprocess.run(argv, env=environ, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _failure(argv: Sequence[str]) -> str:
    done = subprocess.run(
        argv, env=ENVIRON, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    return "" if done.returncode == 0 else (done.stderr + done.stdout).strip() or "failed"
