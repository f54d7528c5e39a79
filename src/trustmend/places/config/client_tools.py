"""Client tools whose configuration is a few files with a key or two each: one row per file in a table.

Each row says where the file is, how it is written, which keys name a store, and how the tool makes a path of the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trustmend.certificate import printable
from trustmend.model import Family
from trustmend.places.config import client_layers
from trustmend.places.config.files import homes, listed, read_text, usable
from trustmend.places.config.hit import Hit
from trustmend.places.config.syntax import Item, ini, lines, toml, yaml

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

_PYTHON: Final = ("python-3.12",)
_OPENSSL: Final = ("openssl-3",)
_CURL: Final = ("curl",)
_NODE: Final = ("node",)
_GNUTLS: Final = ("gnutls",)


@dataclass(frozen=True)
class Tool:
    """One product's files.

    system: paths; those that end with "/*" are folders of such files.
    home: the same below a home.
    read: the syntax.
    keys: a pattern that a key must match as a whole, with its section before it and a dot ("global.cert").
    tilde: it takes "~/" for the home.
    relative: a relative value starts from this many folders above the file; None: from wherever the tool is started,
        which nobody knows.
    none: values that are no paths.
    inline: a key whose value is certificates themselves.
    """

    product: str
    family: Family
    readers: tuple[str, ...]
    system: tuple[str, ...]
    home: tuple[str, ...]
    read: Callable[[str], Iterator[Item]]
    keys: re.Pattern[str]
    tilde: bool = False
    relative: int | None = None
    none: frozenset[str] = frozenset()
    inline: re.Pattern[str] | None = None


def _python_ini(text: str) -> Iterator[Item]:
    return ini.items(text, ini.PYTHON)


def _yaml(text: str) -> Iterator[Item]:
    """Every scalar by its own key, however deep it stands: Yarn's networkSettings have keys of the same names."""
    return (Item(item.line, item.key, item.value) for item in yaml.items(text))


def _libpq(text: str) -> Iterator[Item]:
    return ini.items(text, ini.LIBPQ)


def _key(pattern: str, *, lower: bool = False) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE if lower else 0)


TOOLS: Final = (
    Tool(  # pip: topics/configuration; options of the type "path" expand "~" (cli/parser.py, cmdoptions.py)
        "pip",
        Family.PYTHON,
        _PYTHON,
        ("/etc/xdg/pip/pip.conf", "/etc/pip.conf", "/usr/pip.conf", "/usr/local/pip.conf"),
        (".pip/pip.conf", ".config/pip/pip.conf"),
        _python_ini,
        _key(r"[^.]+\.cert"),
        tilde=True,
    ),
    Tool(  # npm-config(1), npmrc(5); pnpm reads the same files, and its own rc
        "npm",
        Family.NODE,
        _NODE,
        (
            "/etc/npmrc",
            "/usr/etc/npmrc",
            "/usr/local/etc/npmrc",
            "/usr/share/nodejs/npm/npmrc",
            "/usr/lib/node_modules/npm/npmrc",
            "/usr/local/lib/node_modules/npm/npmrc",
        ),
        (".npmrc", ".npm-global/etc/npmrc", ".config/pnpm/rc"),
        lines.npm,
        _key(r"(?://.*:)?cafile"),
        tilde=True,
        none=frozenset({"null", "undefined"}),
        inline=_key(r"(?://.*:)?ca"),
    ),
    Tool(  # yarn 1: src/rc.js, which reads it as its lock file; Yarn: configuration/yarnrc
        "Yarn",
        Family.NODE,
        _NODE,
        ("/etc/yarnrc", "/usr/local/etc/yarnrc"),
        (".yarnrc", ".config/yarn/config"),
        lines.yarn,
        _key("cafile"),
        none=frozenset({"null"}),
    ),
    Tool(
        "Yarn",
        Family.NODE,
        _NODE,
        (),
        (".yarnrc.yml",),
        _yaml,
        _key("(?:https)?[cC]aFilePath"),
        relative=0,
        none=frozenset({"null", "~"}),
    ),
    Tool(  # curl(1), --config
        "curl",
        Family.TOOL,
        _CURL,
        (),
        (".curlrc", ".config/curlrc"),
        lines.curl,
        _key("(?:proxy-)?ca(?:cert|path)"),
        none=frozenset({"none"}),
    ),
    Tool(  # Wget manual, Wgetrc Commands: case, "-" and "_" do not matter; Debian and Fedora build it with GnuTLS
        "wget",
        Family.TOOL,
        _GNUTLS,
        ("/etc/wgetrc", "/usr/local/etc/wgetrc"),
        (".wgetrc",),
        lines.wget,
        _key("ca(?:certificate|directory)"),
        tilde=True,
    ),
    Tool(
        "wget2",
        Family.TOOL,
        _GNUTLS,
        ("/etc/wget2rc", "/usr/local/etc/wget2rc"),
        (".wget2rc", ".config/wget/wget2rc"),
        lines.wget,
        _key("ca(?:certificate|directory)"),
        tilde=True,
        none=frozenset({"system"}),
    ),
    Tool(  # rubygems/config_file.rb
        "RubyGems",
        Family.TOOL,
        _OPENSSL,
        ("/etc/gemrc", "/usr/local/etc/gemrc"),
        (".gemrc", ".config/gem/gemrc"),
        _yaml,
        _key(":?ssl_ca_cert"),
    ),
    Tool(  # bundle-config(1)
        "Bundler",
        Family.TOOL,
        _OPENSSL,
        (),
        (".bundle/config", ".config/bundle/config"),
        _yaml,
        _key("BUNDLE_SSL_CA_CERT"),
    ),
    Tool(  # The Cargo Book, Configuration: relative paths start from the folder above .cargo; it carries a libcurl
        "Cargo",
        Family.TOOL,
        _CURL,
        (),
        (".cargo/config", ".cargo/config.toml"),
        toml.items,
        _key(r"http\.(?:proxy-)?cainfo"),
        relative=1,
    ),
    Tool(  # Poetry: repositories, custom certificate authority
        "Poetry",
        Family.PYTHON,
        _PYTHON,
        (),
        (".config/pypoetry/config.toml",),
        toml.items,
        _key(r"certificates\..+\.cert"),
        none=frozenset({"false", "true"}),
    ),
    Tool(  # conda: settings, ssl_verify
        "conda",
        Family.PYTHON,
        _PYTHON,
        ("/etc/conda/.condarc", "/etc/conda/condarc", "/etc/conda/condarc.d/*"),
        (".condarc", ".conda/.condarc", ".conda/condarc", ".config/conda/.condarc"),
        _yaml,
        _key("ssl_verify"),
    ),
    Tool(  # AWS CLI: configuration file settings, ca_bundle
        "AWS CLI",
        Family.TOOL,
        _PYTHON,
        (),
        (".aws/config",),
        _python_ini,
        _key(r".+\.ca_bundle"),
    ),
    Tool(  # gcloud topic configurations; core/custom_ca_certs_file
        "gcloud",
        Family.TOOL,
        _PYTHON,
        ("/usr/lib/google-cloud-sdk/properties", "/opt/google-cloud-sdk/properties"),
        (".config/gcloud/properties", ".config/gcloud/configurations/*"),
        _python_ini,
        _key(r"core\.custom_ca_certs_file"),
    ),
    Tool(  # Composer: config, cafile and capath
        "Composer",
        Family.TOOL,
        _OPENSSL,
        (),
        (".config/composer/config.json", ".composer/config.json"),
        lines.json_texts,
        _key(r"config\.ca(?:file|path)"),
    ),
    Tool(  # ldap.conf(5); Debian builds it with GnuTLS, others with OpenSSL, which is the stricter one
        "OpenLDAP clients",
        Family.TOOL,
        (*_OPENSSL, "gnutls"),  # Debian builds it with GnuTLS, others with OpenSSL
        ("/etc/ldap/ldap.conf", "/etc/openldap/ldap.conf"),
        (".ldaprc", "ldaprc"),
        lines.ldap,
        _key("TLS_CACERT(?:DIR)?"),
    ),
    Tool(  # libpq, The Connection Service File
        "libpq",
        Family.TOOL,
        _OPENSSL,
        ("/etc/postgresql-common/pg_service.conf", "/etc/pg_service.conf", "/etc/sysconfig/pgsql/pg_service.conf"),
        (".pg_service.conf",),
        _libpq,
        _key(r".+\.sslrootcert"),
        none=frozenset({"system"}),
    ),
)


def hits(host: Host, survey: Survey) -> Iterator[Hit]:
    """What the configuration of client tools names, of the system and of every home that is looked at."""
    for tool in TOOLS:
        for path in _paths(host, "", tool.system):
            yield from _tool_hits(host, survey, tool, path, None)
        for home in homes(survey):
            for path in _paths(host, home + "/", tool.home):
                yield from _tool_hits(host, survey, tool, path, home)
    pip = TOOLS[0]
    for prefix in _environments(survey):
        yield from _tool_hits(host, survey, pip, f"{prefix}/pip.conf", None)
    yield from client_layers.hits(host, survey)


def _paths(host: Host, base: str, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        if name.endswith("/*"):
            yield from listed(host, base + name[:-2])
        else:
            yield base + name


def _environments(survey: Survey) -> list[str]:
    """The prefixes of virtual environments, by the pip in them; pip reads their pip.conf as the "site" one."""
    found = {path.partition("/lib/python")[0] for path in survey.get("bundles", []) if "/pip/_vendor/certifi/" in path}
    return sorted(found - {"/usr", "/usr/local"})


def _tool_hits(host: Host, survey: Survey, tool: Tool, path: str, home: str | None) -> Iterator[Hit]:
    """What one file names: the last value of each key, and all values of keys whose certificates stand there."""
    text = read_text(host, survey, path)
    if text is None:
        return
    chosen: dict[str, Item] = {}
    inline: list[Item] = []
    for item in tool.read(text):
        name = ".".join([*item.path, item.key])
        if tool.keys.fullmatch(name):
            chosen[name] = item
        elif tool.inline is not None and tool.inline.fullmatch(item.key):
            inline.append(item)
    for item in chosen.values():
        if item.value and item.value not in tool.none and (value := _path(tool, item.value, path, home)) is not None:
            yield Hit(value, path, item.line, printable(item.key), _product(tool, item), tool.family, tool.readers)
    if inline:
        data = "\n".join(item.value for item in inline).encode("utf-8", "surrogateescape")
        if b"-----BEGIN" in data:
            first = inline[0]
            yield Hit(
                "", path, first.line, printable(first.key), tool.product, tool.family, tool.readers, inline=data + b"\n"
            )


def _product(tool: Tool, item: Item) -> str:
    section = item.path[-1] if item.path and item.path[-1] not in ("global", "core", "config", "http") else ""
    return printable(f"{tool.product} [{section}]") if section else tool.product


def _path(tool: Tool, value: str, file: str, home: str | None) -> str | None:
    """The absolute path that the tool makes of a value; None where that depends on who starts it, or from where."""
    if tool.tilde and value.startswith("~/"):
        return usable(f"{home}/{value[2:]}") if home is not None else None
    if tool.product == "npm" and "${" in value:  # of an environment that is not known here
        value = value.replace("${HOME}", home) if home is not None else value
        if "${" in value:
            return None
    if not value.startswith("/") and tool.relative is not None and "\0" not in value:
        return usable("/".join(file.split("/")[: -1 - tool.relative]) + "/" + value)
    return usable(value)
