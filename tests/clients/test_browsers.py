"""Firefox reads its profile's database and Chromium the user's; neither follows the system's store, nor variables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import firefox
from clients.matrix import STORES
from clients.site import Site, site_in
from hosts.clients import REFUSED, Client
from hosts.machine import machine_session
from hosts.tool import on_machine

HOME = "/srv/browsers"
PROFILE = f"{HOME}/.mozilla/firefox/abc.default"
DATABASES = {"firefox": f"{PROFILE}/cert9.db", "chromium": f"{HOME}/.pki/nssdb/cert9.db"}
CHROMIUM = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={HOME}/chromium", "--dump-dom")
BROWSERS = (
    Client(
        "firefox",
        ("python3", "-I", "-c", Path(firefox.__file__).read_text(encoding="utf-8"), PROFILE, "{url}"),
        REFUSED,
        "insecure certificate: ",
    ),
    Client("chromium", (*CHROMIUM, "{url}"), 0, "ERR_CERT_AUTHORITY_INVALID", r"<pre>\{\}"),
)
pytestmark = [pytest.mark.privileged, pytest.mark.slow, pytest.mark.needs("firefox-esr", "chromium", "certutil")]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A copy of this machine, with a home in which both browsers have an empty database."""
    tool = on_machine()
    with site_in(machine_session(binds=tool.binds), tool) as found:
        for database in DATABASES.values():
            folder = database.rpartition("/")[0]
            found.must(["mkdir", "-p", folder])
            found.must(["certutil", "-N", "-d", f"sql:{folder}", "--empty-password"])
        yield found


def accepting(site: Site, **environ: str) -> set[str]:
    asked = {(one.name,): (one, {"HOME": HOME, **environ}) for one in BROWSERS}
    return {name for (name,) in site.accepting(asked)}


def test_each_browser_reads_its_database_alone(site: Site) -> None:
    found = site.stores({"HOME": HOME})
    for name, path in DATABASES.items():
        assert [name in use["how"].lower() for use in found[path]["readers"]] == [True]
    assert accepting(site) == set()
    variables = dict.fromkeys(("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE"), "/srv/root.pem")

    with site.patched(STORES["system"]):
        assert accepting(site, **variables) == set()

    for name, path in DATABASES.items():
        with site.patched(path):
            assert accepting(site) == {name}
    assert accepting(site) == set()
