"""A throwaway system with clients, a server on its loopback, and trustmend with a bundle for that server's root."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import certificates
from hosts import clients
from hosts.clients import Client, Key
from hosts.machine import Session
from hosts.tool import Tool

ROOT = certificates.root("Matrix Root")
ISSUING = certificates.intermediate(ROOT, "Matrix Issuing CA", path_length=0)
STRANGER = certificates.root("Stranger")
"""It has nothing to do with the server."""


@dataclass(frozen=True)
class Site:
    """It has /srv/root.pem, /srv/issuing.pem and /srv/stranger.pem; the server sends its leaf and the issuing CA."""

    session: Session
    tool: Tool
    port: int

    def write(self, path: str, content: bytes) -> None:
        """A file with the folders above it."""
        target = Path(self.session.path(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def must(self, argv: Sequence[str], environ: Mapping[str, str] | None = None) -> bytes:
        """What the command says; it ends well."""
        done = self.session.run(argv, environ=environ, timeout_s=300)
        assert done.returncode == 0, (argv, done.returncode, done.stdout.decode()[-3000:], done.stderr.decode()[-3000:])
        return done.stdout

    def trustmend(self, *words: str, environ: Mapping[str, str] | None = None) -> bytes:
        """What trustmend says with these variables, and it ends with 0."""
        return self.must([*self.tool.argv, *words], {**self.tool.environ, **(environ or {})})

    def stores(self, environ: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
        """The rows of `trustmend stores`, by path."""
        rows: list[dict[str, Any]] = json.loads(self.trustmend("stores", "--json", environ=environ))["stores"]
        return {row["path"]: row for row in rows}

    def verdict(self, path: str, environ: Mapping[str, str]) -> str:
        """What `trustmend audit` says of one of the stores."""
        argv = [*self.tool.argv, "audit", "--bundle", "matrix", "--json"]
        done = self.session.run(argv, environ={**self.tool.environ, **environ})
        rows = {row["path"]: row for row in json.loads(done.stdout)["stores"]}
        return str(rows[path]["verdict"])

    @contextmanager
    def patched(self, *paths: str) -> Iterator[None]:
        """These stores trust the server's root until the end, and then no more."""
        self.trustmend("patch", "--bundle", "matrix", "--yes", *paths)
        try:
            yield
        finally:
            self.trustmend("rollback", "--yes")

    def accepting(self, asked: Mapping[Key, tuple[Client, Mapping[str, str]]]) -> set[Key]:
        """Those of the questions that are answered with yes: a key -> the client, and its variables.

        In the clients' commands {url}, {address} and {port} are the server's.
        """
        address = f"127.0.0.1:{self.port}"
        marks = {"{url}": f"https://{address}/", "{address}": address}

        def ready(client: Client) -> Client:
            argv = tuple(marks.get(word, word.replace("{port}", str(self.port))) for word in client.argv)
            return replace(client, argv=argv)

        found = clients.ask_each(self.session, {key: (ready(client), env) for key, (client, env) in asked.items()})
        return {key for key, accepts in found.items() if accepts}


@contextmanager
def site_in(opened: AbstractContextManager[Session], tool: Tool) -> Iterator[Site]:
    """That session until the end."""
    with opened as session, clients.server(session, clients.chain_from(ISSUING)) as port:
        site = Site(session, tool, port)
        made = {"root": ROOT, "issuing": ISSUING, "stranger": STRANGER}
        for name, certificate in made.items():
            site.write(f"/srv/{name}.pem", certificate.pem)
        into = "/etc/xdg/trustmend/bundles"
        site.trustmend("bundle", "new", "matrix", "/srv/root.pem", "/srv/issuing.pem", "--into", into)
        yield site
