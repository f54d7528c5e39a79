"""Which store decides for a JVM, and which does not: its default, and what its options name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import pytest

from clients.site import Site, site_in
from hosts.clients import Client, java_clients
from hosts.machine import Guest
from hosts.tool import Tool

pytestmark = [pytest.mark.privileged, pytest.mark.slow]
SYSTEM = "/etc/ssl/certs/java/cacerts"
JKS, PKCS12 = "/srv/a.jks", "/srv/a.p12"
PASSWORD = " -Djavax.net.ssl.trustStorePassword=changeit"
Option = tuple[str, str]
OPTIONS: Final[dict[Option, tuple[str, bool]]] = {
    # a variable and what it is set to -> the store named so, and whether a JVM finds in it what is there
    ("JAVA_TOOL_OPTIONS", f"-Djavax.net.ssl.trustStore={JKS}"): (JKS, True),
    ("JDK_JAVA_OPTIONS", f"-Djavax.net.ssl.trustStore={PKCS12}{PASSWORD}"): (PKCS12, True),
    # A PKCS#12 store's certificates are encrypted: without the password it opens as an empty one.
    ("_JAVA_OPTIONS", f"-Djavax.net.ssl.trustStore={PKCS12}"): (PKCS12, False),
}


@pytest.fixture(scope="module", params=["bookworm_java", "trixie"])
def site(request: pytest.FixtureRequest, tool_in: Callable[[Guest], Tool]) -> Iterator[Site]:
    """Java 17, and Java 21 and 25; each with two key stores that hold another root."""
    guest: Guest = request.getfixturevalue(request.param)
    tool = tool_in(guest)
    with site_in(guest.session(binds=tool.binds), tool) as found:
        for path, kind in ((JKS, "JKS"), (PKCS12, "PKCS12")):
            entry = ["-alias", "stranger", "-file", "/srv/stranger.pem"]
            store = ["-keystore", path, "-storetype", kind, "-storepass", "changeit"]
            found.must(["keytool", "-importcert", "-noprompt", *entry, *store])
        yield found


def accepting(site: Site) -> dict[Option | None, set[str]]:
    """By what is set: the JVMs that trust the server then; None stands for nothing."""
    asked: dict[tuple[str, Option | None], tuple[Client, dict[str, str]]] = {}
    for jvm in java_clients(site.session, "{url}"):
        asked[jvm.name, None] = (jvm, {})
        for option, (_, read) in OPTIONS.items():
            empty = replace(jvm, code=1, refusal="trustAnchors parameter must be non-empty")
            asked[jvm.name, option] = (jvm if read else empty, dict([option]))
    accepted = site.accepting(asked)
    return {one: {name for name, option in accepted if option == one} for one in (None, *OPTIONS)}


def test_the_store_that_the_options_name_decides_or_else_the_default(site: Site) -> None:
    jvms = {jvm.name for jvm in java_clients(site.session, "{url}")}
    nobody: dict[Option | None, set[str]] = {option: set() for option in (None, *OPTIONS)}
    assert accepting(site) == nobody

    with site.patched(SYSTEM):
        assert accepting(site) == nobody | {None: jvms}

    with site.patched(JKS, PKCS12):
        assert accepting(site) == nobody | {option: jvms for option, (_, read) in OPTIONS.items() if read}
        for option, (path, read) in OPTIONS.items():
            assert site.verdict(path, dict([option])) == ("trusted" if read else "untrusted")

    assert accepting(site) == nobody
