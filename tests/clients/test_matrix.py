"""The store that trustmend says a client reads is the store that decides: real handshakes before and after a patch."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import pytest

from clients.matrix import APP, FOLDERS, KEEPS, PACKAGES, REPLACES, ROWS, STORES, VARIABLES
from clients.site import STRANGER, Site, site_in
from hosts import tool
from hosts.machine import GUEST_ROOTS, Guest
from hosts.tool import Tool
from trustmend.readers import READERS

pytestmark = [pytest.mark.privileged, pytest.mark.slow]
NAMED = "/srv/named"
"""One store for each variable: it holds no more than a root that has nothing to do with the server."""
BY_NAME = {row.client.name: row for row in ROWS}


@pytest.fixture(scope="module")
def site(client_guest: Guest, tool_in: Callable[[Guest], Tool], network_env: Mapping[str, str]) -> Iterator[Site]:
    """Shared by the tests, each of which leaves the stores as it found them."""
    packages = tool.make(GUEST_ROOTS, "3.13", network_env, "python-clients", PACKAGES)
    trustmend = tool_in(client_guest)
    with site_in(client_guest.session(binds=trustmend.binds), trustmend) as found:
        found.must(["python3", "-m", "venv", "--without-pip", APP])
        shutil.copytree(packages, found.session.path(f"{APP}/lib/python3.13/site-packages"), dirs_exist_ok=True)
        found.write(STORES["libpq"], STRANGER.pem)
        for name in VARIABLES:
            found.write(f"{NAMED}/{name}" + "/stranger.pem" * (name in FOLDERS), STRANGER.pem)
        for name in FOLDERS:
            found.must(["openssl", "rehash", f"{NAMED}/{name}"])
        yield found


def moved(how: Collection[str] = (KEEPS, REPLACES)) -> set[tuple[str, ...]]:
    """(client, variable) of all that lead it elsewhere, and do so to its default store."""
    return {
        (name, variable) for name, row in BY_NAME.items() for variable, does in row.variables.items() if does in how
    }


def naming(*variables: str) -> dict[str, str]:
    return {variable: f"{NAMED}/{variable}" for variable in variables}


def accepting(site: Site, asked: Iterable[tuple[str, ...]], named: str | None = None) -> set[tuple[str, ...]]:
    """Those of (client, variable ...) that trust the server with these variables, which name `named` or their own."""
    rows = {key: BY_NAME[key[0]] for key in asked}
    set_to = {key: dict.fromkeys(key[1:], named) if named else naming(*key[1:]) for key in rows}
    return site.accepting({key: (row.client, {**set_to[key], **row.environ}) for key, row in rows.items()})


def test_the_default_store_decides_and_no_other(site: Site) -> None:
    found = site.stores()
    everyone = [(name,) for name in BY_NAME]
    assert accepting(site, everyone) == set()
    for key, path in STORES.items():
        readers = {(name,) for name, row in BY_NAME.items() if key in row.stores}
        with site.patched(path):
            assert accepting(site, everyone) == readers
        assert accepting(site, readers) == set()
    for name, row in BY_NAME.items():
        for key in row.stores:
            assert row.reader in {use["reader"] for use in found[STORES[key]]["readers"]}, (name, key)


def test_a_variable_leads_its_clients_and_no_others_to_another_store(site: Site) -> None:
    found = site.stores(naming(*VARIABLES))
    for name, path in naming(*VARIABLES).items():
        readers = [use for use in found[path]["readers"] if f"environment variable {name}" in use["how"]]
        assert readers, name
        # What is said to extend a default store does so, for every client that follows it.
        extends = any(use["extends"] for use in readers)
        assert not extends or {row.variables.get(name, KEEPS) for row in ROWS} == {KEEPS}
    assert accepting(site, moved()) == set()

    with site.patched(*naming(*VARIABLES).values()):
        # All the variables that should not lead a client anywhere are set at once.
        others = {(name, *(set(VARIABLES) - row.variables.keys())) for name, row in BY_NAME.items()}
        assert accepting(site, moved() | others) == moved()

    assert accepting(site, moved()) == set()


def test_a_variable_replaces_the_default_store_or_does_not(site: Site) -> None:
    both = ("SSL_CERT_FILE", "SSL_CERT_DIR")
    with site.patched(*STORES.values()):
        assert accepting(site, moved()) == moved([KEEPS])
        followers = {name: row for name, row in BY_NAME.items() if row.variables.keys() >= set(both)}
        others = {
            name for name, row in followers.items() if row.stores > {"system"} and KEEPS in row.variables.values()
        }
        assert accepting(site, [(name, *both) for name in followers]) == {(name, *both) for name in others}


def test_an_intermediate_alone_is_enough_for_those_whose_rules_say_so(site: Site) -> None:
    asked = {(name, variable) for name, variable in moved() if variable not in FOLDERS}

    expected = {key for key in asked if READERS[BY_NAME[key[0]].reader].partial_chain}
    assert accepting(site, asked, "/srv/issuing.pem") == expected
