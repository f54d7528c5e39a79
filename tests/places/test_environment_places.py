"""What the variables of the calling shell name."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hosts.machine import Jdk
from trustmend.host import Host
from trustmend.model import Family, Location, Role
from trustmend.places import environment, variables


def named(**environ: str) -> list[Location]:
    return list(environment.locations(Host("/", environ), {}))


@pytest.mark.parametrize("variable", variables.VARIABLES, ids=lambda variable: variable.name)
def test_a_variable_names_a_store(variable: variables.Variable) -> None:
    (one,) = named(**{variable.name: "/srv/ca.pem"})

    assert (one.path, one.family, one.named, one.by_user) == ("/srv/ca.pem", variable.family, True, False)
    assert variable.name in one.uses[0].how
    assert one.uses[0].how.endswith("(extends the built-in roots)") == variable.extends


def test_empty_is_not_set_and_libpqs_system_is_no_file() -> None:
    assert named(SSL_CERT_FILE="", SSL_CERT_DIR="", PGSSLROOTCERT="system", JAVA_TOOL_OPTIONS="") == []


def test_ssl_cert_dir_is_a_list() -> None:
    assert [one.path for one in named(SSL_CERT_DIR="/a::/b")] == ["/a", "/b"]


def test_a_relative_path_is_the_shells() -> None:
    assert named(CURL_CA_BUNDLE="ca.pem")[0].path == os.path.join(os.getcwd(), "ca.pem")


def test_the_trust_store_property_with_its_password(tmp_path: Path) -> None:
    store = tmp_path / "my store.p12"
    store.touch()
    (one,) = named(
        JAVA_TOOL_OPTIONS=f"-Xmx1g -Djavax.net.ssl.trustStore='{store}'",
        _JAVA_OPTIONS="-Djavax.net.ssl.trustStorePassword=s3cret",
    )

    assert (one.path, one.family) == (str(store), Family.JAVA)
    (use,) = one.uses
    assert (use.reader, use.password, use.secret) == ("jsse", True, "s3cret")
    assert use.how == "-Djavax.net.ssl.trustStore in JAVA_TOOL_OPTIONS"
    assert "s3cret" not in repr(one)


def test_the_last_property_wins(tmp_path: Path) -> None:
    (tmp_path / "last").touch()
    (one,) = named(
        _JAVA_OPTIONS=f"-Djavax.net.ssl.trustStore={tmp_path}/last",
        JAVA_TOOL_OPTIONS="-Djavax.net.ssl.trustStore=/first",
        JDK_JAVA_OPTIONS="-Djavax.net.ssl.trustStore=/second",
    )

    assert (one.path, one.uses[0].password) == (f"{tmp_path}/last", False)


@pytest.mark.parametrize("path", ["missing", "."])
def test_a_property_that_names_no_file_is_ignored(tmp_path: Path, path: str) -> None:
    (one,) = named(JAVA_TOOL_OPTIONS=f"-Djavax.net.ssl.trustStore={tmp_path}/{path}")

    assert (one.role, one.uses) == (Role.UNKNOWN, ())
    assert [finding.code for finding in one.findings] == ["property-ignored"]


DEFAULT = """
public class Default {
  public static void main(String[] arguments) throws Exception {
    var factory = javax.net.ssl.TrustManagerFactory.getInstance("PKIX");
    factory.init((java.security.KeyStore) null);
    System.out.println(((javax.net.ssl.X509TrustManager) factory.getTrustManagers()[0]).getAcceptedIssuers().length);
  }
}
"""


@pytest.mark.slow
def test_jvms_do_ignore_it(tmp_path: Path, jdks: list[Jdk], clean_env: dict[str, str]) -> None:
    (tmp_path / "Default.java").write_text(DEFAULT)
    asked = [jdk for jdk in jdks if jdk.javac]
    assert asked

    for jdk in asked:
        counts = {
            path: subprocess.run(
                [jdk.java, f"-Djavax.net.ssl.trustStore={tmp_path}/{path}", str(tmp_path / "Default.java")],
                env=clean_env,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for path in ("missing", ".")
        }
        assert all(int(count) > 0 for count in counts.values()), jdk


def test_an_unended_quote_is_no_option() -> None:
    assert named(JAVA_TOOL_OPTIONS="-Djavax.net.ssl.trustStore='/a") == []
