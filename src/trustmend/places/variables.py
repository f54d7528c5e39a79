"""Variables that name trust stores, whoever sets them: a shell, a process, a unit file. One table for all.

An empty value is as good as none for all of these programs.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from trustmend.model import Family, Finding, Location, Process, Role, Setting, Severity, Use

if TYPE_CHECKING:
    from trustmend.host import Host


@dataclass(frozen=True)
class Variable:
    """One variable: whose it is, whose rules read what it names, and whether built-in roots stay trusted beside it."""

    name: str
    readers: tuple[str, ...]
    family: Family
    extends: bool = False
    listed: bool = False  # a list of folders, separated by colons


_OPENSSL: Final = ("openssl-3",)
_PYTHON: Final = ("python-3.12",)
_ANY: Final = ("curl",)
_NODE: Final = ("node",)
_GIT: Final = ("curl", "gnutls")  # libcurl, which Debian's git has with GnuTLS
VARIABLES: Final = (
    # SSL_CERT_*: X509_get_default_cert_file_env(3); also curl's tool (curl(1)), Python's ssl, Ruby, PHP, Go, .NET.
    Variable("SSL_CERT_FILE", ("openssl-3", "curl", "python-3.12"), Family.OS),
    Variable("SSL_CERT_DIR", ("openssl-3", "curl", "python-3.12"), Family.OS, listed=True),
    Variable("CURL_CA_BUNDLE", ("curl", "python-3.12"), Family.TOOL),  # curl(1); requests falls back to it
    Variable("REQUESTS_CA_BUNDLE", _PYTHON, Family.PYTHON),  # requests: advanced usage
    Variable("PIP_CERT", _PYTHON, Family.PYTHON),
    Variable("HTTPLIB2_CA_CERTS", _PYTHON, Family.PYTHON),  # httplib2/certs.py
    Variable("AWS_CA_BUNDLE", _PYTHON, Family.TOOL),
    Variable("CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", _PYTHON, Family.TOOL),
    Variable("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", _OPENSSL, Family.TOOL),  # BoringSSL, no partial chain
    Variable("NODE_EXTRA_CA_CERTS", _NODE, Family.NODE, extends=True),  # nodejs: cli.html
    Variable("npm_config_cafile", _NODE, Family.NODE),
    Variable("NPM_CONFIG_CAFILE", _NODE, Family.NODE),
    Variable("YARN_CA_FILE_PATH", _NODE, Family.NODE),
    Variable("YARN_HTTPS_CA_FILE_PATH", _NODE, Family.NODE),
    Variable("DENO_CERT", ("rustls",), Family.NODE, extends=True),
    Variable("GIT_SSL_CAINFO", _GIT, Family.TOOL),  # git-config(1), http.sslCAInfo
    Variable("GIT_SSL_CAPATH", _GIT, Family.TOOL),
    Variable("GIT_PROXY_SSL_CAINFO", _GIT, Family.TOOL),
    Variable("NIX_SSL_CERT_FILE", _ANY, Family.TOOL),
    Variable("CARGO_HTTP_CAINFO", _ANY, Family.TOOL),
    Variable("PERL_LWP_SSL_CA_FILE", _OPENSSL, Family.TOOL),
    Variable("PERL_LWP_SSL_CA_PATH", _OPENSSL, Family.TOOL),
    Variable("HTTPS_CA_FILE", _OPENSSL, Family.TOOL),  # Perl's Crypt::SSLeay, and LWP after it
    Variable("HTTPS_CA_DIR", _OPENSSL, Family.TOOL),
    Variable("PGSSLROOTCERT", _OPENSSL, Family.TOOL),  # libpq; "system" is no file
    Variable("LDAPTLS_CACERT", (*_OPENSSL, "gnutls"), Family.TOOL),  # ldap.conf(5)
    Variable("LDAPTLS_CACERTDIR", (*_OPENSSL, "gnutls"), Family.TOOL),
    Variable("BUNDLE_SSL_CA_CERT", _OPENSSL, Family.TOOL),
    Variable("COMPOSER_CAFILE", _OPENSSL, Family.TOOL),
    Variable("VAULT_CACERT", ("go",), Family.TOOL),
    Variable("VAULT_CAPATH", ("go",), Family.TOOL),
    Variable("CONSUL_CACERT", ("go",), Family.TOOL),
    Variable("CONSUL_CAPATH", ("go",), Family.TOOL),
)
JAVA_VARIABLES: Final = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
"""In the order in which a JVM reads them: a later one wins (java(1), JDK_JAVA_OPTIONS; JVM TI, JAVA_TOOL_OPTIONS)."""
TRUST_STORE: Final = "javax.net.ssl.trustStore"
_NO_FILES: Final = {"PGSSLROOTCERT": "system", TRUST_STORE: "NONE"}


@dataclass(frozen=True)
class Named:
    """A path that a variable or an option names as a trust store, as it stands there: it may be relative."""

    path: str
    key: str  # the variable or property
    family: Family
    readers: tuple[str, ...]
    extends: bool = False
    password: bool = False
    secret: str | None = field(default=None, repr=False)
    store_type: str | None = None  # as in `model.Use`

    @property
    def how(self) -> str:
        """What a reader's row says."""
        said = f"-D{TRUST_STORE} in {self.key}" if self.family is Family.JAVA else f"environment variable {self.key}"
        return f"{said} (extends the built-in roots)" if self.extends else said


def of_environ(environ: Mapping[str, str]) -> Iterator[Named]:
    """What an environment names, JVM options apart."""
    for variable in VARIABLES:
        value = environ.get(variable.name, "")
        for part in value.split(":") if variable.listed else (value,):
            if part and part != _NO_FILES.get(variable.name):
                yield Named(part, variable.name, variable.family, variable.readers, variable.extends)


def of_java_environ(environ: Mapping[str, str]) -> Named | None:
    """The one trust store that a JVM with this environment takes from its variables."""
    return of_java_options([(name, environ.get(name, "")) for name in JAVA_VARIABLES])


def of_java_options(options: Sequence[tuple[str, str]]) -> Named | None:
    """The one trust store that JVM options name; a later property wins. None: none, or `NONE`.

    Args:
        options: (who sets them, e.g. a variable's name; the options as one text), in the JVM's order.
    """
    return java_trust((name, java_words(text)) for name, text in options).named


@dataclass(frozen=True)
class JavaTrust:
    """What a JVM's properties say of its trust store; `path` is None where none names one, and may be empty."""

    path: str | None = None
    by: str = ""  # whoever names it
    type: str = ""
    secret: str | None = field(default=None, repr=False)

    @property
    def nobody(self) -> bool:
        """The property says `NONE`: no store is read, and no server is trusted."""
        return self.path == _NO_FILES[TRUST_STORE]

    @property
    def named(self) -> Named | None:
        """The file that it names, if it does."""
        if not self.path or self.nobody:
            return None
        secret = self.secret
        typed = self.type.lower()
        return Named(
            self.path, self.by, Family.JAVA, ("jsse",), password=secret is not None, secret=secret, store_type=typed
        )


def java_trust(options: Iterable[tuple[str, Sequence[str]]]) -> JavaTrust:
    """What JVM options make of the trust store's properties; the later of two wins.

    Args:
        options: (who sets them, the options as words), in the JVM's order.
    """
    properties: dict[str, str] = {}
    by = ""
    for name, words in options:
        for key, value in _properties(words):
            properties[key] = value
            if key == TRUST_STORE:
                by = name
    # JSSE takes an empty password for none (sun.security.ssl.TrustStoreManager).
    secret = properties.get(TRUST_STORE + "Password") or None
    return JavaTrust(properties.get(TRUST_STORE), by, properties.get(TRUST_STORE + "Type", ""), secret)


def location(
    host: Host,
    named: Named,
    path: str,
    *,
    how: str | None = None,
    program: str | None = None,
    version: str | None = None,
    process: Process | None = None,
    setting: Setting | None = None,
) -> Location:
    """The named path as a location; a JVM's property that names no file is one with a finding and no reader.

    Args:
        host: whose.
        named: by what.
        path: `named.path` made absolute.
        how: replaces `named.how`.
        program, version: of the runtime that reads it, where that is known.
        process: that was started with it.
        setting: where it is written.
    """
    if named.family is Family.JAVA and (not host.exists(path) or host.is_dir(path)):
        return Location(path, Family.JAVA, Role.UNKNOWN, named=True, findings=(_ignored(named.key),))
    uses = tuple(
        Use(
            reader,
            how or named.how,
            program,
            version,
            password=named.password,
            secret=named.secret,
            store_type=named.store_type,
            extends=named.extends,
            process=process,
            setting=setting,
        )
        for reader in named.readers
    )
    return Location(path, named.family, uses=uses, named=True)


def _ignored(by: str) -> Finding:
    """JDKs up to 25, at least, read their default store where the named file is not there or is a folder.

    Source: sun.security.ssl.TrustStoreManager.TrustStoreDescriptor.createInstance; seen with JDK 17 and 25.
    """
    text = f"{by} names it as {TRUST_STORE}, but it is no file: JVMs ignore that and read their default store"
    return Finding("property-ignored", Severity.WARNING, text)


def java_properties(options: str) -> list[tuple[str, str]]:
    """The -D properties of JVM options in one text."""
    return _properties(java_words(options))


def java_words(options: str) -> list[str]:
    """JVM options as words: blanks part them, quotes group, nothing escapes (arguments.cpp; args.c).

    Both the JVM and its launcher end where a quote has no end: nothing then.
    """
    words = shlex.shlex(options, posix=True, punctuation_chars=False)
    words.whitespace_split = True
    words.escape = words.commenters = ""
    try:
        return list(words)
    except ValueError:
        return []


def _properties(words: Iterable[str]) -> list[tuple[str, str]]:
    return [(key[2:], value) for key, _, value in (word.partition("=") for word in words) if key.startswith("-D")]
