"""What collects logs and measurements, and HashiCorp's servers: they ask other servers, most of them over TLS.

Sources: the reference of Filebeat, "SSL"; Logstash's plugins "elasticsearch", "http" and "beats"; Prometheus'
<tls_config>; Telegraf's "Transport Layer Security (TLS) Configuration"; Fluent Bit's "Transport Security"; Vector's
`tls.ca_file`; Zabbix's TLSCAFile; Consul's tls stanza, Vault's listener "tcp".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from trustmend.model import Family, Role
from trustmend.places.config.files import read_text
from trustmend.places.config.hit import Hit
from trustmend.places.config.included import globbed
from trustmend.places.config.syntax import yaml
from trustmend.places.config.values import certificates, placed

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

_GO: Final = ("go",)
_OPENSSL: Final = ("openssl-3",)
_VALUE: Final = r"[ \t]*[:=]?[ \t]*([\"']?)(?P<value>[^\"'#\n]+)"
_LINES: Final[tuple[tuple[str, tuple[str, ...], str, tuple[str, ...], Role | None], ...]] = (
    # product, where its files are, its keys, whose rules read the file, to verify whom
    ("Prometheus", ("/etc/prometheus/*.yml", "/etc/prometheus/*.yaml"), "ca_file", _GO, None),
    ("Telegraf", ("/etc/telegraf/telegraf.conf", "/etc/telegraf/telegraf.d/*.conf"), "tls_ca", _GO, None),
    ("Fluent Bit", ("/etc/fluent-bit/*.conf", "/etc/fluent-bit/*.yaml"), r"tls\.ca_(?:file|path)", _OPENSSL, None),
    ("Fluentd", ("/etc/fluent/*.conf", "/etc/td-agent/*.conf"), "(?:tls_cert_path|ca_file|ca_path)", _OPENSSL, None),
    ("Vector", ("/etc/vector/*.toml", "/etc/vector/*.yaml"), r"(?:tls\.)?ca_file", _OPENSSL, None),
    ("Zabbix", ("/etc/zabbix/zabbix_*.conf",), "TLSCAFile", _OPENSSL, Role.PRIVATE),
    ("Consul", ("/etc/consul.d/*.hcl",), "ca_(?:file|path)", _GO, Role.PRIVATE),
    ("Nomad", ("/etc/nomad.d/*.hcl",), "ca_file", _GO, Role.PRIVATE),
    ("Vault", ("/etc/vault.d/*.hcl",), "tls_client_ca_file", _GO, Role.CLIENT_AUTH),
)
_BEATS: Final = ("filebeat", "metricbeat", "auditbeat", "heartbeat", "packetbeat", "winlogbeat", "elastic-agent")


def hits(host: Host, survey: Survey) -> Iterator[Hit]:
    """What all of them name."""
    for product, patterns, keys, readers, role in _LINES:
        for file in (path for pattern in patterns for path in globbed(host, pattern)):
            text = read_text(host, survey, file)
            for found in re.finditer(rf"^[ \t]*(?P<key>{keys})(?![\w.]){_VALUE}", text or "", re.MULTILINE):
                if text is not None and (path := placed(found["value"], file.rpartition("/")[0])) is not None:
                    line = text.count("\n", 0, found.start()) + 1
                    yield Hit(path, file, line, found["key"], product, Family.TOOL, readers, role)
    for beat in _BEATS:
        for file in globbed(host, f"/etc/{beat}/{beat}.yml"):
            yield from _beat(file, read_text(host, survey, file) or "")
    for file in globbed(host, "/etc/logstash/conf.d/*.conf"):
        yield from _pipeline(file, read_text(host, survey, file) or "")


def _beat(file: str, text: str) -> Iterator[Hit]:
    """`ssl.certificate_authorities` of outputs and of Kibana: paths, or the certificates themselves."""
    for item in yaml.items(text) if "certificate_authorities" in text else ():
        if item.key.endswith("certificate_authorities"):
            where = (file, item.line, yaml.dotted(item), "Beats", Family.TOOL, _GO)
            if (inline := certificates(item.value)) is not None:
                yield Hit("", *where, inline=inline)
            elif (path := placed(item.value, file.rpartition("/")[0])) is not None:
                yield Hit(path, *where)


_STAGE: Final = re.compile(r"^[ \t]*(input|filter|output)[ \t]*\{", re.MULTILINE)
_PLUGIN: Final = re.compile(
    r"^[ \t]*(cacert|ssl_certificate_authorities|ssl_truststore_path|truststore)[ \t]*=>[ \t]*(.*)", re.MULTILINE
)
_QUOTED: Final = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'")


def _pipeline(file: str, text: str) -> Iterator[Hit]:
    """A pipeline of Logstash's: its inputs verify clients, its filters and outputs servers. Lists are on one line."""
    stages = [(found.start(), found[1]) for found in _STAGE.finditer(text)]
    for found in _PLUGIN.finditer(text):
        stage = next((name for at, name in reversed(stages) if at < found.start()), "")
        for one, two in _QUOTED.findall(found[2]):
            if (path := placed(one or two)) is not None:
                line = text.count("\n", 0, found.start()) + 1
                role = Role.CLIENT_AUTH if stage == "input" else None
                readers = ("jsse",) if "truststore" in found[1] else ("jsse-pem",)
                yield Hit(path, file, line, f"{stage} {found[1]}", "Logstash", Family.JAVA, readers, role)
