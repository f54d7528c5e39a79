"""Which package owns a file, from what the package managers themselves have written down.

A list that names the very file comes first: dpkg's, apk's, pacman's, then rpm's, whose database only its program reads;
after them what pip or conda wrote into a library folder or an environment. A file that is made on the host is in no
list (/etc/ssl/certs/ca-certificates.crt on Debian) and has no owner here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trustmend.certificate import printable
from trustmend.errors import ReadError

if TYPE_CHECKING:
    from trustmend.host import Host


@dataclass(frozen=True)
class Package:
    """An installed package. Name and version have no character that a shell or a terminal would act on."""

    manager: str  # dpkg, rpm, apk, pacman, pip or conda
    name: str  # without dpkg's architecture
    version: str | None = None
    prefix: str | None = None  # conda: the environment that it is in

    @property
    def words(self) -> str:
        """For people: "python3-pip 23.0.1+dfsg-1 (dpkg)"."""
        return f"{self.name} {self.version} ({self.manager})" if self.version else f"{self.name} ({self.manager})"


_DPKG: Final = "/var/lib/dpkg"
_APK: Final = "/lib/apk/db/installed"
_PACMAN: Final = "/var/lib/pacman/local"
_RPM: Final = "/usr/bin/rpm"
_RPM_DATABASES: Final = ("/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm")  # rpm 4.16+, before, ostree
_RPM_ANSWER: Final = r"[%{=NAME}\t%{=VERSION}-%{=RELEASE}\t%{FILENAMES}\n]"
_RPM_TIMEOUT_S: Final = 30.0
_MERGED: Final = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_LIBRARIES: Final = frozenset(("site-packages", "dist-packages", "vendor-packages"))
_LIST_BYTES: Final = 32 << 20  # Debian's longest list has 3 MB, conda's record of a large package 20
_ALL_BYTES: Final = 256 << 20  # of all lists of one manager, or of one folder

_NAME: Final = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9_@.+-]{0,199}\Z")
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~:!_^-]{0,199}\Z")
_METADATA: Final = re.compile(r"(.+?)-(\d[^-]*)(?:-py[\d.]+(?:-[^-]+)?)?\.(dist-info|egg-info|egg)\Z")
_FIELD: Final = re.compile(rb"^(Name|Version):[ \t]*([^\r\n]+)", re.MULTILINE)
_INTERPRETER: Final = re.compile(r"(.*)/lib(?:64)?/((?:python|pypy)\d+(?:\.\d+)?t?)/(?:site|dist)-packages/", re.DOTALL)
_RPM_TOOLS: Final = (
    # (the distribution's tag in the release, the command); SUSE's releases have no tag
    (re.compile(r"\.(?:el[5-7]|amzn[12])(?!\d)"), "yum update"),
    (re.compile(r"\.(?:azl|cm|ph)\d"), "tdnf update"),
    (re.compile(r"\.(?:el|eln|fc|amzn|oe)\d"), "dnf upgrade"),
)


def owners(host: Host, paths: Collection[str]) -> dict[str, Package]:
    """The package of each path that one owns; the other paths are left out.

    Each database is read once, however many paths there are. What cannot be read or understood owns nothing; nor
    does a package of which only the configuration is left. What packages share, as folders, has no owner.

    Args:
        host: whose. From a foreign root nothing is run, and so rpm is not asked.
        paths: this root's own, absolute and resolved.
    """
    merged = _merged(host) if paths else ()
    given = {path: _in_usr(path, merged) for path in paths if path.startswith("/")}
    found: dict[str, Package] = {}
    for manager in (_dpkg, _apk, _pacman, _rpm, _environments):
        wanted = sorted(set(given.values()) - found.keys())
        if wanted:
            found |= manager(host, {form: path for path in wanted for form in _forms(path, merged)})
    return {path: found[one] for path, one in given.items() if one in found}


def upgrade(package: Package, path: str) -> str:
    """The command that an operator would type to upgrade the package which owns `path`; fit for a POSIX shell.

    For pip it names the interpreter of the library folder that holds `path`, else that folder as the target. The
    interpreter is not looked for. A rolling distribution (pacman) has no upgrade of one package alone.
    """
    name = package.name
    match package.manager:
        case "dpkg":
            return f"apt-get install --only-upgrade {name}"
        case "apk":
            return f"apk upgrade {name}"
        case "pacman":
            return f"pacman -Syu {name}"
        case "rpm":
            version = package.version or ".fc0"
            return next((f"{tool} {name}" for tag, tool in _RPM_TOOLS if tag.search(version)), f"zypper update {name}")
        case "conda":
            return f"conda update -p {_quoted(package.prefix)} {name}" if package.prefix else f"conda update {name}"
        case _:
            return _pip_command(name, path)


def _pip_command(name: str, path: str) -> str:
    where = _INTERPRETER.match(path)
    if where is None:
        library, _ = _library(path)
        return f"python3 -m pip install -U --target {_quoted(library)} {name}" if library else f"pip install -U {name}"
    if where[1].endswith("/.local"):
        return f"{where[2]} -m pip install --user -U {name}"  # a user's own folder has no interpreter
    program = _quoted(f"{where[1]}/bin/{where[2]}")
    if "/uv/tools/" in path:
        return f"uv pip install --python {program} -U {name}"  # uv puts no pip into its environments
    return f"{program} -m pip install -U {name}"


def _quoted(path: str) -> str:
    return shlex.quote(printable(path))


def _merged(host: Host) -> tuple[str, ...]:
    """The folders of "/" that are links into /usr, with a "/" at the end: lists spell what is in them both ways."""
    merged = []
    for folder in _MERGED:
        try:
            if host.resolve(folder) == f"/usr{folder}":
                merged.append(f"{folder}/")
        except OSError:
            continue
    return tuple(merged)


def _in_usr(path: str, merged: tuple[str, ...]) -> str:
    return f"/usr{path}" if path.startswith(merged) else path


def _forms(path: str, merged: tuple[str, ...]) -> Iterator[str]:
    """How lists may spell a path that `_in_usr` gave."""
    yield path
    if path.startswith("/usr/") and path[len("/usr") :].startswith(merged):
        yield path[len("/usr") :]


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


@dataclass
class _Reader:
    """Reads whole files; b"" where there is nothing to read, and for what no longer fits into `room`."""

    host: Host
    room: int = _ALL_BYTES

    def read(self, path: str) -> bytes:
        try:
            content = self.host.read(path, limit=min(self.room, _LIST_BYTES)).content
        except OSError:
            return b""
        self.room -= len(content)
        return content


def _package(manager: str, name: bytes, version: bytes, prefix: str | None = None) -> Package | None:
    """A package of plain words, else None: a name that is none is no answer."""
    words, number = name.decode("utf-8", "replace").strip(), version.decode("utf-8", "replace").strip()
    return Package(manager, words, number if _VERSION.match(number) else None, prefix) if _NAME.match(words) else None


# dpkg: dpkg(1) FILES, dpkg-divert(1). A list has one path a line, folders included.


def _dpkg(host: Host, spellings: dict[str, str]) -> dict[str, Package]:
    reader, merged = _Reader(host), _merged(host)
    table = reader.read(f"{_DPKG}/diversions").decode("utf-8", "surrogateescape").split("\n")
    table = [_in_usr(line, merged) for line in table]
    # (what a package lists, where it lies instead, the package whose own file stays in place or ":" for nobody's)
    diversions = list(zip(table[0::3], table[1::3], table[2::3], strict=False))
    stays = {listed: by for listed, _, by in diversions}
    moved = {place: listed for listed, place, _ in diversions if place in spellings}
    lines = {_bytes(form): path for form, path in spellings.items()}
    lines |= {_bytes(form): listed for listed in moved.values() for form in _forms(listed, merged)}
    listing: dict[str, list[str]] = {}
    for name in (name for name in host.listed(f"{_DPKG}/info") if name.endswith(".list")):
        # One split takes as long as a search for ten paths, and no longer for a hundred.
        for line in lines.keys() & reader.read(f"{_DPKG}/info/{name}").split(b"\n"):
            listing.setdefault(lines[line], []).append(name[: -len(".list")])
    status = b"\n" + reader.read(f"{_DPKG}/status") if listing else b""
    found: dict[str, Package] = {}
    for path in spellings.values():
        who = listing.get(moved.get(path, path), [])
        if (by := stays.get(moved.get(path, path))) is not None:  # the files of the others lie elsewhere
            who = [one for one in who if (one.partition(":")[0] == by) != (path in moved)]
        packages = [package for one in who if (package := _of_dpkg(status, one))]
        if len({package.name for package in packages}) == 1:  # folders have many owners, and so none
            found[path] = packages[0]
    return found


def _of_dpkg(status: bytes, listed: str) -> Package | None:
    """The package of the list "libc6:amd64", unless it is not installed any more. `status` begins with a newline."""
    name, _, architecture = listed.partition(":")
    heading = b"\nPackage: " + _bytes(name) + b"\n"
    at = status.find(heading)
    while at >= 0:
        end = status.find(b"\n\n", at)
        stanza = status[at : end if end >= 0 else len(status)]
        fields = dict(re.findall(rb"^(Status|Version|Architecture): *([^\n]+)$", stanza, re.MULTILINE))
        if not architecture or fields.get(b"Architecture") == _bytes(architecture):
            gone = fields.get(b"Status", b"").endswith((b" not-installed", b" config-files"))
            return None if gone else _package("dpkg", _bytes(name), fields.get(b"Version", b""))
        at = status.find(heading, at + 1)
    return _package("dpkg", _bytes(name), b"")


# apk: of each package "P:" and "V:", then "F:" for each folder and after it "R:" for each file in it, up to an empty
# line (https://wiki.alpinelinux.org/wiki/Apk_spec).


def _apk(host: Host, spellings: dict[str, str]) -> dict[str, Package]:
    read = _Reader(host).read
    content = b"\n" + (read(_APK) or read(f"/usr{_APK}")) + b"\n\n"
    owned = ((path, _of_apk(content, _bytes(form[1:]))) for form, path in spellings.items())
    return {path: package for path, package in owned if package}


def _of_apk(content: bytes, path: bytes) -> Package | None:
    folder, _, name = path.rpartition(b"/")
    at = content.find(b"\nF:" + folder + b"\n")
    while at >= 0:
        end = content.find(b"\n\n", at)
        following = content.find(b"\nF:", at + 1, end)
        if content.find(b"\nR:" + name + b"\n", at, following + 1 if following >= 0 else end + 1) >= 0:
            start = max(content.rfind(b"\n\n", 0, at), 0)
            fields = dict(re.findall(rb"^([PV]):(.+)$", content[start:at], re.MULTILINE))
            return _package("apk", fields.get(b"P", b""), fields.get(b"V", b""))
        at = content.find(b"\nF:" + folder + b"\n", at + 1)
    return None


# pacman: alpm-db(7), alpm-db-files(5), alpm-db-desc(5): a folder for each package, paths without the leading slash.


def _pacman(host: Host, spellings: dict[str, str]) -> dict[str, Package]:
    reader = _Reader(host)
    lines = {_bytes(form[1:]): path for form, path in spellings.items()}
    found: dict[str, Package] = {}
    for entry in host.listed(_PACMAN):
        files = reader.read(f"{_PACMAN}/{entry}/files").partition(b"%BACKUP%")[0]
        if hits := lines.keys() & files.split(b"\n"):
            desc = reader.read(f"{_PACMAN}/{entry}/desc")
            fields = dict(re.findall(rb"^%(NAME|VERSION)%\n(.+)$", desc, re.MULTILINE))
            if package := _package("pacman", fields.get(b"NAME", b""), fields.get(b"VERSION", b"")):
                found |= {lines[line]: package for line in hits}
    return found


# rpm: asked once for all paths. Its answer is every file of the owners, since one line for each owner does not say of
# which path it is (a path may have none, or several).


def _rpm(host: Host, spellings: dict[str, str]) -> dict[str, Package]:
    if host.foreign or not any(map(host.listed, _RPM_DATABASES)) or not host.safe_to_run(_RPM):
        return {}
    argv = [_RPM, "-qf", "--qf", _RPM_ANSWER, *sorted(set(spellings.values()))]
    environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/"}  # no user's ~/.rpmmacros
    try:
        answer = host.run(argv, environ=environ, timeout_s=_RPM_TIMEOUT_S).stdout
    except ReadError:
        return {}
    found: dict[str, dict[str, Package]] = {}
    for line in answer.split(b"\n"):
        name, _, rest = line.partition(b"\t")
        version, _, form = rest.partition(b"\t")
        path = spellings.get(form.decode("utf-8", "surrogateescape"))
        if path is not None and (package := _package("rpm", name, version)):
            found.setdefault(path, {})[package.name] = package
    return {path: package for path, packages in found.items() for package in packages.values() if len(packages) == 1}


# pip and conda: https://packaging.python.org/en/latest/specifications/recording-installed-packages/ and before it
# setuptools' egg-info; conda-meta/*.json in a conda environment.


def _environments(host: Host, spellings: dict[str, str]) -> dict[str, Package]:
    found: dict[str, Package] = {}
    by_pip: set[str] = set()
    metadata: dict[str, list[tuple[str, str]]] = {}
    prefixes: dict[str, str] = {}
    conda: dict[str, list[str]] = {}
    reader = _Reader(host)
    for path in sorted(set(spellings.values())):
        library, inside = _library(path)
        if library:
            if library not in metadata:
                metadata[library] = [(n, _plain(m[1])) for n in host.listed(library) if (m := _METADATA.match(n))]
            folder = _holder(reader, library, inside, metadata[library])
            if folder and (package := _of_pip(reader, f"{library}/{folder}")):
                found[path] = package
                if reader.read(f"{library}/{folder}/INSTALLER").strip() in (b"pip", b"uv"):
                    by_pip.add(path)
        if prefix := _conda_prefix(host, path.rpartition("/")[0], prefixes):
            conda.setdefault(prefix, []).append(path)
    for prefix, paths in conda.items():
        for path, package in _of_conda(host, prefix, paths).items():
            # What pip put over it is pip's; in conda's packages some metadata says pip as well.
            if path not in by_pip or _numbers(found[path]) == _numbers(package):
                found[path] = package
    return found


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _numbers(package: Package) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", package.version or "")]


def _library(path: str) -> tuple[str, str]:
    """(the innermost library folder above `path`, the path inside it), or ("", "")."""
    parts = path.split("/")
    at = max((i for i, part in enumerate(parts[:-1]) if part in _LIBRARIES), default=0)
    return ("/".join(parts[: at + 1]), "/".join(parts[at + 1 :])) if at else ("", "")


def _holder(reader: _Reader, library: str, inside: str, metadata: list[tuple[str, str]]) -> str | None:
    """The metadata folder of the distribution that brought the file `inside`; a vendored copy is its vendor's."""
    top = inside.partition("/")[0]
    if _METADATA.match(top):
        return f"{top}/EGG-INFO" if top.endswith(".egg") else top
    alike = [folder for folder, name in metadata if name == _plain(top)]
    others = [folder for folder, name in metadata if name != _plain(top)]
    silent: list[str] = []
    for folder in [*alike, *others]:
        listed = _lists(reader, f"{library}/{folder}", _bytes(inside))
        if listed or (listed is None and folder in alike):
            return folder  # Debian keeps no RECORD: the name has to do
        if listed is None:
            silent.append(folder)
    heading = b"\n" + _bytes(top) + b"\n"
    return next((f for f in silent if heading in b"\n" + reader.read(f"{library}/{f}/top_level.txt") + b"\n"), None)


def _lists(reader: _Reader, folder: str, inside: bytes) -> bool | None:
    """Whether the metadata folder lists the file; None if it has no list."""
    if folder.endswith(".dist-info"):
        lines = b"\n" + reader.read(f"{folder}/RECORD")
        quoted = b'"' + inside.replace(b'"', b'""') + b'"'
        return b"\n" + inside + b"," in lines or b"\n" + quoted + b"," in lines if len(lines) > 1 else None
    lines = b"\n" + reader.read(f"{folder}/installed-files.txt") + b"\n"
    return b"\n../" + inside + b"\n" in lines if len(lines) > 2 else None


def _of_pip(reader: _Reader, folder: str) -> Package | None:
    """The distribution by its own name ("websocket-client"), else as its metadata folder is called."""
    for path in (f"{folder}/METADATA", f"{folder}/PKG-INFO", folder):
        fields = dict(reversed(_FIELD.findall(reader.read(path).partition(b"\n\n")[0])))
        if package := _package("pip", fields.get(b"Name", b""), fields.get(b"Version", b"")):
            return package
    name = _METADATA.match(folder.removesuffix("/EGG-INFO").rpartition("/")[2])
    return _package("pip", _bytes(name[1]), _bytes(name[2])) if name else None


def _conda_prefix(host: Host, folder: str, known: dict[str, str]) -> str:
    """The innermost folder at or above `folder` that has a conda-meta, or ""; 32 levels are more than any has."""
    levels = [folder.rsplit("/", up)[0] for up in range(min(folder.count("/"), 32))]
    if folder not in known:
        known[folder] = next((level for level in levels if host.is_dir(f"{level}/conda-meta")), "")
    return known[folder]


def _of_conda(host: Host, prefix: str, paths: list[str]) -> dict[str, Package]:
    import json  # for conda alone

    reader = _Reader(host)
    files = {path[len(prefix) + 1 :]: path for path in paths}
    found: dict[str, Package] = {}
    names = [name for name in host.listed(f"{prefix}/conda-meta") if name.endswith(".json")]
    for name in sorted(names, key=lambda name: not name.startswith(("ca-certificates-", "certifi-"))):
        if len(found) == len(files):
            break
        content = reader.read(f"{prefix}/conda-meta/{name}")
        # conda escapes what is not ASCII, mamba does not.
        if not any(json.dumps(f).encode() in content or b'"' + _bytes(f) + b'"' in content for f in files):
            continue
        try:
            record = json.loads(content)
            listed = files.keys() & record["files"]
            package = _package("conda", _bytes(record["name"]), _bytes(record["version"]), prefix)
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
            continue
        if package:
            found |= {files[file]: package for file in listed}
    return found
