"""The stores of `test_semantics` as Node, Go, rustls and GnuTLS take them, said by us and by the real programs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

import certificates
from authority import make, serve
from readers import clients
from readers.ask import Question
from test_semantics import ROWS, Planted, T, U, agrees, planted
from trustmend.model import Verdict

__all__ = ["planted"]

NODE = {row.name: row.without for row in ROWS if not row.name.startswith("folder")} | {
    "root before a broken block": T,
    "rejected first": T,
    "trusted issuing CA": U,
}
ANY_ANCHOR = {row.name: row.partial for row in ROWS} | {
    "issuing CA only": T,
    "root before a broken block": T,
    "rejected first": T,
    "trusted issuing CA": U,
    "folder: root without a link": T,
    "folder: root only as .1": T,
    "folder: cross-sign .0, root .1": T,
}
"""What libraries say that take any certificate as an anchor, skip what they do not know and read whole folders."""
GNUTLS = ANY_ANCHOR | {"root before a broken block": U}
STUMBLES = ("issuing CA only", "expired root and its cross-sign", "cross-sign by an expired root first")
"""GnuTLS 3.7 refuses these where the server sends a cross-sign that nobody needs; see readers.py."""


def ours(planted: Planted, reader: str, expected: Mapping[str, Verdict]) -> dict[str, tuple[Verdict, Verdict]]:
    """The rows of which our verdict is not the expected one."""
    rows = [row for row in ROWS if row.name in expected]
    judged = {row.name: planted.judged(row, reader).verdict for row in rows}
    return {name: (said, expected[name]) for name, said in judged.items() if said is not expected[name]}


def wrong(
    planted: Planted, client: clients.Client, expected: Mapping[str, Verdict], *, lax: Sequence[str] = ()
) -> dict[str, tuple[str, str]]:
    """The rows of which the program says something else; of the `lax` ones it is only asked without the cross-sign."""
    rows = [row for row in ROWS if row.name in expected]
    answers = iter(clients.answers([question for row in rows for question in planted.questions(row)], client))
    said = {row.name: (next(answers), next(answers)) for row in rows}
    said |= {name: (said[name][0], said[name][0]) for name in lax}
    return {name: pair for name, pair in said.items() if not agrees(expected[name], *pair)}


@pytest.fixture(scope="session")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> clients.Client:
    """A program made with the Go of this machine."""
    folder = tmp_path_factory.mktemp("go")
    (folder / "client.go").write_text(clients.GO)
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "GO111MODULE": "off", "GOTOOLCHAIN": "local"}
    argv = ["go", "build", "-o", str(folder / "client"), str(folder / "client.go")]
    subprocess.run(argv, env=environ, capture_output=True, check=True)
    return clients.go(str(folder / "client"))


@pytest.mark.parametrize(
    ("reader", "expected"), [("node", NODE), ("go", ANY_ANCHOR), ("rustls", ANY_ANCHOR), ("gnutls", GNUTLS)]
)
@pytest.mark.needs("openssl")
def test_our_verdicts(planted: Planted, reader: str, expected: Mapping[str, Verdict]) -> None:
    assert ours(planted, reader, expected) == {}


@pytest.mark.needs("openssl", "node")
def test_node_agrees(planted: Planted) -> None:
    assert wrong(planted, clients.node, NODE) == {}


@pytest.mark.slow
@pytest.mark.needs("openssl", "go")
def test_go_agrees(planted: Planted, go_client: clients.Client) -> None:
    assert wrong(planted, go_client, ANY_ANCHOR) == {}


@pytest.mark.needs("openssl")
def test_uv_which_is_rustls_agrees(planted: Planted) -> None:
    assert wrong(planted, clients.uv, ANY_ANCHOR) == {}


@pytest.mark.needs("openssl", "wget")
def test_wget_which_is_gnutls_agrees(planted: Planted) -> None:
    assert wrong(planted, clients.wget, GNUTLS, lax=STUMBLES) == {}


@pytest.mark.needs("openssl", "gnutls-cli")
def test_gnutls_cli_agrees(planted: Planted) -> None:
    files = {name: verdict for name, verdict in GNUTLS.items() if not name.startswith("folder")}

    assert wrong(planted, clients.gnutls_cli, files, lax=STUMBLES) == {}


@pytest.mark.slow
@pytest.mark.needs("go", "node")
def test_only_rustls_looks_at_no_date_of_an_anchor(tmp_path: Path, go_client: clients.Client) -> None:
    """An expired certificate of the very root: same name, same key."""
    authority = make()
    served = serve(authority, tmp_path)
    expired = certificates.cross(authority.new, authority.new, not_after=certificates.PAST)
    (tmp_path / "store.pem").write_bytes(expired.pem)
    question = Question(str(tmp_path / "store.pem"), served.normal, served.key)

    accepts = [clients.answers([question], client) == [""] for client in (clients.uv, go_client, clients.node)]

    assert accepts == [True, False, False]
