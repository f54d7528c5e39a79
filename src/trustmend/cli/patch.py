"""`trustmend patch`: plan, show the plan, ask, apply, verify."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trustmend.certificate import printable
from trustmend.cli import changing, finding, options
from trustmend.cli.changing import Desk
from trustmend.cli.options import Format
from trustmend.errors import BundleError, Exit, UsageError
from trustmend.host import Host
from trustmend.model import Family, Kind

if TYPE_CHECKING:
    from datetime import datetime

    from trustmend.audit import Judged
    from trustmend.bundle import Bundle
    from trustmend.change.apply import Result
    from trustmend.change.state import Lock
    from trustmend.cli.app import Settings
    from trustmend.plan import Plan, Step, Wishes
    from trustmend.restarts import Running

EXITS = (
    "Exit codes: 0 done, or nothing to do; 2 usage; 3 --dry-run: changes are pending; 4 some store was not changed and "
    "is as it was, the rest is done; 5 hands are needed; 6 refused, nothing was changed; 130 interrupted."
)


def patch(
    ctx: typer.Context,
    *,
    paths: options.Paths = None,
    bundle: options.Bundles = None,
    at: options.At = None,
    scan: options.Scan = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Stop after the plan.")] = False,
    yes: options.Yes = False,
    complete: Annotated[
        bool, typer.Option("--complete", help="Also stores that trust the chains and lack a certificate.")
    ] = False,
    roots_only: Annotated[bool, typer.Option("--roots-only", help="Leave the intermediates out.")] = False,
    kind: Annotated[
        str | None,
        typer.Option(metavar="KIND,...", help="Only these families or kinds: os, python, java, jks, pem-bundle ..."),
    ] = None,
    client_auth: Annotated[
        bool, typer.Option("--allow-client-auth", help="Also stores that verify clients, where a PATH names them.")
    ] = False,
    allow_chroot: Annotated[
        bool, typer.Option("--allow-chroot", help="With --root: run that root's own update command inside it.")
    ] = False,
    password_file: options.PasswordFile = None,
    form: options.FormatOption = Format.TABLE,
    json: options.JsonFlag = False,
    output: options.Output = None,
) -> int:
    """Put the bundle's certificates into the stores that refuse its chains: shows the plan, asks, and keeps backups."""
    from trustmend.plan import Wishes

    settings: Settings = ctx.obj
    host = Host.of(settings.root)
    asked = _Asked(
        where=finding.Where(paths or [], scan or [], False, password_file, everything=False, beside=True),
        bundles=_installable(options.names(bundle), host),
        when=options.moment(at, host),
        wishes=Wishes(complete, roots_only, client_auth, _families(kind)),
        allow_chroot=allow_chroot,
    )
    show = _Show(settings, as_json=json or form is Format.JSON, output=output)
    desk = Desk.of(settings, host)
    if dry_run:
        planned = _plan(desk, asked)
        show.plan(planned, desk, to_stdout=True)
        return _without_change(planned.plan) if not planned.plan.steps else Exit.GAPS
    with desk.locked() as lock:
        desk.recover(lock)
        planned = _plan(desk, asked)
        show.plan(planned, desk, to_stdout=False)
        if not planned.plan.steps:
            show.result(planned.document([], "planned", []), changed=False)
            return _without_change(planned.plan)
        changing.confirm("Make these changes?", yes=yes)
        return _apply(planned, desk, lock, show)


@dataclass(frozen=True)
class _Asked:
    """What the command line asks for."""

    where: finding.Where
    bundles: list[Bundle]
    when: datetime
    wishes: Wishes
    allow_chroot: bool


@dataclass(frozen=True)
class _Planned:
    """A plan, and what it was made from."""

    plan: Plan
    begin: dict[str, Any]
    judged: list[Judged]

    def document(self, results: Sequence[Result], state: str, restarts: Sequence[Running]) -> dict[str, Any]:
        """It as JSON, with what came of it."""
        from trustmend.report import change_json

        rows = [
            {"state": one.state, "error": one.error, "swaps": [swap.to_json() for swap in one.swaps]} for one in results
        ]
        return change_json.document(self.begin, state, rows, restarts=restarts)


def _families(kinds: str | None) -> frozenset[str]:
    """The families and kinds that `--kind` names. Raises UsageError."""
    if kinds is None:
        return frozenset()
    known = {*(family.value for family in Family), *(kind.value for kind in Kind)}
    found = {word.strip() for word in kinds.split(",") if word.strip()}
    if unknown := sorted(found - known):
        raise UsageError(f"`{printable(unknown[0])}` is no kind of store", hint=f"there are {', '.join(sorted(known))}")
    return frozenset(found)


def _installable(names: Sequence[str], host: Host) -> list[Bundle]:
    """The bundles, fit to be installed now. Raises BundleError."""
    from trustmend import bundle

    found = finding.load_bundles(names, host, to_install=True)
    for one in found:
        if problems := bundle.check_dates(one, host.now):
            hint = "is the clock right? else the bundle is out of date: get a newer one"
            raise BundleError(f"the bundle `{one.name}` is not installed: {problems[0]}", hint=hint)
    return found


def _plan(desk: Desk, asked: _Asked) -> _Planned:
    """Find, read, judge, and decide."""
    from trustmend import planning
    from trustmend.change.facts import Surroundings
    from trustmend.report import change_json

    host, where = desk.host, asked.where
    locations = finding.locate(desk.settings, host, where)
    stores = finding.read_located(host, where, locations)
    judged = finding.judge_stores(stores, asked.bundles, asked.when)
    around = Surroundings(
        host,
        desk.hands.files,
        judged,
        options.password(where.password_file, host),
        finding.keytools(locations),
        asked.allow_chroot,
    )
    chosen = [j for j in judged if j.store.by_user] if where.paths else judged
    made = planning.make(chosen, asked.bundles, asked.when, asked.wishes, around.of_store, around.of_system)
    identifier = desk.state.new_id(host.now)
    return _Planned(made, change_json.begin(made, identifier, host.root, host.now), judged)


def _without_change(plan: Plan) -> int:
    """The exit code where there is nothing to do."""
    return Exit.REFUSED if plan.cannot_fix else Exit.OK


def _apply(planned: _Planned, desk: Desk, lock: Lock, show: _Show) -> int:
    """Make the change."""
    from trustmend.change import apply
    from trustmend.change.journal import Journal
    from trustmend.change.work import Context
    from trustmend.restarts import running

    try:
        journal = Journal.create(f"{desk.state.changes}/{planned.begin['id']}", desk.state.disk, planned.begin)
    except OSError as problem:
        from trustmend.errors import RefusedError

        raise RefusedError(
            f"the state folder {printable(desk.state.path)} cannot be written: {problem.strerror}; nothing was changed",
            hint="make room there, or give another with --state-dir",
        ) from problem
    context = Context(desk.host, desk.hands, journal, (lock.descriptor,), desk.say)

    def artifacts(step: Step) -> list[Judged]:
        return [j for j in planned.judged if j.store.source is not None and j.store.source == step.path]

    results = apply.apply(planned.plan, artifacts, context, show.step(desk.say))
    touched = [judged.store for one in results if one.state == "applied" for judged in one.step.stores]
    document = planned.document(results, apply.state_of(results), running(desk.host, touched))
    show.result(document, changed=True)
    return _exit_code(results, planned.plan)


def _exit_code(results: Sequence[Result], plan: Plan) -> int:
    states = {one.state for one in results}
    if "broken" in states:
        return Exit.HANDS_NEEDED
    if states == {"applied"}:
        return Exit.PARTIAL if plan.cannot_fix else Exit.OK
    if "applied" not in states and all(one.drifted for one in results):
        return Exit.REFUSED
    return Exit.PARTIAL


@dataclass(frozen=True)
class _Show:
    """Where the plan and the results go: the answer to stdout, all else to stderr."""

    settings: Settings
    as_json: bool
    output: str | None

    def plan(self, planned: _Planned, desk: Desk, *, to_stdout: bool) -> None:
        """The plan: the answer of a dry run, else for the one who is asked."""
        from trustmend import plan_words
        from trustmend.report import change_text

        paint = options.paint(self.settings, self.output)
        backups = f"{desk.state.changes}/{planned.begin['id']}"
        lines = list(
            change_text.plan_lines(
                planned.begin,
                plan_words.upgrades(planned.plan),
                plan_words.remarks(planned.plan),
                paint,
                backups=backups,
            )
        )
        if not planned.plan.steps:
            lines[:0] = (
                ["There is nothing to change."] if not lines else ["There is nothing that could be changed here."]
            )
        if to_stdout and self.as_json:
            options.write([options.as_json(planned.document([], "planned", []))], self.output)
        elif to_stdout:
            options.write(lines, self.output)
        elif self.as_json or self.output is not None or planned.plan.steps:
            for line in lines:
                options.say(self.settings, line)
        else:
            options.write(lines, None)

    def step(self, say: Callable[[str], None]) -> Callable[[Result], None]:
        """What is called after each step."""

        def report(result: Result) -> None:
            if result.error:
                say(f"  {result.state}: {result.error}")

        return report

    def result(self, document: dict[str, Any], *, changed: bool) -> None:
        """What came of it."""
        from trustmend.report import change_text

        if self.as_json:
            options.write([options.as_json(document)], self.output)
        elif changed:
            paint = options.paint(self.settings, self.output)
            options.write(change_text.result_lines(document, paint, way_back=True), self.output)
