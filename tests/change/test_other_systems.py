"""Patches of the layouts of other distributions, on the real p11-kit; hosts/layouts.py says what is a stand-in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

import authority as authorities
import certificates
from change.test_real_systems import Site, changed_files
from hosts import clients, layouts
from hosts.layouts import Layout
from hosts.machine import Guest
from hosts.manifest import Row, differences
from hosts.tool import Tool
from trustmend.formats import pem

pytestmark = [pytest.mark.privileged, pytest.mark.slow]
PLACES = (
    "/etc",
    "/usr/local",
    "/usr/lib/jvm",
    "/var/lib/ca-certificates",
    "/usr/share/pki",
    "/usr/share/ca-certificates",
)


@pytest.fixture(scope="module")
def vendor() -> authorities.Authority:
    return authorities.make()


@pytest.fixture(params=layouts.LAYOUTS, ids=lambda layout: str(layout.name))
def layout(request: pytest.FixtureRequest) -> Layout:
    found: Layout = request.param
    return found


@pytest.fixture
def site(
    layout: Layout, bookworm_java: Guest, tool_in: Callable[[Guest], Tool], vendor: authorities.Authority
) -> Iterator[Site]:
    tool = tool_in(bookworm_java)
    with bookworm_java.session(binds=tool.binds) as session:
        layout.build(session)
        yield Site(session, tool, vendor)


def places(site: Site) -> Mapping[str, Row]:
    return site.session.manifest(PLACES)


def test_a_round_trip(site: Site, layout: Layout) -> None:
    assert True not in clients.ask(site.session, clients.chain_from(site.vendor.issuing)).values()
    before = places(site)
    plan = site.patch("--dry-run", codes=(3,))
    assert differences(before, places(site)) == []

    done = site.patch("--yes")

    assert done["state"] == "applied"
    trusting = site.ask()
    assert all(trusting.values()), trusting
    after = places(site)
    named = {path for row in plan["stores"] for path in row["files"]}
    folders = tuple(path for path in named if path.endswith("/"))
    assert {path for path in changed_files(before, after) - named if not path.startswith(folders)} == set()
    site.run("audit", "--bundle", "vendor")
    assert site.patch("--yes")["stores"] == []

    site.run("rollback", "--yes")

    assert differences(before, places(site)) == []
    assert True not in site.ask().values()


def test_an_intermediate_is_no_anchor_where_the_system_can_tell_them_apart(site: Site, layout: Layout) -> None:
    site.patch("--yes")

    stores = json.loads(site.run("audit", "--bundle", "vendor", "--json").stdout)["stores"]
    shown = json.loads(site.run("show", stores[0]["path"], "--bundle", "vendor", "--json").stdout)
    held = {entry["sha256"] for entry in shown["entries"]}
    assert site.vendor.new.sha256 in held
    assert (site.vendor.issuing.sha256 in held) == (layout.name == "Alpine")
    assert all(store["complete"] for store in stores if store["counted"])


@pytest.mark.parametrize(
    "layout", [layouts.RHEL, layouts.ARCH, layouts.SUSE], ids=lambda layout: str(layout.name), indirect=False
)
def test_a_blocklist_is_obeyed(site: Site, layout: Layout) -> None:
    folder = Path(site.session.path(os.path.dirname(layout.source))) / "blocklist"
    folder.mkdir(exist_ok=True)
    (folder / "old.pem").write_bytes(certificates.bundle_pem(site.vendor.new))
    before = places(site)

    refused = site.patch("--yes", codes=(6,))

    assert "blocklist/old.pem" in refused["cannot_fix"][0]["reason"]
    assert differences(before, places(site)) == []


@pytest.mark.parametrize(
    "layout", [layouts.RHEL, layouts.ARCH, layouts.SUSE], ids=lambda layout: str(layout.name), indirect=False
)
def test_p11_kits_own_folders_are_one_store_and_read_as_by_p11_kit(site: Site, layout: Layout) -> None:
    folder = Path(site.session.path(os.path.dirname(layout.source)))
    (folder / "anchors" / "ours.pem").write_bytes(certificates.bundle_pem(certificates.root("Our Own CA")))
    shipped = Path(site.session.path("/tmp/roots"))  # noqa: S108  of the session
    barred = sorted(shipped.glob("*.crt"))[0]
    (folder / "blocklist").mkdir(exist_ok=True)
    (folder / "blocklist" / "one.pem").write_bytes(barred.read_bytes())
    assert site.session.run(list(layout.command)).returncode == 0
    site.patch("--yes")

    rows = json.loads(site.run("stores", "--json").stdout)["stores"]
    (row,) = [one for one in rows if one["kind"] == "p11-kit"]
    shown = json.loads(site.run("show", row["path"], "--bundle", "vendor", "--json").stdout)

    assert (row["source"], row["role"]) == (layout.source, "public")
    options = ["--format=pem-bundle", "--filter=ca-anchors", "--purpose=server-auth"]
    assert site.session.run(["trust", "extract", *options, "/root/all.pem"]).returncode == 0
    extracted = pem.read(Path(site.session.path("/root/all.pem")).read_bytes())
    theirs = {entry.certificate.sha256 for entry in extracted.entries}
    assert len(theirs) > 100
    assert site.vendor.new.sha256 in theirs
    assert {entry["sha256"] for entry in shown["entries"] if entry["trusted"]} == theirs
    assert [entry["file"] for entry in shown["entries"] if any("blocklist" in bar for bar in entry["bars"])] != []


def test_surgery_leaves_what_came_later(site: Site, layout: Layout) -> None:
    site.patch("--yes")
    other = certificates.root("Another CA")
    Path(site.session.path(f"{layout.source}/other{layout.suffix}")).write_bytes(certificates.bundle_pem(other))
    assert site.session.run(list(layout.command)).returncode == 0
    site.run("rollback", "--yes", codes=(6,))

    site.run("rollback", "--yes", "--surgical")

    assert True not in site.ask().values()
    held = site.session.run(["grep", "-rl", "trustmend", "/etc/ssl", "/etc/pki", "/etc/ca-certificates", layout.source])
    assert held.stdout == b""
    for store in json.loads(site.run("stores", "--json").stdout)["stores"]:
        if store["source"] == layout.source:
            shown = json.loads(site.run("show", store["path"], "--json", codes=(0, 3)).stdout)
            held_now = {entry["sha256"] for entry in shown["entries"]}
            assert other.sha256 in held_now, store["path"]
            assert site.vendor.new.sha256 not in held_now, store["path"]
