"""Java homes in every place that keeps them, on planted roots."""

from __future__ import annotations

from pathlib import Path

import pytest

from places.planted import Root
from trustmend.host import Host
from trustmend.model import Family
from trustmend.places import java, tree


@pytest.fixture
def root(tmp_path: Path) -> Root:
    root = Root(tmp_path / "root")
    root.passwd("/home/ann")
    return root


def jdk(root: Root, home: str, security: str = "lib/security") -> str:
    """A Java home with its launcher and store."""
    root.file(f"{home}/bin/java", b"")
    root.file(f"{home}/release", b'IMPLEMENTOR="Debian"\nJAVA_VERSION="17.0.15"\n')
    return root.file(f"{home}/{security}/cacerts")


@pytest.mark.parametrize(
    "home",
    [
        "/usr/lib/jvm/java-17",
        "/usr/lib64/jvm/java-11",
        "/usr/java/jdk-21",
        "/opt/jdk-21",
        "/opt/java/openjdk",
        "/opt/product/jdk",
        "/opt/vendor/product/server/jre",
        "/usr/share/elasticsearch/jdk",
        "/home/ann/.sdkman/candidates/java/17.0.2-tem",
        "/home/ann/.asdf/installs/java/temurin-17",
        "/home/ann/.local/share/mise/installs/java/17",
        "/home/ann/.jdks/corretto-17",
    ],
)
def test_a_home_is_found(root: Root, home: str) -> None:
    path = jdk(root, home)

    found = root.found()

    assert set(found) == {path}
    (use,) = found[path].uses
    assert (use.reader, use.program, use.version, use.password) == ("jsse", home, "17.0.15", False)
    assert (found[path].family, found[path].owner, found[path].named) == (Family.JAVA, "Debian Java 17.0.15", True)


def test_jdk_8_keeps_its_store_in_its_jre(root: Root) -> None:
    path = jdk(root, "/usr/lib/jvm/java-8", "jre/lib/security")
    root.file("/usr/lib/jvm/java-8/jre/bin/java", b"")
    root.link("/etc/alternatives/java", "/usr/lib/jvm/java-8/jre/bin/java")

    assert set(root.found()) == {path}


def test_jssecacerts_shadows_cacerts(root: Root) -> None:
    path = jdk(root, "/opt/jdk")
    first = root.file("/opt/jdk/lib/security/jssecacerts")

    found = root.found()

    assert [use.reader for use in found[first].uses] == ["jsse"]
    assert (found[path].uses, found[path].shadowed_by) == ((), first)


def test_a_missing_store_is_a_row(root: Root) -> None:
    root.file("/usr/lib/jvm/broken/bin/java", b"")
    root.file("/usr/lib/jvm/broken/lib/security/blocked.certs", b"")

    assert root.found()["/usr/lib/jvm/broken/lib/security/cacerts"].named


def test_a_home_is_given_once_whatever_leads_to_it(root: Root) -> None:
    path = jdk(root, "/usr/lib/jvm/java-17")
    root.link("/usr/lib/jvm/default-java", "java-17")
    root.link("/usr/bin/java", "/etc/alternatives/java")
    root.link("/etc/alternatives/java", "/usr/lib/jvm/java-17/bin/java")
    root.link("/home/ann/.jenv/versions/17", "/usr/lib/jvm/java-17")
    root.link("/opt/circle", "/opt/circle")

    assert set(root.found()) == {path}


def test_links_of_jenv_and_the_alternatives_lead_to_homes_elsewhere(root: Root) -> None:
    one = jdk(root, "/data/a/b/c/d/e/f/jdk-one")
    two = jdk(root, "/data/a/b/c/d/e/f/jdk-two")
    root.link("/home/ann/.jenv/versions/11", "/data/a/b/c/d/e/f/jdk-one")
    root.file("/var/lib/dpkg/alternatives/java", b"auto\n/usr/bin/java\n\n/data/a/b/c/d/e/f/jdk-two/bin/java\n1711\n")

    assert set(root.found()) == {one, two}


def test_variables_name_a_home(tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    path = jdk(root, "/data/a/b/c/d/e/f/jdk")
    host = Host(str(root.folder), {"JAVA_HOME": "/data/a/b/c/d/e/f/jdk/"})

    assert [one.path for one in java.locations(host, tree.survey(host))] == [path]


def test_a_link_out_of_the_root_is_looked_up_in_it(root: Root, tmp_path: Path) -> None:
    outside = Root(tmp_path / "outside")
    jdk(outside, "/jdk")
    root.link("/usr/lib/jvm/evil", str(outside.folder / "jdk"))

    assert root.found() == {}
