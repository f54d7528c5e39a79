"""Container engines, which trust a CA for one registry, and Kubernetes, whose clusters have CAs of their own.

Sources: "Verify repository client with certificates" (Docker), containers-certs.d(5), containerd's docs/hosts.md;
k3s' "Private Registry Configuration"; Kubernetes' "Organizing Cluster Access Using kubeconfig Files".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from trustmend.model import Family, Role
from trustmend.places.config.files import homes, listed, read_text
from trustmend.places.config.hit import Hit
from trustmend.places.config.syntax import toml, yaml
from trustmend.places.config.values import placed

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

_GO: Final = ("go",)
_FOLDERS: Final = (
    ("/etc/docker/certs.d", "Docker"),
    ("/etc/containers/certs.d", "Podman"),
)
_HOME_FOLDERS: Final = (
    (".config/docker/certs.d", "Docker, rootless"),
    (".docker/certs.d", "Docker Desktop"),
    (".config/containers/certs.d", "Podman"),
)
_CONTAINERD: Final = ("/etc/containerd/certs.d", "/var/lib/rancher/k3s/agent/etc/containerd/certs.d")
_REGISTRIES: Final = ("/etc/rancher/k3s/registries.yaml", "/etc/rancher/rke2/registries.yaml")
_KUBECONFIGS: Final = ("/etc/rancher/k3s/k3s.yaml", "/etc/rancher/rke2/rke2.yaml", "/var/lib/kubelet/kubeconfig")
_DAEMON: Final = re.compile(r'"tlscacert"\s*:\s*"([^"\\\n]*)"')


def hits(host: Host, survey: Survey) -> Iterator[Hit]:
    """What engines trust for single registries, and what kubeconfigs pin."""
    yield from _certs_d(host, survey)
    yield from _containerd(host, survey)
    text = read_text(host, survey, "/etc/docker/daemon.json")
    for found in _DAEMON.finditer(text or ""):
        if text is not None and (path := placed(found[1])) is not None:
            line = text.count("\n", 0, found.start()) + 1
            where = ("/etc/docker/daemon.json", line, "tlscacert", "Docker")
            yield Hit(path, *where, Family.TOOL, _GO, Role.CLIENT_AUTH)
    for path in (*listed(host, "/etc/kubernetes", ".conf"), *_KUBECONFIGS):
        yield from _kubeconfig(host, survey, path)
    for home in homes(survey):
        yield from _kubeconfig(host, survey, f"{home}/.kube/config")


def _certs_d(host: Host, survey: Survey) -> Iterator[Hit]:
    """HOST[:PORT]/*.crt: CAs for that registry, beside the system's."""
    private = ((f"{home}/{folder}", product) for home in homes(survey) for folder, product in _HOME_FOLDERS)
    for top, product in (*_FOLDERS, *private):
        for registry in host.listed(top):
            folder = f"{top}/{registry}"
            for path in listed(host, folder, ".crt"):
                yield Hit(path, folder, None, f"certs.d/{registry}", product, Family.TOOL, _GO, extends=True)


def _containerd(host: Host, survey: Survey) -> Iterator[Hit]:
    """hosts.toml and the older registry settings of config.toml; of k3s its registries.yaml."""
    for top in _CONTAINERD:
        for registry in host.listed(top):
            yield from _hosts_toml(host, survey, f"{top}/{registry}")
    text = read_text(host, survey, "/etc/containerd/config.toml")
    if text is not None and "ca_file" in text:
        for item in toml.items(text):
            if item.key == "ca_file" and (path := placed(item.value)) is not None:
                where = ("/etc/containerd/config.toml", item.line, "tls.ca_file", "containerd")
                yield Hit(path, *where, Family.TOOL, _GO, extends=True)
    for file in _REGISTRIES:
        text = read_text(host, survey, file)
        for item in yaml.items(text) if text is not None and "ca_file" in text else ():
            if item.key == "ca_file" and (path := placed(item.value)) is not None:
                yield Hit(path, file, item.line, yaml.dotted(item), "k3s", Family.TOOL, _GO, extends=True)


_CA: Final = re.compile(r"\s*ca\s*=\s*(.*)")
_STRING: Final = re.compile(r"\"([^\"\\]*)\"|'([^']*)'")


def _hosts_toml(host: Host, survey: Survey, folder: str) -> Iterator[Hit]:
    """`ca`, a path or a list of paths on one line, of the registry itself or of one of its [host] tables."""
    file = f"{folder}/hosts.toml"
    text = read_text(host, survey, file)
    for number, line in enumerate((text or "").split("\n"), 1):
        found = _CA.match(line)
        for one, two in _STRING.findall(found[1].partition("#")[0]) if found is not None else ():
            if (path := placed(one or two, folder)) is not None:
                yield Hit(path, file, number, "ca", "containerd", Family.TOOL, _GO, extends=True)


def _kubeconfig(host: Host, survey: Survey, file: str) -> Iterator[Hit]:
    text = read_text(host, survey, file)
    if text is None or "certificate-authority" not in text:
        return
    for item in yaml.items(text):
        if item.path[:1] != ("clusters",):
            continue
        key = ".".join((*item.path, item.key))
        where = (file, item.line, key, "Kubernetes client", Family.TOOL, _GO, Role.PRIVATE)
        if item.key == "certificate-authority":
            if (path := placed(item.value, file.rpartition("/")[0])) is not None:
                yield Hit(path, *where)
        elif item.key == "certificate-authority-data":
            try:
                data = base64.b64decode(item.value, validate=True)
            except (binascii.Error, ValueError):
                continue
            if data:
                yield Hit("", *where, inline=data)
