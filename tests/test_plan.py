"""Deciding what to change: whom a patch touches, what it leaves alone and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import authority as authorities
import certificates
from places.planted import Root
from trustmend.audit import Judged, judge
from trustmend.bundle import load
from trustmend.certificate import Certificate
from trustmend.change.disk import Disk
from trustmend.change.facts import Surroundings
from trustmend.change.files import Files
from trustmend.formats import pem
from trustmend.model import Content, Family, Kind, Role, Store, Use
from trustmend.plan import Facts, Method, Obstacle, Plan, SystemFacts, Wishes
from trustmend.plan_words import remarks, upgrades
from trustmend.planning import make
from trustmend.systems import SYSTEMS, file_name, system_of, takes_intermediates

VENDOR = authorities.make()
BUNDLE = authorities.bundle(VENDOR)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD = certificates.bundle_pem(VENDOR.stranger)
DEBIAN = system_of("/usr/local/share/ca-certificates", ["debian"])
RHEL = system_of("/etc/pki/ca-trust/source/anchors", ["fedora"])


def store(content: bytes = OLD, **changes: object) -> Store:
    found = Store(
        id="id",
        path="/srv/ca.pem",
        links=(),
        family=Family.CUSTOM,
        role=Role.PUBLIC,
        content=pem.read(content),
        sha256="before",
    )
    return replace(found, **changes)  # type: ignore[arg-type]  # fields of Store


def planned(
    *stores: Store, wishes: Wishes | None = None, facts: Facts | None = None, system: SystemFacts | None = None
) -> Plan:
    judged = [judge(one, [BUNDLE], NOW) for one in stores]

    def of_store(one: Judged) -> Facts:
        return facts or Facts(content=OLD)

    def of_system(source: str, wanted: Sequence[Certificate]) -> SystemFacts | None:
        return system

    return make(judged, [BUNDLE], NOW, wishes or Wishes(), of_store, of_system)


def test_a_store_that_lacks_the_root_gets_roots_first_then_the_rest() -> None:
    plan = planned(store())

    (step,) = plan.steps
    assert step.method is Method.PEM
    assert [c.sha256 for c in step.add] == [VENDOR.new.sha256, VENDOR.issuing.sha256]
    assert step.files == ("/srv/ca.pem",)
    assert plan.cannot_fix == ()
    assert "--roots-only" in remarks(plan)[0]


def test_a_store_that_trusts_the_chains_is_left_alone_but_for_complete() -> None:
    content = certificates.bundle_pem(VENDOR.new)

    assert planned(store(content)).steps == ()
    (step,) = planned(store(content), wishes=Wishes(complete=True), facts=Facts(content=content)).steps
    assert [c.sha256 for c in step.add] == [VENDOR.issuing.sha256]
    assert planned(store(content), wishes=Wishes(complete=True, roots_only=True)).steps == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"role": Role.CLIENT_AUTH}, "verifies clients"),
        ({"content": Content(Kind.PEM_BUNDLE, error="permission denied")}, "permission denied"),
        ({"content": pem.read(b"")}, "no certificate in it"),
        ({"content": pem.read(OLD + OLD[:300])}, "OpenSSL"),
        ({"content": Content(Kind.BCFKS, views=pem.read(OLD).views, entries=pem.read(OLD).entries)}, "bcfks"),
    ],
)
def test_what_is_never_changed_says_why_and_what_to_do(changes: dict[str, object], reason: str) -> None:
    one = replace(store(), **changes)  # type: ignore[arg-type]  # fields of Store
    content = OLD + OLD[:300] if reason == "OpenSSL" else OLD

    plan = planned(one, facts=Facts(content=content))

    assert plan.steps == ()
    (left,) = plan.cannot_fix
    assert reason in left.reason
    assert left.remedy


def test_uncounted_stores_are_not_looked_at() -> None:
    plan = planned(store(counted=False), store(shadowed_by="/x"))

    assert not plan.steps
    assert not plan.cannot_fix


def test_a_store_that_verifies_clients_is_changed_where_that_is_allowed() -> None:
    (step,) = planned(store(role=Role.CLIENT_AUTH), wishes=Wishes(client_auth=True)).steps

    assert "let in" in step.notes[0]


def test_a_private_store_is_changed_with_a_warning() -> None:
    (step,) = planned(store(role=Role.PRIVATE)).steps

    assert "private CA" in step.notes[0]


def test_an_obstacle_is_the_reason() -> None:
    (left,) = planned(store(), facts=Facts(content=OLD, obstacle=Obstacle("it is on the moon", "fly there"))).cannot_fix

    assert (left.reason, left.remedy) == ("it is on the moon", "fly there")


def artifacts(source: str) -> list[Store]:
    return [store(path=f"/etc/{number}", id=str(number), source=source, family=Family.OS) for number in range(3)]


def test_artifacts_are_mended_at_their_source_once() -> None:
    assert DEBIAN
    system = SystemFacts(DEBIAN, command=("/usr/sbin/update-ca-certificates",), files=("/etc/0",))

    plan = planned(*artifacts(DEBIAN.source), system=system)

    (step,) = plan.steps
    assert step.method is Method.SYSTEM
    assert len(step.stores) == 3
    assert step.path == DEBIAN.source
    assert f"{DEBIAN.folder}/{file_name(VENDOR.new.certificate)}.crt" in step.files
    assert "full anchor" in step.notes[0]


def test_where_an_intermediate_would_bar_its_own_chain_it_is_left_out() -> None:
    assert RHEL
    system = SystemFacts(RHEL, command=RHEL.commands[0])

    (step,) = planned(*artifacts(RHEL.source), system=system).steps

    assert step.files == (f"{RHEL.folder}/{file_name(VENDOR.new.certificate)}.pem",)
    assert "left out" in step.notes[0]
    assert not takes_intermediates(RHEL.source)
    judged = judge(artifacts(RHEL.source)[0], [BUNDLE], NOW)
    assert [c.sha256 for c in judged.missing] == [VENDOR.new.sha256]


def test_a_barred_certificate_stops_the_source() -> None:
    assert DEBIAN
    system = SystemFacts(DEBIAN, command=("x",), bars={VENDOR.new.sha256: "/etc/ca-certificates.conf, line 3"})

    plan = planned(*artifacts(DEBIAN.source), system=system)

    assert plan.steps == ()
    assert len(plan.cannot_fix) == 3
    assert "line 3" in plan.cannot_fix[0].reason


def test_artifacts_that_the_command_does_not_write_are_changed_themselves() -> None:
    assert DEBIAN
    stores = artifacts(DEBIAN.source)
    system = SystemFacts(DEBIAN, command=("/usr/sbin/update-ca-certificates",), unreached=frozenset({"/etc/2"}))

    plan = planned(*stores, system=system)

    assert {step.method: [j.store.path for j in step.stores] for step in plan.steps} == {
        Method.SYSTEM: ["/etc/0", "/etc/1"],
        Method.PEM: ["/etc/2"],
    }


def test_without_its_command_a_source_is_not_touched() -> None:
    assert DEBIAN
    plan = planned(*artifacts(DEBIAN.source), system=SystemFacts(DEBIAN))

    assert plan.steps == ()
    assert "not installed" in plan.cannot_fix[0].reason


def test_of_families_that_share_a_source_the_hosts_own_is_taken() -> None:
    source = "/usr/local/share/ca-certificates"

    assert [s.name for s in SYSTEMS if s.source == source] == ["Debian", "Alpine", "Gentoo"]
    assert (system_of(source, ["alpine"]) or RHEL) is SYSTEMS[1]
    assert (system_of(source, ["ubuntu", "debian"]) or RHEL) is SYSTEMS[0]
    assert (system_of(source, []) or RHEL) is SYSTEMS[0]
    assert system_of("/nowhere", ["debian"]) is None


def test_file_names_are_unique_and_plain() -> None:
    names = [
        file_name(one.certificate)
        for one in (VENDOR.new, VENDOR.cross, certificates.root("ÄÖ /../ x"), certificates.root(""))
    ]

    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalnum() and name.isascii() for name in names)


def test_an_upgrade_that_would_mend_the_system_is_said_first() -> None:
    known = SystemFacts(
        DEBIAN or SYSTEMS[0],
        command=("/usr/sbin/update-ca-certificates",),
        newer="ca-certificates 2 and later bring X; installed is 1",
        upgrade="apt-get install --only-upgrade ca-certificates",
    )
    java = store(id="java", path="/etc/ssl/certs/java/cacerts", family=Family.JAVA, source=known.system.source)

    (one,) = upgrades(planned(store(source=known.system.source, family=Family.OS), system=known))
    (both,) = upgrades(planned(java, system=known))

    assert one == "ca-certificates 2 and later bring X; installed is 1: apt-get install --only-upgrade ca-certificates"
    assert both == f"{one} (the Java key store is not made anew by that: Debian bug 1069251)"


def test_what_is_known_of_versions_is_looked_up_for_the_system_and_for_a_jdk(tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    root.file("/etc/os-release", b"ID=debian\n")
    root.file("/usr/sbin/update-ca-certificates", b"#!/bin/sh\n")
    root.file("/var/lib/dpkg/info/ca-certificates.list", b"/usr/sbin/update-ca-certificates\n")
    root.file(
        "/var/lib/dpkg/status",
        b"Package: ca-certificates\nStatus: install ok installed\nVersion: 20210119\nArchitecture: all\n\n",
    )
    root.file("/usr/local/share/ca-certificates/.keep")
    root.file("/opt/jdk/lib/security/cacerts")
    home = "/opt/jdk"
    use = Use("jsse", "the default store of this JVM", home, "17.0.15")
    java = store(path=f"{home}/lib/security/cacerts", uses=(use,), owner="Oracle Corporation Java 17.0.15")
    system = store(source="/usr/local/share/ca-certificates")
    bundle = load("sectigo-2025", host=root.host)
    judged = [judge(one, [bundle], NOW) for one in (system, java)]
    known = Surroundings(root.host, Files(root.host.root, Disk()), judged, None, [])

    of_system = known.of_system("/usr/local/share/ca-certificates", [c.certificate for c in judged[0].missing])
    of_java = known.of_store(judged[1])

    assert of_system is not None
    assert of_system.newer is not None
    assert of_system.newer.startswith("ca-certificates 20230311+deb12u1 and later bring Sectigo")
    assert of_system.upgrade == "apt-get install --only-upgrade ca-certificates"
    assert of_java.newer is not None
    assert of_java.newer.startswith("OpenJDK 17.0.16 and later bring Sectigo")
