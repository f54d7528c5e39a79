"""NSS databases of browsers and mail programs, and the certificates that browser policies install.

A browser trusts the roots that it carries (libnssckbi, the Chrome Root Store); a database beside them adds to these
or bars some. So each is found, and counts only where it holds public roots or bars one.

Folders: Firefox's and Thunderbird's profiles (support.mozilla.org, "Profiles"; since Firefox 147 below
$XDG_CONFIG_HOME); Chromium's docs/linux/cert_management.md; the sandboxes of snap and flatpak.
Policies: mozilla.github.io/policy-templates, "Certificates"; chromeenterprise.google/policies, CACertificates.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from trustmend.certificate import printable
from trustmend.model import Family, Finding, Location, Role, Setting, Severity, Use
from trustmend.places.tree import leaves_home

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

SHARED: Final = ("/etc/pki/nssdb",)
"""Of all users: certutil(1), and programs that open the database of libnsssysinit."""
CHROMIUMS: Final = (
    (".pki/nssdb", "Chromium, Chrome and other programs that open the user's NSS database"),
    (".local/share/pki/nssdb", "Chromium and Chrome, where there is no ~/.pki"),
    ("snap/chromium/current/.pki/nssdb", "Chromium (snap)"),
    ("snap/chromium/common/.pki/nssdb", "Chromium (snap)"),
    ("snap/chromium/current/.local/share/pki/nssdb", "Chromium (snap)"),
    (".var/app/org.chromium.Chromium/.pki/nssdb", "Chromium (flatpak)"),
    (".var/app/org.chromium.Chromium/data/pki/nssdb", "Chromium (flatpak)"),
    (".var/app/com.google.Chrome/.pki/nssdb", "Chrome (flatpak)"),
    (".var/app/com.google.Chrome/data/pki/nssdb", "Chrome (flatpak)"),
)
"""Folder in a home, and who reads the database in it."""
PROFILES: Final = (
    (".mozilla/firefox", "Firefox"),
    (".mozilla/firefox-esr", "Firefox ESR"),
    (".mozilla/firefox-trunk", "Firefox Nightly"),
    (".config/mozilla/firefox", "Firefox"),
    ("snap/firefox/common/.mozilla/firefox", "Firefox (snap)"),
    ("snap/firefox/common/.config/mozilla/firefox", "Firefox (snap)"),
    (".var/app/org.mozilla.firefox/.mozilla/firefox", "Firefox (flatpak)"),
    (".var/app/org.mozilla.firefox/config/mozilla/firefox", "Firefox (flatpak)"),
    (".thunderbird", "Thunderbird"),
    ("snap/thunderbird/common/.thunderbird", "Thunderbird (snap)"),
    (".var/app/org.mozilla.Thunderbird/.thunderbird", "Thunderbird (flatpak)"),
    (".librewolf", "LibreWolf"),
    (".var/app/io.gitlab.librewolf-community/.librewolf", "LibreWolf (flatpak)"),
)
"""Folder in a home whose sub-folders are profiles, and whose."""
FIREFOX_POLICIES: Final = (
    ("/etc/firefox/policies/policies.json", "Firefox"),
    ("/etc/thunderbird/policies/policies.json", "Thunderbird"),
    *((f"{folder}/distribution/policies.json", folder.rpartition("/")[2].capitalize())
      for top in ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt")
      for folder in (f"{top}/firefox", f"{top}/firefox-esr", f"{top}/thunderbird")),
)  # fmt: skip
CHROMIUM_POLICIES: Final = (
    ("/etc/chromium/policies/managed", "Chromium"),
    ("/etc/chromium-browser/policies/managed", "Chromium"),
    ("/etc/opt/chrome/policies/managed", "Chrome"),
)
INSTALL_FOLDERS: Final = ("/usr/lib/mozilla/certificates", "/usr/lib64/mozilla/certificates")
"""Where Firefox looks for a file that a policy names without its folder; then in ~/.mozilla/certificates."""
DATABASE: Final = "cert9.db"
_DBM: Final = "cert8.db"
_MAX_BYTES: Final = 1 << 20
_BEFORE_DBM_ENDED: Final = Finding(
    "dbm-database",
    Severity.WARNING,
    "an old dbm database without a cert9.db beside it: NSS since 3.35 and Firefox since 58 do not read it as it is",
)


def locations(host: Host, survey: Survey) -> Iterator[Location]:
    """Every database that is there, then what policies name, be it there or not."""
    for folder in SHARED:
        yield from _database(host, folder, "every NSS program that opens the system's database", [])
    guarded = survey["homes"] if os.geteuid() == 0 else []
    for home in survey["homes"]:
        for inner, who in CHROMIUMS:
            yield from _database(host, f"{home}/{inner}", who, guarded)
        for inner, who in PROFILES:
            for profile in _profiles(host, f"{home}/{inner}"):
                name = printable(profile.rpartition("/")[2])
                yield from _database(host, profile, f"{who}, profile {name}", guarded)
    for path, who in FIREFOX_POLICIES:
        yield from _installed(host, path, who, survey["homes"], guarded)
    for folder, who in CHROMIUM_POLICIES:
        for name in host.listed(folder):
            if name.endswith(".json"):
                yield from _inline(host, f"{folder}/{name}", who)


def database_in(host: Host, path: str) -> str:
    """The database in a folder that is named as certutil takes it (`-d FOLDER`); else the path itself."""
    inner = f"{path.rstrip('/')}/{DATABASE}"
    return inner if host.is_file(inner) else path


def _profiles(host: Host, folder: str) -> list[str]:
    """The profiles of one program: the folders beside its profiles.ini, and those that it names elsewhere."""
    found = [f"{folder}/{name}" for name in host.listed(folder)]
    if not found:
        return []
    try:
        text = host.read(f"{folder}/profiles.ini", limit=_MAX_BYTES).content.decode("utf-8", "surrogateescape")
    except OSError:
        return found
    named = [line.partition("=")[2].strip().rstrip("/") for line in text.splitlines() if line.startswith("Path=/")]
    return list(dict.fromkeys([*found, *named]))


def _database(host: Host, folder: str, who: str, guarded: list[str]) -> Iterator[Location]:
    """The database in a folder. Root does not follow a user's link to what that user may not read."""
    path, old = f"{folder}/{DATABASE}", f"{folder}/{_DBM}"
    use = Use("nss", who, extends=True)
    if host.is_file(path):
        if not leaves_home(host, path, guarded):
            yield Location(path, Family.BROWSER, None, (use,), findings=tuple(_unfinished(host, path)))
    elif host.is_file(old) and not leaves_home(host, old, guarded):
        remedy = "open the profile once with Firefox 58 or later, or: certutil -N -d sql:FOLDER, and import anew"
        yield Location(old, Family.BROWSER, Role.UNKNOWN, (use,), findings=(_BEFORE_DBM_ENDED,), remedy=remedy)


def _unfinished(host: Host, path: str) -> Iterator[Finding]:
    """SQLite's own files beside a database: what was written last may stand in them alone (sqlite.org/tempfiles)."""
    for suffix in ("-wal", "-journal"):
        try:
            size = host.stat(path + suffix).st_size
        except OSError:
            continue
        if size:
            text = (
                f"{DATABASE}{suffix} stands beside it: a program has it open, or was cut off; it may hold newer changes"
            )
            yield Finding("unfinished-database", Severity.WARNING, text)


def _installed(host: Host, path: str, who: str, homes: list[str], guarded: list[str]) -> Iterator[Location]:
    """The certificate files that a policies.json has its program import at each start."""
    text, policies = _json(host, path)
    certificates = _member(_member(policies, "policies"), "Certificates")
    names = certificates.get("Install")
    for name in names if isinstance(names, list) else []:
        if not isinstance(name, str) or not name or "\0" in name:
            continue
        setting = Setting(path, _line(text, name), "Certificates.Install")
        use = Use("nss", f"{who}: installed by the policy in {path}", extends=True, setting=setting)
        for file in _files(host, name, homes):
            if not leaves_home(host, file, guarded):
                yield Location(file, Family.BROWSER, None, (use,), named=True)


def _files(host: Host, name: str, homes: list[str]) -> list[str]:
    """The files that a policy's name means: itself, or that name in the first folder that has it, and in homes."""
    if name.startswith("/"):
        return [name]
    shared = next((f"{folder}/{name}" for folder in INSTALL_FOLDERS if host.is_file(f"{folder}/{name}")), None)
    if shared is not None:
        return [shared]
    own = [path for home in homes if host.is_file(path := f"{home}/.mozilla/certificates/{name}")]
    return own or [f"{INSTALL_FOLDERS[0]}/{name}"]


def _inline(host: Host, path: str, who: str) -> Iterator[Location]:
    """The certificates that stand in a policy of Chromium's themselves, as base64 of DER."""
    text, policy = _json(host, path)
    if not policy:
        return
    import base64  # rare, as policies are
    import binascii

    values = policy.get("CACertificates")
    blocks = []
    for value in values if isinstance(values, list) else []:
        try:
            der = base64.b64decode(value if isinstance(value, str) else "", validate=True)
        except (binascii.Error, ValueError):
            continue
        blocks.append(b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n")
    if not blocks:
        return
    setting = Setting(path, _line(text, "CACertificates"), "CACertificates")
    use = Use("nss", f"{who}: the policy in {printable(path)}", extends=True, setting=setting)
    remedy = f"edit CACertificates in {printable(path)}: the certificates stand there themselves"
    part, data = "CACertificates", b"".join(blocks)
    yield Location(path, Family.BROWSER, None, (use,), named=True, part=part, data=data, remedy=remedy)


def _json(host: Host, path: str) -> tuple[str, dict[str, Any]]:
    """A policy file's text and its object; an empty one for what is not there or no JSON: its program ignores it."""
    try:
        text = host.read(path, limit=_MAX_BYTES).content.decode("utf-8-sig")
    except (OSError, ValueError):
        return "", {}
    import json

    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return "", {}
    return text, found if isinstance(found, dict) else {}


def _member(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _line(text: str, word: str) -> int | None:
    """The line (from 1) on which a string of the file stands."""
    import json

    place = text.find(json.dumps(word, ensure_ascii=False))
    return text.count("\n", 0, place) + 1 if place >= 0 else None
