"""nginx, Apache and HAProxy: the CAs by which they verify the servers behind them, and their clients.

All three give the file to OpenSSL and set no flag of their own: an intermediate certificate ends no path for them.
Seen with nginx 1.22, Apache 2.4 and HAProxy 2.6, whose verification of a server fails with a file that holds the
intermediate alone.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from trustmend.model import Family, Role
from trustmend.places.config.files import listed, read_text
from trustmend.places.config.hit import Hit, may_name
from trustmend.places.config.included import MAX_FILES, globbed
from trustmend.places.config.syntax import blocks, shell
from trustmend.places.config.values import placed

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.config.syntax.blocks import Directive
    from trustmend.places.tree import Survey

_OPENSSL: Final = ("openssl-3",)

_NGINX_FILES: Final = (
    "/etc/nginx/nginx.conf",
    "/usr/local/nginx/conf/nginx.conf",
    "/usr/local/etc/nginx/nginx.conf",
    "/opt/nginx/conf/nginx.conf",
    "/usr/local/openresty/nginx/conf/nginx.conf",
)
_APACHE_FILES: Final = (
    ("/etc/apache2/apache2.conf", "/etc/apache2"),  # Debian: HTTPD_ROOT
    ("/etc/apache2/httpd.conf", "/srv/www"),  # SUSE
    ("/etc/httpd/conf/httpd.conf", "/etc/httpd"),
    ("/usr/local/apache2/conf/httpd.conf", "/usr/local/apache2"),
)
_APACHE_KEYS: Final[Mapping[str, tuple[str, Role | None]]] = {
    "sslproxycacertificatefile": ("SSLProxyCACertificateFile", None),
    "sslproxycacertificatepath": ("SSLProxyCACertificatePath", None),
    "sslcacertificatefile": ("SSLCACertificateFile", Role.CLIENT_AUTH),
    "sslcacertificatepath": ("SSLCACertificatePath", Role.CLIENT_AUTH),
    "mdcacertificatefile": ("MDCACertificateFile", None),
}


def hits(host: Host, survey: Survey) -> Iterator[Hit]:
    """What the three name."""
    seen = [path for path in survey.get("configs", []) if path.endswith((".conf", ".cfg"))]
    for path in _mains(host, _NGINX_FILES, seen, "/nginx.conf"):
        yield from _nginx(host, survey, path)
    roots = dict(_APACHE_FILES)
    for path in _mains(host, tuple(roots), seen, "/httpd.conf"):
        yield from _apache(host, survey, path, roots.get(path, posixpath.dirname(posixpath.dirname(path))))
    for path in _mains(host, ("/etc/haproxy/haproxy.cfg",), seen, "/haproxy.cfg"):
        yield from _haproxy(host, survey, path)


def _mains(host: Host, known: tuple[str, ...], seen: list[str], name: str) -> Iterator[str]:
    """The main files that are there, each once."""
    reals = set()
    for path in (*known, *(one for one in seen if one.endswith(name))):
        try:
            real = host.resolve(path)
        except OSError:
            continue
        if real not in reals and host.is_file(real):
            reals.add(real)
            yield path


@dataclass
class _Reading:
    """One configuration while it is read: how many files it had, and what it defines."""

    host: Host
    survey: Survey
    files: int = 0
    root: str = "/"
    defined: dict[str, str] = field(default_factory=dict)

    def text(self, path: str) -> str | None:
        """A file's text, as long as the configuration has not too many of them."""
        self.files += 1
        return read_text(self.host, self.survey, path) if self.files <= MAX_FILES else None


def _nginx(host: Host, survey: Survey, main: str) -> Iterator[Hit]:
    """Relative paths start from the folder of the main file (ngx_conf_full_name with `conf_prefix`)."""
    reading = _Reading(host, survey, root=posixpath.dirname(main))
    stack = [main]
    while stack:
        path = stack.pop()
        text = reading.text(path)
        # A part without a word of certificates or includes needs no reading: mime.types and the like.
        if text is None or not ("_certificate" in text or "include" in text):
            continue
        for one in blocks.nginx(text):
            if one.name == "include" and len(one.arguments) == 1:
                parts = globbed(host, posixpath.join(reading.root, one.arguments[0]))
                stack += [part for part in reversed(parts) if may_name(host, path, part)]
            elif len(one.arguments) == 1 and (hit := _nginx_hit(reading, path, one)) is not None:
                yield hit


def _nginx_hit(reading: _Reading, file: str, one: Directive) -> Hit | None:
    if one.name in ("ssl_client_certificate", "ssl_trusted_certificate"):
        role = Role.CLIENT_AUTH  # the second also verifies OCSP responses for the server's own certificate
    elif one.name.endswith(("_ssl_trusted_certificate", "_fetch_trusted_certificate")):
        role = None
    else:
        return None
    value = one.arguments[0]
    path = placed(value, reading.root) if "$" not in value else None
    return None if path is None else Hit(path, file, one.line, one.name, "nginx", Family.TOOL, _OPENSSL, role)


_APACHE_VARIABLE: Final = re.compile(r"\$\{([^}]+)\}")


def _apache(host: Host, survey: Survey, main: str, root: str) -> Iterator[Hit]:
    """Relative paths start from ServerRoot; ${NAME} is a Define's value, or a variable of `envvars`."""
    reading = _Reading(host, survey, root=root)
    envvars = read_text(host, survey, f"{posixpath.dirname(main)}/envvars")
    if envvars is not None:
        reading.defined = {item.key: item.value for item in shell.shell_assignments(envvars, {})}
    yield from _apache_file(reading, main, 0)


def _apache_file(reading: _Reading, path: str, depth: int) -> Iterator[Hit]:
    text = reading.text(path)
    if text is None or depth > 16:
        return
    for one in blocks.apache(text):
        words = tuple(_APACHE_VARIABLE.sub(lambda f: reading.defined.get(f[1], f[0]), word) for word in one.arguments)
        if one.name == "serverroot" and words:
            reading.root = words[0]
        elif one.name == "define" and len(words) == 2:
            reading.defined[words[0]] = words[1]
        elif one.name in ("include", "includeoptional") and words:
            for part in _apache_included(reading, posixpath.join(reading.root, words[0])):
                if may_name(reading.host, path, part):
                    yield from _apache_file(reading, part, depth + 1)
        elif one.name in _APACHE_KEYS and words:
            key, role = _APACHE_KEYS[one.name]
            if (place := placed(words[0], reading.root)) is not None:
                yield Hit(place, path, one.line, key, "Apache", Family.TOOL, _OPENSSL, role)
        elif one.name == "ldaptrustedglobalcert" and len(words) == 2 and words[0].upper() == "CA_BASE64":
            place = placed(words[1], reading.root)
            if place is not None:
                yield Hit(place, path, one.line, "LDAPTrustedGlobalCert", "Apache", Family.TOOL, ("gnutls", *_OPENSSL))


def _apache_included(reading: _Reading, pattern: str) -> Iterator[str]:
    """The files that a pattern names; of a folder all that is below it."""
    stack = list(reversed(globbed(reading.host, pattern)))
    room = MAX_FILES
    while stack and room:
        room -= 1
        path = stack.pop()
        if reading.host.is_dir(path):
            stack += [f"{path}/{name}" for name in reversed(reading.host.listed(path))]
        else:
            yield path


def _haproxy(host: Host, survey: Survey, main: str) -> Iterator[Hit]:
    """`ca-file` of servers and of listeners; `ca-base` goes before a relative one, "@system-ca" is the host's own."""
    files = (main, *listed(host, posixpath.dirname(main) + "/conf.d", ".cfg"))
    texts = [(path, read_text(host, survey, path) or "") for path in files]
    if not any("ca-" in text for _, text in texts):
        return
    parsed = [(path, list(blocks.haproxy(text))) for path, text in texts]
    base = None
    for _, lines in parsed:
        for one in lines:
            if one.name == "ca-base" and one.arguments and one.path == ("global",):
                base = one.arguments[0]
    for path, lines in parsed:
        for one in lines:
            for key, value in _haproxy_keys(one):
                place = placed(value, base) if not value.startswith("@") and "$" not in value else None
                if place is not None:
                    role = Role.CLIENT_AUTH if one.name == "bind" else None
                    yield Hit(place, path, one.line, f"{one.name} {key}", "HAProxy", Family.TOOL, _OPENSSL, role)


def _haproxy_keys(one: Directive) -> Iterator[tuple[str, str]]:
    if one.name in ("server", "server-template", "default-server", "bind"):
        for key, value in zip(one.arguments, one.arguments[1:], strict=False):
            if key in ("ca-file", "ca-verify-file"):
                yield key, value
    elif one.name == "httpclient.ssl.ca-file" and one.arguments:
        yield "", one.arguments[0]
