"""What the variables of the calling shell name."""

from __future__ import annotations

import os

import pytest

from trustmend.host import Host
from trustmend.model import Family, Location
from trustmend.places import environment


def named(**environ: str) -> list[Location]:
    return list(environment.locations(Host("/", environ), {}))


@pytest.mark.parametrize("variable", environment.VARIABLES, ids=lambda variable: variable.name)
def test_a_variable_names_a_store(variable: environment._Variable) -> None:
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


def test_the_trust_store_property_with_its_password() -> None:
    (one,) = named(
        JAVA_TOOL_OPTIONS="-Xmx1g -Djavax.net.ssl.trustStore='/opt/my store.p12'",
        _JAVA_OPTIONS="-Djavax.net.ssl.trustStorePassword=s3cret",
    )

    assert (one.path, one.family) == ("/opt/my store.p12", Family.JAVA)
    (use,) = one.uses
    assert (use.reader, use.password, use.secret) == ("jsse", True, "s3cret")
    assert use.how == "-Djavax.net.ssl.trustStore in JAVA_TOOL_OPTIONS"
    assert "s3cret" not in repr(one)


def test_the_last_property_wins() -> None:
    (one,) = named(
        _JAVA_OPTIONS="-Djavax.net.ssl.trustStore=/last",
        JAVA_TOOL_OPTIONS="-Djavax.net.ssl.trustStore=/first",
        JDK_JAVA_OPTIONS="-Djavax.net.ssl.trustStore=/second",
    )

    assert (one.path, one.uses[0].password) == ("/last", False)


def test_an_unended_quote_is_no_option() -> None:
    assert named(JAVA_TOOL_OPTIONS="-Djavax.net.ssl.trustStore='/a") == []
