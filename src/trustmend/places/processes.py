"""Running programs, and the trust stores that each of them reads: by its variables, its command line, its runtime.

/proc is read once for each process. What a process says is only a claim: paths are looked up in the root that the
process has, and what its user could not read is not opened by root for it. Processes of another root (containers)
are counted; `trustmend --root /proc/PID/root` looks into theirs, and joins them there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from trustmend.certificate import printable
from trustmend.host import Host
from trustmend.model import Family, Finding, Location, Process, Role, Severity, Use
from trustmend.places import java, java_command, program_options, python_process, variables
from trustmend.places.proc import MOST_BYTES, Seen, command_text, control_group, inside, may_read, users

if TYPE_CHECKING:
    from trustmend.places.tree import Survey

_KEPT: Final = (*program_options.NAMES, *variables.JAVA_VARIABLES, "NODE_OPTIONS", "DENO_TLS_CA_STORE",
                *python_process.VARIABLES)  # fmt: skip
_ENVIRON: Final = re.compile(rb"(?:\A|\0)(" + b"|".join(map(str.encode, _KEPT)) + rb")=([^\0]*)")
_JAVA_SAYS: Final = re.compile(rb"-Djavax\.net\.ssl\.trustStore")
_TELLING: Final = frozenset((*program_options.NAMES, *variables.JAVA_VARIABLES))
_CURL_FILE: Final = "/etc/ssl/certs/ca-certificates.crt"
_OPENSSL_HOMES: Final = ("/usr/lib/ssl", "/etc/pki/tls", "/etc/ssl")
"""Of the system's OpenSSL: Debian's, Fedora's, and everybody else's."""
_HASH_LINK: Final = re.compile(r"[0-9a-f]{8}\.\d+\Z")
_LARGE: Final = 1 << 20
_TLS_LIBRARY: Final = re.compile(rb"/lib(?:ssl|crypto|ldap|pq|grpc)[\w.+-]*\.so")
_COMMAND_LINE: Final = "its command line"


@dataclass(frozen=True)
class Walk:
    """What one look at all processes found.

    locations: one for each path, with a use for each process that reads it.
    alone: processes that trust nobody, or that live in another root: (the process, what there is to say).
    unseen: how many others could not be looked into; of those only what their command line says is known.
    """

    locations: tuple[Location, ...] = ()
    alone: tuple[tuple[Process, Finding], ...] = ()
    unseen: int = 0

    def notes(self) -> Iterator[str]:
        """What the operator should know beside the stores."""
        if self.unseen and os.geteuid() != 0:  # what is hidden even from root is a guard's, and no reader of stores
            who = "1 process" if self.unseen == 1 else f"{self.unseen} processes"
            yield f"{who} could not be looked into (run as root)"
        for _, finding in self.alone:
            yield finding.message


def locations(host: Host, survey: Survey) -> Iterator[Location]:
    """The stores that running processes read, each path once. `last` tells what else was seen."""
    walk = look(host, survey)
    _last[:] = [(host, walk)]
    yield from walk.locations


_last: Final[list[tuple[Host, Walk]]] = []


def last(host: Host) -> Walk:
    """The walk that `locations` has made last for this very host; an empty one where it was for another."""
    return next((walk for one, walk in _last if one is host), Walk())


@dataclass(slots=True)
class _Looker:
    """What is kept while the processes of one root are looked at."""

    host: Host
    survey: Survey
    machine: Host
    users: Mapping[int, str]
    stores: dict[tuple[str, Role | None], Location] = field(default_factory=dict)
    ignored: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    homes: dict[str, java.Home | None] = field(default_factory=dict)
    alone: list[tuple[Process, Finding]] = field(default_factory=list)
    others: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    speaks: dict[str, bool] = field(default_factory=dict)
    unseen: int = 0


def look(host: Host, survey: Survey) -> Walk:
    """Look at every process of this root, but the calling one.

    Args:
        host: whose. Of another root only what runs in it.
        survey: tells the bundles that Pythons may read.
    """
    machine = Host()
    try:
        top = os.stat(host.root)
    except OSError:
        return Walk()
    looker = _Looker(host, survey, machine, users(host))
    for name in machine.listed("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            seen = _seen(looker, int(name), (top.st_dev, top.st_ino))
            if seen is not None and os.path.basename(seen.program) not in program_options.NO_CLIENTS:
                _join(looker, seen)
    _tell_ignored(looker)
    _tell_others(looker)
    return Walk(tuple(looker.stores.values()), tuple(looker.alone), 0 if host.foreign else looker.unseen)


def _seen(looker: _Looker, pid: int, root: tuple[int, int]) -> Seen | None:
    """The process, if it runs in that root; one that may not be looked into by its command line alone."""
    machine = looker.machine
    folder = f"/proc/{pid}"
    try:
        program = os.readlink(f"{folder}/exe")
        there = os.stat(f"{folder}/root")
        if (there.st_dev, there.st_ino) != root:
            looker.others.setdefault((there.st_dev, there.st_ino), []).append(pid)
            return None
        environ = machine.read(f"{folder}/environ", limit=MOST_BYTES).content
        line = machine.read(f"{folder}/cmdline", limit=MOST_BYTES).content
        works_in = os.readlink(f"{folder}/cwd")
    except PermissionError:
        return _half_seen(looker, pid)
    except OSError:
        return None  # it has ended, or is a thread of the kernel's, or has an environment beyond all measure
    kept: dict[str, str] = {}
    for match in _ENVIRON.finditer(environ):
        kept.setdefault(match[1].decode(), os.fsdecode(match[2]))  # getenv(3) gives the first
    return Seen(pid, inside(looker.host, program), line, kept, inside(looker.host, works_in))


def _half_seen(looker: _Looker, pid: int) -> Seen | None:
    try:
        line = looker.machine.read(f"/proc/{pid}/cmdline", limit=MOST_BYTES).content
        if not line:
            return None  # a thread of the kernel's
        looker.unseen += 1
        program = os.fsdecode(line.partition(b"\0")[0])
        if looker.host.foreign or not program.startswith("/"):
            return None
        return None if control_group(looker.machine, pid)[1] else Seen(pid, program, line, None, None)
    except OSError:
        return None


def _join(looker: _Looker, seen: Seen) -> None:
    """Keep what a process reads."""
    name = os.path.basename(seen.program)
    kind = program_options.runtime(name)
    environ = seen.environ or {}
    home = _home(looker, seen, kind)
    if home is not None:
        _join_jvm(looker, seen, home)
        return
    telling = not _TELLING.isdisjoint(environ)
    given = []
    if program_options.INTERESTING.search(seen.line):
        given = list(program_options.of_command(name, kind, seen.words))
    if telling and kind not in program_options.RUNTIMES and not _speaks_tls(looker, seen):
        telling = False
    if not telling and not given and kind != "python":
        return
    process = _process(looker, seen)
    for one in given:
        path = seen.path(one.named.path)
        if path is not None and (one.sure or looker.host.exists(path)):
            _keep_named(looker, seen, process, one.named, path, f"{one.option} on its command line", one.role)
    named = list(variables.of_environ(environ)) if telling and not program_options.overrides(kind, given) else []
    reader, version = python_process.version(name) if kind == "python" else ("", None)
    for found in program_options.of_variables(kind, named, environ, seen.words):
        if found.key == "NIX_SSL_CERT_FILE" and not seen.program.startswith("/nix/"):
            continue  # only Nix's own OpenSSL knows it
        readers = found.readers
        if kind == "python":
            readers = (reader,) if "python-3.12" in readers else readers
        elif kind in program_options.OWN_READERS:
            readers = program_options.OWN_READERS[kind]
        else:  # a program in Go, Rust or C: it is not known by which library
            readers = tuple(one for one in readers if not one.startswith("python")) or ("curl",)
        path = seen.path(found.path)
        if path is not None:
            _keep_named(looker, seen, process, replace(found, readers=readers), path, found.how, None)
    reads = {one.key for one in program_options.of_variables(kind, named, environ, seen.words)}
    _keep_default(looker, seen, process, kind, reads.union(one.option for one in given))
    if kind == "python" and environ.keys().isdisjoint(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")):
        bundle = python_process.certifi(looker.host, looker.survey["bundles"], seen.program, seen.words, environ)
        if bundle is not None:
            use = Use(reader, python_process.HOW, seen.program, version, process=process)
            _keep(looker, Location(bundle, Family.PYTHON, Role.PUBLIC, (use,)))


def _speaks_tls(looker: _Looker, seen: Seen) -> bool:
    """Whether a program that the tables do not know may speak TLS: it has loaded a library for that, or holds one.

    No library for TLS fits into an executable of less than a megabyte (Go's, rustls and BoringSSL are far above).
    """
    if seen.program not in looker.speaks:
        try:
            large = os.stat(f"/proc/{seen.pid}/exe").st_size >= _LARGE
            maps = b"" if large else looker.machine.read(f"/proc/{seen.pid}/maps").content
            looker.speaks[seen.program] = large or _TLS_LIBRARY.search(maps) is not None
        except OSError:
            return False
    return looker.speaks[seen.program]


def _keep_default(looker: _Looker, seen: Seen, process: Process, kind: str, keys: set[str]) -> None:
    """What OpenSSL reads beside a file or a folder that is named alone: its default folder, or its default file.

    Source: X509_STORE_set_default_paths(3); for Debian's curl, which has a default folder, its -v.
    """
    if not seen.program.startswith("/usr/") or kind not in ("python", "ruby", "php", "perl", "curl"):
        return
    files = [one for one in ("--cacert", "CURL_CA_BUNDLE", "SSL_CERT_FILE") if one in keys]
    folders = [one for one in ("--capath", "SSL_CERT_DIR") if one in keys]
    if kind != "curl":
        files = [one for one in files if one == "SSL_CERT_FILE"]
        folders = [one for one in folders if one == "SSL_CERT_DIR"]
    if bool(files) is bool(folders):
        return
    homes = _OPENSSL_HOMES[:1] if kind == "curl" else _OPENSSL_HOMES
    home = next((one for one in homes if looker.host.is_dir(f"{one}/certs")), None)
    if home is None:
        return
    if files:
        path, what = f"{home}/certs", f"OpenSSL's default folder, beside {files[0]}"
        there = any(map(_HASH_LINK.match, looker.host.listed(path)))
    else:
        path = _CURL_FILE if kind == "curl" else f"{home}/cert.pem"
        what, there = f"the default file, beside {folders[0]}", looker.host.is_file(path)
    if there:
        reader = program_options.OWN_READERS.get(kind) or (python_process.version(seen.program)[0],)
        _keep(looker, Location(path, Family.OS, None, (Use(reader[0], what, seen.program, process=process),)))


def _home(looker: _Looker, seen: Seen, kind: str) -> java.Home | None:
    """The Java home of a process that runs a JVM: by its launcher, or by the library that a program has loaded."""
    folder = os.path.dirname(seen.program)
    if kind == "java" and folder not in looker.homes:
        path = java.home_of(looker.host, seen.program)
        looker.homes[folder] = java.describe(looker.host, path) if path else None
    if looker.homes.get(folder) is not None:
        return looker.homes[folder]
    says = _JAVA_SAYS.search(seen.line) or any(name in (seen.environ or {}) for name in variables.JAVA_VARIABLES)
    if seen.environ is None or not (says or kind == "java"):
        return None
    try:
        maps = looker.machine.read(f"/proc/{seen.pid}/maps").content.decode("utf-8", "surrogateescape")
    except OSError:
        return None
    library = re.search(r" (/[^\n]*)/lib(?:/\w+)?/(?:server|client|minimal)/libjvm\.so", maps)
    if library is None:
        return None
    inner = inside(looker.host, library[1])
    path = inner if looker.host.is_dir(f"{inner}/lib/security") else None
    return java.describe(looker.host, path) if path else None


def _join_jvm(looker: _Looker, seen: Seen, home: java.Home) -> None:
    """A JVM reads one store: the one its options name, or its home's."""
    process = _process(looker, seen)
    environ = seen.environ or {}
    modern = not (home.version or "").startswith("1.")  # JEP 293's argument files came with Java 9

    def read(path: str) -> str | None:
        full = seen.path(path)
        if full is None or not may_read(looker.host, seen, full):
            return None
        try:
            return looker.host.read(full, limit=MOST_BYTES).content.decode("utf-8", "surrogateescape")
        except OSError:
            return None

    words = seen.words[1:]
    options: list[tuple[str, Sequence[str]]] = []
    name = os.path.basename(seen.program)
    launcher = name in ("java", "javaw")
    for variable in variables.JAVA_VARIABLES:
        text = environ.get(variable, "")
        if variable != "JDK_JAVA_OPTIONS":
            options.append((variable, list(java_command.vm_options(variables.java_words(text), read))))
            continue
        if modern and launcher:
            options.append((variable, list(java_command.variable_words(text, read))))
        if launcher:
            own = java_command.launcher_options(words, read if modern else lambda path: None)
        elif os.path.dirname(seen.program) == f"{home.path}/bin":  # the JDK's tools
            own = iter([word[2:] for word in words if word.startswith("-J-")])
        else:  # jsvc and other programs that load the JVM
            own = java_command.vm_options([word for word in words if word.startswith(("-D", "-XX:"))], read)
        options.append((_COMMAND_LINE, list(own)))
    trust = variables.java_trust(options)
    if trust.nobody:
        text = f"process {process.pid} ({process.command}) trusts nobody: {trust.by} says {variables.TRUST_STORE}=NONE"
        looker.alone.append((process, Finding("trusts-nobody", Severity.WARNING, text)))
        return
    secret = trust.secret
    store, how = home.store, "the default store of this JVM"
    if trust.path is not None:
        path = seen.path(trust.path)
        if trust.path and path is None:
            return  # relative to a folder that is not known
        if trust.path and path and looker.host.is_file(path) and may_read(looker.host, seen, path):
            kind = f" (type {printable(trust.type)})" if trust.type else ""
            how = f"-D{variables.TRUST_STORE} in {trust.by}{kind}"
            use = replace(_jvm_use(home, how, secret, process), store_type=trust.type.lower())
            _keep(looker, Location(path, Family.JAVA, None, (use,), named=True))
            return
        if path and trust.path:
            looker.ignored.setdefault((path, trust.by), []).append(seen.pid)
        store, how = home.fallback, f"the default store of this JVM, for {trust.by} names no file that it can read"
    if not may_read(looker.host, seen, store):
        return
    use = _jvm_use(home, how, secret, process)
    _keep(looker, Location(store, Family.JAVA, Role.PUBLIC, (use,), owner=home.owner, named=True))


def _jvm_use(home: java.Home, how: str, secret: str | None, process: Process) -> Use:
    return Use(
        "jsse",
        how,
        home.path,
        home.version,
        password=secret is not None,
        secret=secret,
        store_type="",
        process=process,
    )


def _keep_named(
    looker: _Looker, seen: Seen, process: Process, named: variables.Named, path: str, how: str, role: Role | None
) -> None:
    if not may_read(looker.host, seen, path):
        text = f"process {process.pid} ({process.command}) may not read what {named.key} names: {printable(path)}"
        looker.alone.append((process, Finding("reader-may-not", Severity.WARNING, text)))
        return
    uses = tuple(Use(reader, how, seen.program, extends=named.extends, process=process) for reader in named.readers)
    _keep(looker, Location(path, named.family, role, uses, named=True))


def _keep(looker: _Looker, location: Location) -> None:
    """Add its uses to those of the same path."""
    key = (location.path, location.role)
    known = looker.stores.get(key)
    looker.stores[key] = location if known is None else replace(known, uses=(*known.uses, *location.uses))


def _process(looker: _Looker, seen: Seen) -> Process:
    pid = seen.pid
    try:
        uid = os.stat(f"/proc/{pid}").st_uid
        user = looker.users.get(uid, str(uid))
    except OSError:
        user = "?"
    unit, container = control_group(looker.machine, pid)
    where = (container or printable(looker.host.root)) if looker.host.foreign else None
    return Process(pid, command_text(seen.line), user, unit, where)


def _tell_ignored(looker: _Looker) -> None:
    for (path, by), pids in looker.ignored.items():
        who = f"process {pids[0]}" if len(pids) == 1 else f"{len(pids)} processes, {pids[0]} first"
        text = (
            f"{by} names it as {variables.TRUST_STORE} ({who}), but it is no file that the JVM can read: JVMs ignore "
            "that and read their default cacerts"
        )
        finding = Finding("property-ignored", Severity.WARNING, text)
        location = Location(path, Family.JAVA, Role.UNKNOWN, named=True, findings=(finding,))
        looker.stores[path, Role.UNKNOWN] = location


def _tell_others(looker: _Looker) -> None:
    """One row for each other root in which processes run."""
    if looker.host.foreign:
        return
    for pids in looker.others.values():
        first = min(pids)
        try:
            line = looker.machine.read(f"/proc/{first}/cmdline", limit=MOST_BYTES).content
        except OSError:
            continue
        name = control_group(looker.machine, first)[1] or f"/proc/{first}/root"
        process = replace(_process(looker, Seen(first, "", line, {}, None)), container=name)
        who = "1 process runs" if len(pids) == 1 else f"{len(pids)} processes run"
        what = f" (container {name})" if name[0] != "/" else ""
        text = f"{who} in another root{what}: trustmend --root /proc/{first}/root audit"
        looker.alone.append((process, Finding("other-root", Severity.INFO, text)))
