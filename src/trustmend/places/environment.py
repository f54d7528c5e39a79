"""Trust stores that variables of the calling shell name. They say nothing about services, which have their own.

An empty value is as good as none for all of these programs.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trustmend.model import Family, Finding, Location, Role, Severity, Use

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey


@dataclass(frozen=True)
class _Variable:
    """One variable: whose it is, whose rules read what it names, and whether built-in roots stay trusted beside it."""

    name: str
    readers: tuple[str, ...]
    family: Family
    extends: bool = False
    listed: bool = False  # a list of folders, separated by colons


_OPENSSL: Final = ("openssl-3",)
_PYTHON: Final = ("python-3.12",)
_ANY: Final = ("curl",)  # libraries that take any certificate as an anchor: curl, Go, Node, rustls, GnuTLS
VARIABLES: Final = (
    # SSL_CERT_*: X509_get_default_cert_file_env(3); also curl's tool (curl(1)), Python's ssl, Ruby, PHP, Go, .NET.
    _Variable("SSL_CERT_FILE", ("openssl-3", "curl", "python-3.12"), Family.OS),
    _Variable("SSL_CERT_DIR", ("openssl-3", "curl", "python-3.12"), Family.OS, listed=True),
    _Variable("CURL_CA_BUNDLE", ("curl", "python-3.12"), Family.TOOL),  # curl(1); requests falls back to it
    _Variable("REQUESTS_CA_BUNDLE", _PYTHON, Family.PYTHON),  # requests: advanced usage
    _Variable("PIP_CERT", _PYTHON, Family.PYTHON),
    _Variable("HTTPLIB2_CA_CERTS", _PYTHON, Family.PYTHON),  # httplib2/certs.py
    _Variable("AWS_CA_BUNDLE", _PYTHON, Family.TOOL),
    _Variable("CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", _PYTHON, Family.TOOL),
    _Variable("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", _OPENSSL, Family.TOOL),  # BoringSSL, no partial chain
    _Variable("NODE_EXTRA_CA_CERTS", _ANY, Family.NODE, extends=True),  # nodejs: cli.html
    _Variable("npm_config_cafile", _ANY, Family.NODE),
    _Variable("NPM_CONFIG_CAFILE", _ANY, Family.NODE),
    _Variable("YARN_CA_FILE_PATH", _ANY, Family.NODE),
    _Variable("YARN_HTTPS_CA_FILE_PATH", _ANY, Family.NODE),
    _Variable("DENO_CERT", _ANY, Family.NODE, extends=True),
    _Variable("GIT_SSL_CAINFO", _ANY, Family.TOOL),  # git-config(1), http.sslCAInfo; git uses libcurl
    _Variable("GIT_SSL_CAPATH", _ANY, Family.TOOL),
    _Variable("GIT_PROXY_SSL_CAINFO", _ANY, Family.TOOL),
    _Variable("NIX_SSL_CERT_FILE", _ANY, Family.TOOL),
    _Variable("CARGO_HTTP_CAINFO", _ANY, Family.TOOL),
    _Variable("PERL_LWP_SSL_CA_FILE", _OPENSSL, Family.TOOL),
    _Variable("PERL_LWP_SSL_CA_PATH", _OPENSSL, Family.TOOL),
    _Variable("HTTPS_CA_FILE", _OPENSSL, Family.TOOL),  # Perl's Crypt::SSLeay, and LWP after it
    _Variable("HTTPS_CA_DIR", _OPENSSL, Family.TOOL),
    _Variable("PGSSLROOTCERT", _OPENSSL, Family.TOOL),  # libpq; "system" is no file
    _Variable("LDAPTLS_CACERT", _OPENSSL, Family.TOOL),  # ldap.conf(5)
    _Variable("LDAPTLS_CACERTDIR", _OPENSSL, Family.TOOL),
    _Variable("BUNDLE_SSL_CA_CERT", _OPENSSL, Family.TOOL),
    _Variable("COMPOSER_CAFILE", _OPENSSL, Family.TOOL),
    _Variable("VAULT_CACERT", _ANY, Family.TOOL),
    _Variable("VAULT_CAPATH", _ANY, Family.TOOL),
    _Variable("CONSUL_CACERT", _ANY, Family.TOOL),
    _Variable("CONSUL_CAPATH", _ANY, Family.TOOL),
)
JAVA_VARIABLES: Final = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
"""In the order in which a JVM reads them: a later one wins (java(1), JDK_JAVA_OPTIONS; JVM TI, JAVA_TOOL_OPTIONS)."""
_TRUST_STORE: Final = "javax.net.ssl.trustStore"
_NO_FILES: Final = {"PGSSLROOTCERT": "system", _TRUST_STORE: "NONE"}


def locations(host: Host, survey: Survey) -> Iterator[Location]:
    """What the variables name, be it there or not. Relative paths are the calling shell's."""
    for variable in VARIABLES:
        value = host.environ.get(variable.name, "")
        for part in value.split(":") if variable.listed else (value,):
            if part and part != _NO_FILES.get(variable.name):
                how = f"environment variable {variable.name}"
                if variable.extends:
                    how += " (extends the built-in roots)"
                uses = tuple(Use(reader, how) for reader in variable.readers)
                yield Location(host.absolute(part), variable.family, uses=uses, named=True)
    yield from _java(host)


def _java(host: Host) -> Iterator[Location]:
    """The one trust store that a JVM started from this shell would take from its variables."""
    properties: dict[str, str] = {}
    named_by = ""
    for name in JAVA_VARIABLES:
        for key, value in _properties(host.environ.get(name, "")):
            properties[key] = value
            if key == _TRUST_STORE:
                named_by = name
    path = properties.get(_TRUST_STORE, "")
    if path and path != _NO_FILES[_TRUST_STORE]:
        path = host.absolute(path)
        if not host.exists(path) or host.is_dir(path):
            yield Location(path, Family.JAVA, Role.UNKNOWN, named=True, findings=(_ignored(named_by),))
            return
        # JSSE takes an empty password for none (sun.security.ssl.TrustStoreManager).
        secret = properties.get(_TRUST_STORE + "Password") or None
        use = Use("jsse", f"-D{_TRUST_STORE} in {named_by}", password=secret is not None, secret=secret)
        yield Location(path, Family.JAVA, uses=(use,), named=True)


def _ignored(variable: str) -> Finding:
    """JDKs up to 25, at least, read their default store where the named file is not there or is a folder.

    Source: sun.security.ssl.TrustStoreManager.TrustStoreDescriptor.createInstance; seen with JDK 17 and 25.
    """
    text = f"{variable} names it as {_TRUST_STORE}, but it is no file: JVMs ignore that and read their default store"
    return Finding("property-ignored", Severity.WARNING, text)


def _properties(options: str) -> list[tuple[str, str]]:
    """The -D properties of JVM options: blanks part words, quotes group, nothing escapes (arguments.cpp)."""
    words = shlex.shlex(options, posix=True, punctuation_chars=False)
    words.whitespace_split = True
    words.escape = words.commenters = ""
    try:
        found = list(words)
    except ValueError:  # a quote without its end: the JVM does not start
        return []
    return [(key[2:], value) for key, _, value in (word.partition("=") for word in found) if key.startswith("-D")]
