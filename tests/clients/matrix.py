"""Which trust store decides for which client, by default and by variable: what is expected of real programs, as data.

All of it was seen with Debian 13's packages, and requests, httpx and truststore as pip installs them. Some of it is
Debian's choice: its node is built to read OpenSSL's default store, upstream's has its own roots compiled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hosts.clients import NODE, PYTHON, REFUSED, Client

APP: Final = "/opt/app"
"""A virtual environment with requests, httpx and truststore; each session makes it."""
PACKAGES: Final = ("requests", "httpx", "truststore")
STORES: Final = {
    "system": "/etc/ssl/certs/ca-certificates.crt",  # with it, its hash folder is patched, too
    "certifi": f"{APP}/lib/python3.13/site-packages/certifi/cacert.pem",
    "libpq": "/root/.postgresql/root.crt",
}
FOLDERS: Final = frozenset({"SSL_CERT_DIR", "GIT_SSL_CAPATH", "PERL_LWP_SSL_CA_PATH", "HTTPS_CA_DIR"})
"""The variables that name a folder."""
KEEPS, REPLACES = "keeps", "replaces"
"""What a variable does to a client's default store: it is read as well, or no more."""
VARIABLES: Final = (
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
    *("GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "PERL_LWP_SSL_CA_FILE", "PERL_LWP_SSL_CA_PATH"),
    *("HTTPS_CA_FILE", "HTTPS_CA_DIR", "PGSSLROOTCERT", "NIX_SSL_CERT_FILE"),
)
# OpenSSL's two variables stand for its default file and its default folder, and each leaves the other as it is:
# with one of them alone the system's certificates are still found in the other.
_OPENSSL: Final = {"SSL_CERT_FILE": KEEPS, "SSL_CERT_DIR": KEEPS}


@dataclass(frozen=True, slots=True)
class Row:
    """One client.

    client: how it is asked; {url}, {address} and {port} are the server's.
    reader: whose rules it follows, a key of readers.READERS.
    stores: keys of STORES that it reads by default, and each of which is enough.
    variables: those that lead it to another store.
    environ: always set for it.
    """

    client: Client
    reader: str
    stores: frozenset[str] = frozenset({"system"})
    variables: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)


def _python(name: str, code: str) -> Client:
    argv = (f"{APP}/bin/python", "-I", "-c", f"import sys; {code}", "{url}")
    return Client(name, argv, 1, "CERTIFICATE_VERIFY_FAILED")


def _perl(name: str, module: str, code: str, server: str = "{url}") -> Client:
    return Client(name, ("perl", f"-M{module}", "-e", code, server), 255, "certificate verify failed")


_REFUSED_BY_OPENSSL: Final = "certificate verify failed"
_PSQL: Final = Client(
    "psql",
    ("psql", "--no-password", "host=127.0.0.1 port={port} user=u dbname=d sslmode=verify-full connect_timeout=60"),
    2,
    f"{_REFUSED_BY_OPENSSL}|root certificate file .* does not exist",
    acceptance="no database here",
    accepted=2,
)
ROWS: Final = (
    Row(
        Client("curl", ("curl", "-sS", "{url}"), REFUSED, "SSL certificate problem: "),
        "curl",
        variables={**_OPENSSL, "CURL_CA_BUNDLE": KEEPS},  # libcurl still has its default folder
    ),
    Row(
        Client("wget", ("wget", "-nv", "-O", "/dev/null", "{url}"), 5, "certificate of .* is not trusted"),
        "gnutls",
    ),
    Row(
        Client(
            "git",  # with libcurl and GnuTLS
            ("git", "ls-remote", "{url}"),
            128,
            "server verification failed",
            acceptance="not valid: is this a git repository",
            accepted=128,
        ),
        "gnutls",
        variables={"GIT_SSL_CAINFO": KEEPS, "GIT_SSL_CAPATH": KEEPS},
    ),
    Row(
        Client("gnutls-cli", ("gnutls-cli", "{address}"), 1, "certificate is NOT trusted", "Handshake was completed"),
        "gnutls",
    ),
    Row(
        Client(
            "openssl",
            ("openssl", "s_client", "-connect", "{address}", "-verify_ip", "127.0.0.1", "-verify_return_error"),
            1,
            r"verify error:num=(?!62|64)\d",  # another name or address
            r"Verify return code: 0 \(ok\)",
        ),
        "openssl-3",
        variables=_OPENSSL,
    ),
    Row(
        Client("node", ("node", "-e", NODE, "{url}"), REFUSED, "refused: "),
        "openssl-3",
        variables={**_OPENSSL, "NODE_EXTRA_CA_CERTS": KEEPS},
    ),
    Row(
        Client("node --use-openssl-ca", ("node", "--use-openssl-ca", "-e", NODE, "{url}"), REFUSED, "refused: "),
        "openssl-3",
        variables={**_OPENSSL, "NODE_EXTRA_CA_CERTS": KEEPS},
    ),
    Row(
        Client("urllib", (f"{APP}/bin/python", "-I", "-c", PYTHON, "{url}"), REFUSED, "refused: "),
        "python-3.13",
        variables=_OPENSSL,
    ),
    Row(
        _python("requests", "import requests; requests.get(sys.argv[1])"),
        "python-3.13",
        frozenset({"certifi"}),
        {"REQUESTS_CA_BUNDLE": REPLACES, "CURL_CA_BUNDLE": REPLACES},
    ),
    Row(
        _python("httpx", "import httpx; httpx.get(sys.argv[1])"),
        "python-3.13",
        frozenset({"certifi"}),
        dict.fromkeys(_OPENSSL, REPLACES),
    ),
    Row(
        # requests hands its own file to truststore's context, which adds it to the system's.
        _python(
            "truststore", "import truststore; truststore.inject_into_ssl(); import requests; requests.get(sys.argv[1])"
        ),
        "python-3.13",
        frozenset({"system", "certifi"}),
        {**_OPENSSL, "REQUESTS_CA_BUNDLE": KEEPS, "CURL_CA_BUNDLE": KEEPS},
    ),
    Row(
        Client("ruby", ("ruby", "-rnet/http", "-e", "Net::HTTP.get(URI(ARGV[0]))", "{url}"), 1, _REFUSED_BY_OPENSSL),
        "openssl-3",
        variables=_OPENSSL,
    ),
    Row(
        # IO::Socket::SSL sets X509_V_FLAG_PARTIAL_CHAIN.
        _perl("IO::Socket::SSL", "IO::Socket::SSL", "new IO::Socket::SSL($ARGV[0]) or die $SSL_ERROR", "{address}"),
        "curl",
        variables=_OPENSSL,
    ),
    Row(
        _perl("LWP", "LWP::UserAgent", "$r = LWP::UserAgent->new->get($ARGV[0]); $r->is_success or die $r->as_string"),
        "curl",
        variables={
            **_OPENSSL,
            "PERL_LWP_SSL_CA_FILE": REPLACES,
            "PERL_LWP_SSL_CA_PATH": REPLACES,
            "HTTPS_CA_FILE": REPLACES,
            "HTTPS_CA_DIR": REPLACES,
        },
    ),
    Row(
        _perl(
            "HTTP::Tiny",
            "HTTP::Tiny",
            "$r = HTTP::Tiny->new(verify_SSL => 1)->get($ARGV[0]); $r->{success} or die $r->{content}",
        ),
        "curl",
        variables={"SSL_CERT_FILE": REPLACES},
    ),
    Row(
        Client(
            "php",
            ("php", "-r", "exit(file_get_contents($argv[1]) === false ? 60 : 0);", "{url}"),
            REFUSED,
            _REFUSED_BY_OPENSSL,
        ),
        "openssl-3",
        variables=_OPENSSL,
    ),
    Row(
        # libcurl: its command's variables are not the library's.
        Client(
            "php-curl",
            (
                "php",
                "-r",
                "$c = curl_init($argv[1]); if (!curl_exec($c)) { echo curl_error($c); exit(curl_errno($c)); }",
                "{url}",
            ),
            REFUSED,
            "SSL certificate problem: ",
        ),
        "curl",
    ),
    Row(
        Client("gron", ("gron", "{url}"), 4, "x509: certificate signed by unknown authority"),  # Go's crypto/x509
        "go",
        variables=_OPENSSL,
    ),
    Row(_PSQL, "openssl-3", frozenset({"libpq"}), {"PGSSLROOTCERT": REPLACES}),
    Row(
        Client("psql system", _PSQL.argv, _PSQL.code, _PSQL.refusal, _PSQL.acceptance, _PSQL.accepted),
        "openssl-3",
        variables=_OPENSSL,
        environ={"PGSSLROOTCERT": "system"},
    ),
)
