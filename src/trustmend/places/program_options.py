"""Which variables and options name a trust store to which program: a table, from each program's manual.

A program is known by the name of its executable; what it is not known to read is not claimed. Programs without a row
get the variables that libraries read whatever program they are part of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from trustmend.model import Family, Role
from trustmend.places.variables import VARIABLES, Named

NO_CLIENTS: Final = frozenset(
    ("sh", "bash", "dash", "zsh", "fish", "ksh", "busybox", "sleep", "tmux", "screen", "su", "sudo", "login", "sshd",
     "tini", "dumb-init", "systemd", "init", "runuser", "setpriv", "setsid", "unshare", "nsenter", "script", "cat",
     "tail", "tee", "less", "grep", "rg", "find", "make", "vim", "vim.basic", "nano", "env", "timeout", "nohup",
     "xargs", "watch", "time", "nice", "strace", "gdb", "cron", "crond", "agetty", "dbus-daemon", "dbus-broker",
     "ssh-agent", "gpg-agent", "Xorg", "Xwayland", "pipewire", "wireplumber", "systemd-executor", "s6-svscan",
     "runsv", "runsvdir")
)  # fmt: skip
"""Programs that carry such variables and options for others and speak no TLS by them."""

_OPENSSL: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # X509_get_default_cert_file_env(3)
_LIBRARIES: Final = (*_OPENSSL, "PGSSLROOTCERT", "LDAPTLS_CACERT", "LDAPTLS_CACERTDIR", "NIX_SSL_CERT_FILE",
                     "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "AWS_CA_BUNDLE")  # fmt: skip
_REQUESTS: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_NODE: Final = ("NODE_EXTRA_CA_CERTS", "npm_config_cafile", "NPM_CONFIG_CAFILE", "YARN_CA_FILE_PATH",
                "YARN_HTTPS_CA_FILE_PATH", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")  # fmt: skip
_GIT: Final = ("GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_PROXY_SSL_CAINFO")
RUNTIMES: Final[Mapping[str, tuple[str, ...]]] = {
    "java": (),  # JSSE reads no variable but those that hold JVM options
    "python": (*_LIBRARIES, *_REQUESTS, "PIP_CERT", "HTTPLIB2_CA_CERTS", "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE"),
    "node": _NODE,  # SSL_CERT_* only when it is told to: see `_reads`
    "ruby": (*_LIBRARIES, "BUNDLE_SSL_CA_CERT"),
    "php": (*_OPENSSL, "PGSSLROOTCERT", "LDAPTLS_CACERT", "LDAPTLS_CACERTDIR", "COMPOSER_CAFILE"),
    "perl": (*_OPENSSL, "PGSSLROOTCERT", "LDAPTLS_CACERT", "PERL_LWP_SSL_CA_FILE", "PERL_LWP_SSL_CA_PATH",
             "HTTPS_CA_FILE", "HTTPS_CA_DIR"),
    "curl": ("CURL_CA_BUNDLE", *_OPENSSL, "NIX_SSL_CERT_FILE"),
    "git": _GIT,
    "wget": ("NIX_SSL_CERT_FILE",),  # its OpenSSL build reads SSL_CERT_*, Debian's is of GnuTLS, which does not
    "deno": ("DENO_CERT",),
    "cargo": ("CARGO_HTTP_CAINFO", *_OPENSSL),
    "vault": ("VAULT_CACERT", "VAULT_CAPATH", *_OPENSSL),
    "consul": ("CONSUL_CACERT", "CONSUL_CAPATH", *_OPENSSL),
}  # fmt: skip
_OF_NO_RUNTIME: Final = frozenset(_LIBRARIES)
_NAMES: Final = (
    (re.compile(r"(?:java|javaw|jsvc(?:\.exec)?)\Z"), "java"),
    (re.compile(r"(?:python|pypy)\d*(?:\.\d+)?t?\Z"), "python"),
    (re.compile(r"(?:node|nodejs|electron|bun)(?:-?\d+)?\Z"), "node"),
    (re.compile(r"j?ruby[\d.]*\Z"), "ruby"),
    (re.compile(r"php(?:-fpm|-cgi)?[\d.]*\Z"), "php"),
    (re.compile(r"perl[\d.]*\Z"), "perl"),
    (re.compile(r"git(?:-remote-https?|-http-fetch|-http-push)?\Z"), "git"),
    (re.compile(r"wget2?\Z"), "wget"),
    (re.compile(r"(?:curl|deno|cargo|vault|consul)\Z"), ""),
)
_ANY: Final = ("curl",)
OWN_READERS: Final[Mapping[str, tuple[str, ...]]] = {
    "curl": ("curl",),
    "git": ("curl",),
    "ruby": ("openssl-3",),
    "php": ("openssl-3",),
    "perl": ("openssl-3",),
    "openssl": ("openssl-3",),
    "psql": ("openssl-3",),
    "mysql": ("openssl-3",),
}


def runtime(program: str) -> str:
    """The row of an executable's name: "python" for "python3.11"; the name itself where there is none."""
    for pattern, name in _NAMES:
        if pattern.match(program):
            return name or program
    return program


def _reads(kind: str, environ: Mapping[str, str], words: Sequence[str]) -> frozenset[str]:
    """The names of the variables that a program of this kind reads."""
    names = frozenset(RUNTIMES[kind]) if kind in RUNTIMES else _OF_NO_RUNTIME
    told = " ".join((*words, environ.get("NODE_OPTIONS", "")))
    if kind == "node" and ("--use-openssl-ca" in told or "--use-system-ca" in told):  # nodejs: cli.html
        return names.union(_OPENSSL)
    if kind == "deno" and "system" in environ.get("DENO_TLS_CA_STORE", ""):
        return names.union(_OPENSSL)
    return names


def of_variables(kind: str, named: Sequence[Named], environ: Mapping[str, str], words: Sequence[str]) -> list[Named]:
    """Those of an environment's stores that a program reads, what it would read first in front.

    Args:
        kind: see `runtime`.
        named: what the environment names, by `variables.of_environ`.
        environ, words: the process's.
    """
    reads = _reads(kind, environ, words)
    found = [one for one in named if one.key in reads]
    keys = {one.key for one in found}
    if kind == "curl" and "CURL_CA_BUNDLE" in keys:  # curl(1): it comes before SSL_CERT_DIR and SSL_CERT_FILE
        return [one for one in found if one.key == "CURL_CA_BUNDLE"]
    if kind == "python" and "REQUESTS_CA_BUNDLE" in keys:  # requests: sessions.py, merge_environment_settings
        found = [one for one in found if one.key != "CURL_CA_BUNDLE"]
    return found


@dataclass(frozen=True)
class Option:
    """A command-line option that names a trust store."""

    name: str
    role: Role | None = None


def _options() -> Iterator[Option]:
    for name in ("--cacert", "--capath", "--proxy-cacert", "--proxy-capath", "--cafile", "--ca-file", "--ca-cert",
                 "--ca-path", "--ca-bundle", "--ca-certificate", "--ca-directory", "--certificate-authority",
                 "--cert-authority", "-CAfile", "-CApath", "--CAfile", "--CApath", "--tls-ca-cert", "--ssl-ca",
                 "--ssl-capath", "--root-ca-file", "--etcd-cafile", "--oidc-ca-file", "--tlscacert",
                 "--kubelet-certificate-authority"):  # fmt: skip
        yield Option(name)
    # What servers verify their clients by: kube-apiserver, etcd, and below the daemons that use a client's word.
    for name in ("--client-ca-file", "--requestheader-client-ca-file", "--trusted-ca-file", "--peer-trusted-ca-file"):
        yield Option(name, role=Role.CLIENT_AUTH)


OPTIONS: Final[Mapping[str, Option]] = {option.name: option for option in _options()}
_SERVERS: Final = frozenset(("dockerd", "mysqld", "mariadbd", "redis-server", "valkey-server"))
"""To which `--tlscacert`, `--ssl-ca` and `--tls-ca-cert-file` name those who may connect."""
_KNOWN: Final = frozenset(
    ("curl", "wget", "openssl", "kubectl", "helm", "etcdctl", "etcd", "kube-apiserver", "vault", "consul", "psql",
     "mysql", "mariadb", "docker", "dockerd", "aria2c")
)  # fmt: skip
"""Programs whose options these are for certain: a path that is not there is told then."""
INTERESTING: Final = re.compile(rb"\0(?:-{1,2}[A-Za-z-]*[cC][aA][A-Za-z-]*)[=\0]|sslrootcert=")
_ROOT_CERT: Final = re.compile(r"\bsslrootcert=([^\s&']+)")  # libpq-connect: in a string of settings or a URL


@dataclass(frozen=True)
class Given:
    """What an option names: `sure` where the program is known to take it so."""

    named: Named
    option: str
    role: Role | None
    sure: bool


def of_command(program: str, kind: str, words: Sequence[str]) -> Iterator[Given]:
    """The stores that a command line names; of an option given twice the later.

    Args:
        program: the executable's name.
        kind: see `runtime`.
        words: the whole command line.
    """
    if kind == "java":
        return
    found: dict[str, Given] = {}
    readers = OWN_READERS.get(kind) or (("python-3.12",) if kind == "python" else _ANY)
    family = Family.PYTHON if kind == "python" else Family.NODE if kind == "node" else Family.TOOL
    for at, word in enumerate(words[1:], 1):
        if word == "--":
            break
        name, equals, value = word.partition("=")
        option = OPTIONS.get(name)
        if option is None:
            for match in _ROOT_CERT.finditer(word):
                if match[1] != "system":
                    named = Named(match[1], "sslrootcert", Family.TOOL, ("openssl-3",))
                    found["sslrootcert"] = Given(named, "sslrootcert", None, sure=kind == "psql")
            continue
        if equals and kind == "curl":
            continue  # it takes no option so
        if not equals:
            value = words[at + 1] if at + 1 < len(words) else ""
        if value and not value.startswith("-"):
            role = Role.CLIENT_AUTH if program in _SERVERS else option.role
            found[name] = Given(Named(value, name, family, readers), name, role, sure=program in _KNOWN)
    yield from found.values()


def overrides(kind: str, given: Sequence[Given]) -> bool:
    """Whether options keep the program from reading its variables (curl(1), --cacert)."""
    return kind == "curl" and any(one.option in ("--cacert", "--capath") for one in given)


NAMES: Final = tuple(dict.fromkeys(variable.name for variable in VARIABLES))
"""Of all variables that name a store to some program."""
