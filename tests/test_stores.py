"""From locations to stores: links, roles, what counts, and what is never hidden."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import certificates
import shipped
from certificates import bundle_pem
from places.planted import Root
from trustmend.discover import discover
from trustmend.host import Host
from trustmend.model import Family, Kind, Location, Role, Store, Use
from trustmend.stores import Reading, read_stores

PUBLIC = shipped.pem("root-usertrust-rsa")
PUBLIC_SHA256 = frozenset({shipped.certificate("root-usertrust-rsa").sha256})
READING = Reading(public_roots=lambda: PUBLIC_SHA256)
PRIVATE = certificates.root("Our Own CA")


def stores(root: Root, *locations: Location) -> list[Store]:
    return read_stores(root.host, locations, READING)


def custom(path: str, **rest: object) -> Location:
    return replace(Location(path, Family.CUSTOM), **rest)  # type: ignore[arg-type]  # its own fields


def roles(root: Root, paths: Sequence[str]) -> list[Role]:
    return [store.role for store in stores(root, *map(custom, paths))]


def planted(tmp_path: Path) -> Root:
    return Root(tmp_path / "root")


def test_links_and_names_lead_to_one_store_with_all_readers(tmp_path: Path) -> None:
    root = planted(tmp_path)
    real = root.file("/etc/ssl/certs/java/cacerts", PUBLIC)
    first, second = (
        Location(root.link(f"/usr/lib/jvm/{name}/cacerts", real), Family.JAVA, Role.PUBLIC, (Use("jsse", "x", name),))
        for name in ("17", "25")
    )
    root.link("/opt/alias", "../usr/lib/jvm/17")

    (store,) = stores(root, first, second, custom("/opt/alias/cacerts"), custom(real))

    assert store.path == real
    assert store.links == ("/opt/alias/cacerts", "/usr/lib/jvm/17/cacerts", "/usr/lib/jvm/25/cacerts")
    assert [use.program for use in store.uses] == ["17", "25"]
    assert (store.family, store.role, store.counted) == (Family.JAVA, Role.PUBLIC, True)


def test_ids_stay_and_differ(tmp_path: Path) -> None:
    root = planted(tmp_path)
    paths = [custom(root.file(f"/srv/{n}.pem", PUBLIC)) for n in range(3)]

    first, second = (tuple(store.id for store in stores(root, *order)) for order in (paths, paths[::-1]))

    assert first == second[::-1]
    assert len(set(first)) == 3


def test_content_decides_the_role_where_no_place_does(tmp_path: Path) -> None:
    root = planted(tmp_path)
    issuing = certificates.intermediate(PRIVATE)
    leaf = certificates.leaf(issuing)

    found = roles(
        root,
        [
            root.file("/srv/public.pem", PUBLIC + PRIVATE.pem),
            root.file("/srv/private.pem", PRIVATE.pem),
            root.file("/srv/server.pem", bundle_pem(leaf, issuing)),
            root.file("/srv/server-and-root.pem", bundle_pem(leaf, issuing, PRIVATE)),
            root.file("/srv/with-key.pem", PUBLIC + PRIVATE.key_pem),
            root.file("/srv/leaf.pem", leaf.pem),
            root.file("/srv/one.der", PRIVATE.der),
        ],
    )

    assert found == [Role.PUBLIC, Role.PRIVATE, *[Role.NOT_A_TRUST_STORE] * 5]


def test_what_a_place_says_wins(tmp_path: Path) -> None:
    root = planted(tmp_path)
    path = root.file("/srv/private.pem", PRIVATE.pem)

    (as_public,) = stores(root, custom(path, role=Role.PUBLIC))
    (for_clients,) = stores(root, custom(path), custom(path, role=Role.CLIENT_AUTH))

    assert (as_public.role, as_public.counted) == (Role.PUBLIC, True)
    assert (for_clients.role, for_clients.counted) == (Role.CLIENT_AUTH, False)


def test_what_only_adds_to_a_programs_own_roots_does_not_count(tmp_path: Path) -> None:
    root = planted(tmp_path)
    path = root.file("/srv/extra.pem", PRIVATE.pem)
    adds, replaces = Use("node", "NODE_EXTRA_CA_CERTS", extends=True), Use("openssl-3", "SSL_CERT_FILE")

    (one,) = stores(root, custom(path, role=Role.PUBLIC, uses=(adds,)))
    (two,) = stores(root, custom(path, role=Role.PUBLIC, uses=(adds, replaces)))

    assert (one.counted, two.counted) == (False, True)


def test_what_the_user_names_counts_whatever_it_is(tmp_path: Path) -> None:
    root = planted(tmp_path)
    path = root.file("/srv/private.pem", PRIVATE.pem)

    (store,) = stores(root, custom(path, named=True, by_user=True))

    assert (store.role, store.counted) == (Role.PRIVATE, True)


def test_nothing_that_is_named_is_hidden(tmp_path: Path) -> None:
    root = planted(tmp_path)
    empty = root.file("/srv/empty.pem", b"")
    folder = "/srv/folder"
    os.mkdir(root.folder / "srv/folder")

    found = stores(root, *(custom(path, named=True) for path in (empty, "/srv/absent", folder)))

    assert [(store.path, store.counted) for store in found] == [(p, True) for p in (empty, "/srv/absent", folder)]
    assert [bool(store.content.error) for store in found] == [False, True, False]
    assert stores(root, custom("/srv/absent")) == []


def test_a_collection_to_pick_from_is_no_heap_of_trust_stores(tmp_path: Path) -> None:
    root = planted(tmp_path)
    picked = [root.file(f"/usr/share/ca/{n}.crt", certificates.root(f"Root {n}").pem) for n in range(6)]
    few = [root.file(f"/srv/{n}.crt", certificates.root(f"Root {n}").pem) for n in range(2)]

    assert roles(root, picked) == [Role.NOT_A_TRUST_STORE] * 6
    assert roles(root, few) == [Role.PRIVATE] * 2


def test_the_form_is_told_by_the_content(tmp_path: Path) -> None:
    root = planted(tmp_path)
    contents = {
        "/srv/a.jks": PUBLIC,
        "/srv/b.pem": b"\xfe\xed\xfe\xed\0\0\0\2\0\0\0\0" + bytes(20),
        "/srv/c": b"\r\n\xef\xbb\xbf" + PUBLIC.replace(b"\n", b"\r\n"),
        "/srv/d.p12": PRIVATE.der,
    }

    found = stores(root, *(custom(root.file(path, content), named=True) for path, content in contents.items()))

    assert [store.content.kind for store in found] == [Kind.PEM_BUNDLE, Kind.JKS, Kind.PEM_BUNDLE, Kind.DER]


def test_a_folder_and_the_bundle_in_it_are_two_stores(tmp_path: Path) -> None:
    root = planted(tmp_path)
    bundle = root.file("/etc/ssl/certs/ca-certificates.crt", PUBLIC + PRIVATE.pem)
    root.file("/etc/ssl/certs/one.pem", PUBLIC)

    folder, file = stores(root, custom("/etc/ssl/certs", named=True), custom(bundle, named=True))

    assert len(file.content.entries) == 2
    assert [entry.file for entry in folder.content.entries] == ["one.pem"]


def test_jssecacerts_shadows_cacerts(tmp_path: Path) -> None:
    root = planted(tmp_path)
    home = "/usr/lib/jvm/jdk"
    root.file(f"{home}/bin/java", b"")
    for name in ("cacerts", "jssecacerts"):
        root.file(f"{home}/lib/security/{name}", PUBLIC)

    found = {os.path.basename(store.path): store for store in stores(root, *discover(root.host))}

    assert (found["jssecacerts"].counted, bool(found["jssecacerts"].uses)) == (True, True)
    shadowed = found["cacerts"]
    assert (shadowed.counted, shadowed.uses) == (False, ())
    assert shadowed.shadowed_by == f"{home}/lib/security/jssecacerts"


def test_a_public_place_stays_public_where_a_server_lets_clients_in_by_it(tmp_path: Path) -> None:
    public, mixed = tmp_path / "public.pem", tmp_path / "mixed.pem"
    for path in (public, mixed):
        path.write_bytes(shipped.pem("root-usertrust-rsa"))
    clients = (Use("openssl-3", "nginx: ssl_client_certificate in nginx.conf:1"),)
    servers = (Use("openssl-3", "nginx: proxy_ssl_trusted_certificate in nginx.conf:2"),)
    known = frozenset({shipped.certificate("root-usertrust-rsa").sha256})

    def role(path: Path, *locations: Location) -> tuple[Role, list[str]]:
        (store,) = read_stores(Host(), locations, Reading(public_roots=lambda: known))
        return store.role, [finding.code for finding in store.findings]

    by_client = Location(str(mixed), Family.TOOL, Role.CLIENT_AUTH, clients)
    place = Location(str(public), Family.OS, Role.PUBLIC, servers)
    on_public = Location(str(public), Family.TOOL, Role.CLIENT_AUTH, clients)

    assert role(public, place, on_public) == (Role.PUBLIC, ["verifies-clients"])
    assert role(mixed, by_client) == (Role.CLIENT_AUTH, [])
    assert role(mixed, by_client, Location(str(mixed), Family.TOOL, None, servers))[0] is Role.PUBLIC
    mixed.write_bytes(certificates.root("Ours").pem)
    assert role(mixed, by_client, Location(str(mixed), Family.TOOL, None, servers))[0] is Role.CLIENT_AUTH
