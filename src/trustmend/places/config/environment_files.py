"""Files that set variables for programs: units, environment files, shells' start files, crontabs, supervisor.

Nothing is executed: only plain assignments are read; a value with a part that only a shell would know names nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from trustmend.certificate import printable
from trustmend.places.config import assigned, units
from trustmend.places.config.assigned import Argument, Assigned
from trustmend.places.config.files import homes, listed, read_text
from trustmend.places.config.hit import Hit
from trustmend.places.config.syntax import ini, shell
from trustmend.places.config.syntax.words import UNKNOWN, expanded

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

_PROFILES: Final = (
    "/etc/profile",
    "/etc/bash.bashrc",
    "/etc/bashrc",
    "/etc/zshenv",
    "/etc/zsh/zshenv",
    "/etc/zprofile",
    "/etc/zsh/zprofile",
    "/etc/zshrc",
    "/etc/zsh/zshrc",
)
"""Start files of shells for all users (bash(1), zsh(1)); Debian and Red Hat name some of them differently."""
_OWN_PROFILES: Final = (
    ".profile",
    ".bash_profile",
    ".bash_login",
    ".bashrc",
    ".zshenv",
    ".zprofile",
    ".zshrc",
    ".xsessionrc",
    ".xprofile",
)
_ENVIRONMENT_D: Final = (
    "/etc/environment.d",
    "/run/environment.d",
    "/usr/local/lib/environment.d",
    "/usr/lib/environment.d",
)
"""After the user's own ~/.config/environment.d; an earlier folder wins (environment.d(5))."""
_SUPERVISOR: Final = ("/etc/supervisord.conf", "/etc/supervisor/supervisord.conf")
_SUPERVISOR_FOLDERS: Final = (
    ("/etc/supervisor/conf.d", ".conf"),
    ("/etc/supervisord.d", ".ini"),
    ("/etc/supervisor.d", ".ini"),
)


def hits(host: Host, survey: Survey) -> Iterator[Hit]:
    """What all these files name; of several assignments of a variable in one place only the last one counts."""
    taken: set[str] = set()
    yield from units.hits(host, survey, taken)
    yield from _environment_d(host, survey)
    yield from _pam(host, survey)
    yield from _profiles(host, survey)
    yield from _defaults(host, survey, taken)
    yield from _crontabs(host, survey)
    yield from _supervisor(host, survey)


def _environment_d(host: Host, survey: Survey) -> Iterator[Hit]:
    """The environment of users' service managers and sessions; a user's own files are merged with the system's."""
    system = {
        path.rpartition("/")[2]: path for folder in reversed(_ENVIRONMENT_D) for path in listed(host, folder, ".conf")
    }
    yield from assigned.hits(_merged(host, survey, list(system.values()), UNKNOWN), "environment.d")
    for home in homes(survey):
        own = {path.rpartition("/")[2]: path for path in listed(host, f"{home}/.config/environment.d", ".conf")}
        if own:
            environ = _merged(host, survey, list({**system, **own}.values()), home)
            mine = {name: value for name, value in environ.items() if value.file in own.values()}
            yield from assigned.hits(mine, "environment.d")


def _merged(host: Host, survey: Survey, paths: Sequence[str], home: str) -> dict[str, Assigned]:
    """The variables of environment.d files in the order of their names, each value expanded from those before."""
    environ: dict[str, Assigned] = {}
    texts = [
        (path, read_text(host, survey, path) or "") for path in sorted(paths, key=lambda path: path.rpartition("/")[2])
    ]
    if not any(assigned.tells(text) for _, text in texts):
        return environ

    def lookup(name: str) -> str | None:
        return environ[name].value if name in environ else home if name == "HOME" else None

    for path, text in texts:
        for item in shell.systemd_assignments(text):
            environ[item.key] = Assigned(expanded(item.value, lookup), path, item.line)
    return environ


def _pam(host: Host, survey: Survey) -> Iterator[Hit]:
    """/etc/environment, which pam_env(8) reads for every session, cron's among them."""
    text = read_text(host, survey, "/etc/environment")
    if text is not None and assigned.tells(text):
        yield from assigned.hits(assigned.winners("/etc/environment", shell.pam_assignments(text)), "pam_env")


def _profiles(host: Host, survey: Survey) -> Iterator[Hit]:
    """What shells export: /etc/profile with its folder is one script, the others each for itself."""
    folder = listed(host, "/etc/profile.d", ".sh", ".zsh")
    yield from _scripts(host, survey, ["/etc/profile", *folder], {})
    for path in _PROFILES[1:]:
        yield from _scripts(host, survey, [path], {})
    for home in homes(survey):
        for name in _OWN_PROFILES:
            yield from _scripts(host, survey, [f"{home}/{name}"], {"HOME": home})


def _scripts(host: Host, survey: Survey, paths: Sequence[str], known: dict[str, str]) -> Iterator[Hit]:
    """What scripts that are read one after the other export at their end."""
    texts = [(path, text) for path in paths if (text := read_text(host, survey, path)) is not None]
    if not any(assigned.tells(text) for _, text in texts):
        return
    environ: dict[str, Assigned] = {}
    exported: set[str] = set()
    for path, text in texts:
        known = {**known, **{name: value.value for name, value in environ.items()}}
        for item in shell.shell_assignments(text, known):
            environ[item.key] = Assigned(item.value, path, item.line)
            if item.path == (shell.EXPORTED,):
                exported.add(item.key)
    yield from assigned.hits({name: value for name, value in environ.items() if name in exported}, "shell")


def _defaults(host: Host, survey: Survey, taken: set[str]) -> Iterator[Hit]:
    """Settings of init scripts, which source them; those that units read are said by the units.

    What is not exported reaches no program, but scripts put JVM options on the command line themselves.
    """
    for folder in ("/etc/default", "/etc/sysconfig"):
        for path in listed(host, folder):
            text = read_text(host, survey, path) if path not in taken else None
            if text is None or not assigned.tells(text):
                continue
            items = [
                item
                for item in shell.shell_assignments(text, {})
                if item.path == (shell.EXPORTED,) or assigned.PROPERTY in item.value
            ]
            yield from assigned.hits(assigned.winners(path, items), "service settings")


def _crontabs(host: Host, survey: Survey) -> Iterator[Hit]:
    """The variables of crontabs (crontab(5))."""
    spools = [path for folder in ("/var/spool/cron/crontabs", "/var/spool/cron") for path in listed(host, folder)]
    system = ["/etc/crontab", "/etc/anacrontab", *listed(host, "/etc/cron.d")]
    for path in [*system, *spools]:
        text = read_text(host, survey, path)
        if text is not None and assigned.tells(text):
            yield from assigned.hits(assigned.winners(path, shell.cron_assignments(text)), "cron")


def _supervisor(host: Host, survey: Survey) -> Iterator[Hit]:
    """`environment=` and `command=` of supervisord's programs (Supervisor: Configuration File)."""
    common: dict[str, Assigned] = {}
    for path in [*_SUPERVISOR, *(p for folder, end in _SUPERVISOR_FOLDERS for p in listed(host, folder, end))]:
        text = read_text(host, survey, path)
        if text is None or not assigned.tells(text):
            continue
        sections: dict[str, dict[str, Assigned]] = {}
        for item in ini.items(text, ini.PYTHON):
            sections.setdefault(item.path[0] if item.path else "", {})[item.key] = Assigned(item.value, path, item.line)
        common.update(_supervised(sections.pop("supervisord", {})))
        for section, settings in sections.items():
            if not section.startswith(("program:", "fcgi-program:", "eventlistener:")):
                continue
            command = settings.get("command")
            words = _split(command.value) if command is not None else []
            arguments = [Argument(word, "command", command) for word in words if command is not None]
            yield from assigned.hits(_supervised(settings), printable(f"supervisor {section}"), arguments)
    yield from assigned.hits(common, "supervisord")


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []


def _supervised(settings: dict[str, Assigned]) -> dict[str, Assigned]:
    """`environment=A="b",C='d'` taken apart (supervisor/datatypes.py, dict_of_key_value_pairs)."""
    setting = settings.get("environment")
    if setting is None:
        return {}
    lexer = shlex.shlex(setting.value)
    lexer.wordchars += "/.+-():"
    try:
        words = list(lexer)
    except ValueError:
        return {}
    found = {}
    for at in range(0, len(words) - 2, 4):
        if words[at + 1] != "=":
            return {}
        value = words[at + 2].strip("'\"")
        found[words[at]] = Assigned(UNKNOWN if "%(" in value else value, setting.file, setting.line)
    return found
