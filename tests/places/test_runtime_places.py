"""The bundles of Ruby, Perl, PHP and others, and products' own JREs, on planted roots."""

from __future__ import annotations

from pathlib import Path

import pytest

import certificates
from places.planted import Root
from trustmend.discover import discover
from trustmend.model import Family, Role
from trustmend.stores import Reading, read_stores


@pytest.fixture
def root(tmp_path: Path) -> Root:
    root = Root(tmp_path / "root")
    root.passwd("/home/ann")
    return root


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/srv/shop/vendor/composer/ca-bundle/res/cacert.pem", "PHP: composer/ca-bundle"),
        ("/var/www/html/wp-includes/certificates/ca-bundle.crt", "WordPress"),
        ("/srv/shop/vendor/stripe/stripe-php/data/ca-certificates.crt", "PHP: stripe-php"),
        ("/usr/share/perl5/Mozilla/CA/cacert.pem", "Perl: Mozilla::CA"),
        ("/usr/local/share/perl/5.36.0/Mozilla/CA/cacert.pem", "Perl: Mozilla::CA"),
        ("/usr/share/perl5/vendor_perl/Mozilla/CA/cacert.pem", "Perl: Mozilla::CA"),
        ("/home/ann/perl5/lib/perl5/Mozilla/CA/cacert.pem", "Perl: Mozilla::CA"),
        ("/opt/app/lib/castore-1.0.5/priv/cacerts.pem", "Elixir: castore 1.0.5"),
        ("/home/ann/shop/deps/castore/priv/cacerts.pem", "Elixir: castore"),
        ("/opt/app/lib/certifi-2.12.0/priv/cacerts.pem", "Erlang: certifi 2.12.0"),
        ("/home/ann/.julia/juliaup/julia-1.10.0+0.x64.linux.gnu/share/julia/cert.pem", "Julia"),
        ("/opt/julia-1.10.4/share/julia/cert.pem", "Julia"),
        ("/var/lib/gems/3.1.0/gems/aws-sdk-core-3.191.0/ca-bundle.crt", "Ruby: aws-sdk-core 3.191.0"),
        ("/home/ann/.rbenv/versions/3.3.0/lib/ruby/gems/3.3.0/gems/stripe-10.1.0/lib/data/ca-certificates.crt",
         "Ruby: stripe 10.1.0"),
        ("/usr/local/bundle/gems/httpclient-2.8.3/lib/httpclient/cacert.pem", "Ruby: httpclient 2.8.3"),
    ],
)  # fmt: skip
def test_a_bundle_is_found(root: Root, path: str, owner: str) -> None:
    root.file(path)

    one = root.found()[path]

    assert (one.owner, one.family, one.role) == (owner, Family.TOOL, Role.PUBLIC)


def test_mozilla_ca_that_debian_links_to_the_systems_bundle_is_that_bundle(root: Root) -> None:
    bundle = root.file("/etc/ssl/certs/ca-certificates.crt", certificates.root().pem)
    root.link("/usr/share/perl5/Mozilla/CA/cacert.pem", bundle)

    (store,) = (store for store in read_stores(root.host, discover(root.host), Reading()) if store.path == bundle)

    assert store.family is Family.OS
    assert "Perl's IO::Socket::SSL" in {use.how for use in store.uses}


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("/usr/lib/ruby/vendor_ruby/rubygems/ssl_certs/rubygems.org/Root.pem", True),
        ("/usr/local/lib/ruby/3.3.0/rubygems/ssl_certs/rubygems.org/Root.pem", True),
        ("/home/ann/.dotnet/corefx/cryptography/x509stores/root/0A1B.pfx", False),
    ],
)
def test_roots_for_one_site_or_one_user_are_not_everybodys(root: Root, path: str, folder: bool) -> None:
    root.file(path)

    (one,) = discover(root.host)

    assert (one.path, one.role) == (path.rpartition("/")[0] if folder else path, Role.PRIVATE)


def test_dotnets_store_of_the_users_own_keys_is_none(root: Root) -> None:
    root.file("/home/ann/.dotnet/corefx/cryptography/x509stores/my/0A1B.pfx")

    assert discover(root.host) == []


@pytest.mark.parametrize(
    "path",
    [
        "/usr/local/aws-cli/v2/2.15.0/dist/awscli/botocore/cacert.pem",
        "/home/ann/.local/lib/aws-cli/v2/2.15.0/dist/awscli/botocore/cacert.pem",
        "/usr/lib/google-cloud-sdk/lib/third_party/certifi/cacert.pem",
    ],
)
def test_command_lines_of_clouds_bring_pythons_bundles(root: Root, path: str) -> None:
    root.file(path)

    assert root.found()[path].family is Family.PYTHON


def test_condas_package_cache_is_no_store(root: Root) -> None:
    """What is linked into environments from there is found in these."""
    for package, path in (
        ("/opt/conda/pkgs/ca-certificates-2026.1.4-hbcca054_0", "ssl/cacert.pem"),
        ("/home/ann/miniconda3/pkgs/certifi-2026.1.4-pyhd8ed1ab_0", "site-packages/certifi/cacert.pem"),
    ):
        root.file(f"{package}/info/index.json", b"{}")
        root.file(f"{package}/{path}")

    assert discover(root.host) == []


@pytest.mark.parametrize(
    "home",
    [
        "/opt/idea/jbr",
        "/usr/share/elasticsearch/jdk",
        "/usr/share/opensearch/jdk",
        "/usr/share/logstash/jdk",
        "/usr/share/dbeaver-ce/jre",
        "/home/ann/.local/share/JetBrains/Toolbox/apps/intellij-idea/jbr",
        "/home/ann/.local/share/JetBrains/Toolbox/apps/IDEA-U/ch-0/233.1/jbr",
        "/home/ann/android-studio/jbr",
        "/home/ann/.vscode/extensions/redhat.java-1.30.0-linux-x64/jre/17.0.10-linux-x86_64",
        "/snap/intellij-idea-community/current/jbr",
        "/opt/splunk/bin/jars/vendors/java/OpenJDK8U-jre",
        "/var/lib/jenkins/tools/hudson.model.JDK/17",
        "/usr/lib/unifi/jre",
        "/opt/gitlab/embedded/jre",
    ],
)
def test_a_products_own_java_is_found(root: Root, home: str) -> None:
    root.file(f"{home}/bin/java", b"")
    path = root.file(f"{home}/lib/security/cacerts")

    assert path in {one.path for one in discover(root.host)}
