"""Making a planned change, step by step: journal, backup, new content proved, put in place, looked at again.

1. A step that fails is undone, and the others go on; a step that is interrupted is undone, and nothing else begins.
2. Nothing is put in the place of a store that is not the one which the plan saw.
3. Whatever ends this process, at whatever point: the journal says what had begun, and the backups are whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from trustmend.audit import Judged, judge
from trustmend.change import build, system, undo
from trustmend.change.files import State
from trustmend.change.journal import Json
from trustmend.change.work import Context, Swap
from trustmend.errors import ChangedError, StepError, TrustError
from trustmend.model import Location, Verdict
from trustmend.plan import Method, Plan, Step
from trustmend.stores import Reading, read_stores


@dataclass(frozen=True)
class Result:
    """What came of one step: `state` is `applied`, `failed`, `interrupted` or, where undoing failed, `broken`."""

    step: Step
    state: str
    swaps: tuple[Swap, ...] = ()
    error: str | None = None
    drifted: bool = False  # the store was changed by somebody else meanwhile


def apply(
    plan: Plan, artifacts: Callable[[Step], Sequence[Judged]], context: Context, report: Callable[[Result], None]
) -> list[Result]:
    """Make the plan; the journal has its `begin` line already and gets its `end` line here.

    Args:
        plan: what is to be done.
        artifacts: the stores that are made from a step's source.
        context: the host, the journal and the hands.
        report: called after each step.

    Returns:
        The results of the steps that were begun, in their order.

    Raises:
        KeyboardInterrupt: Ctrl-C; the step at hand is undone and the journal is closed.
    """
    results: list[Result] = []
    try:
        for number, step in enumerate(plan.steps):
            results.append(_step(number, step, plan, artifacts(step), context))
            report(results[-1])
    except BaseException:
        _end(context, "interrupted")
        raise
    _end(context, state_of(results))
    return results


def _end(context: Context, state: str) -> None:
    remove_work(context)
    context.journal.write("end", state=state)


def remove_work(context: Context) -> None:
    """Remove the folder that keytool's copies were in; it is empty, unless a run was cut off."""
    folder = f"{context.journal.folder}/work"
    if not os.path.isdir(folder):
        return
    above = os.open(context.journal.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    inner = os.open("work", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        for name in os.listdir(inner):
            context.disk.unlink(name, dir_fd=inner)
        context.disk.rmdir("work", dir_fd=above)
    except OSError:
        pass  # our own folder, 0700: what is left there harms nobody
    finally:
        os.close(inner)
        os.close(above)


def state_of(results: Sequence[Result]) -> str:
    """The state of a whole change."""
    states = {result.state for result in results}
    if "broken" in states:
        return "failed"
    if states == {"applied"}:
        return "applied"
    return "partial" if "applied" in states else "failed"


def _step(number: int, step: Step, plan: Plan, artifacts: Sequence[Judged], context: Context) -> Result:
    """One step, done or undone."""
    context.say(f"{step.path}")
    try:
        swaps = system.our_swaps(step, context) if step.method is Method.SYSTEM else _built(step, plan, context)
        context.keep(swaps)
        line: Json = {"step": number, "method": step.method.value, "swaps": [swap.to_json() for swap in swaps]}
        watched: dict[str, State] = {}
        if step.method is Method.SYSTEM and step.system is not None:
            watched = system.watch(step.system.system, context)
            for path, state in watched.items():
                if state.kind == "file":
                    context.keep_file(path, state)
            line |= {
                "system": step.system.system.name,
                "watched": {path: state.to_json() for path, state in watched.items()},
            }
        context.journal.write("intend", **line)
    except (TrustError, OSError) as problem:
        return _failed(number, step, problem, context)
    try:
        for swap in swaps:
            context.put(swap)
        if step.method is Method.SYSTEM and step.system is not None:
            swaps = [*swaps, *_by_command(step, plan, artifacts, watched, context)]
        else:
            _look_again(step, plan, context)
        context.journal.write("done", step=number, swaps=[swap.to_json() for swap in swaps])
    except (TrustError, OSError) as problem:
        return _undone(number, step, line, problem, context)
    except BaseException as problem:
        _undone(number, step, line, StepError("interrupted"), context)
        raise problem from None
    return Result(step, "applied", tuple(swaps))


def _built(step: Step, plan: Plan, context: Context) -> list[Swap]:
    return build.swaps(step, context, plan.bundles, plan.at)


def _by_command(
    step: Step, plan: Plan, artifacts: Sequence[Judged], watched: dict[str, State], context: Context
) -> list[Swap]:
    """Run the system's command and look at all that it has made. Raises StepError."""
    if step.system is None:
        return []
    done = system.run_command(step.system.system, context)
    after = system.watch(step.system.system, context)
    problems = system.check(step, artifacts, plan.bundles, plan.at, context)
    if problems:
        said = system.complaints(done)
        name = os.path.basename(step.system.system.commands[0][0])
        raise StepError("; ".join([*problems, *([f"{name} said: {said}"] if said else [])]))
    return list(system.changed(watched, after))


def _look_again(step: Step, plan: Plan, context: Context) -> None:
    """Read the store where it stands, as an audit does. Raises StepError where the verdict is not the promised one."""
    before = step.stores[0].store
    location = Location(before.path, before.family, before.role, before.uses, named=True, by_user=True)
    found = read_stores(context.host, [location], Reading(step.facts.password))
    if not found:
        raise StepError("it is not there any more")
    then = judge(found[0], plan.bundles, plan.at)
    if then.verdict is not Verdict.TRUSTED:
        raise StepError("read again where it stands, it does not trust the chains")


def _failed(number: int, step: Step, problem: Exception, context: Context, left: Sequence[str] = ()) -> Result:
    words = problem.message if isinstance(problem, TrustError) else str(problem)
    context.journal.write("failed", step=number, error=words, left=list(left))
    return Result(step, "failed", error=words, drifted=isinstance(problem, ChangedError))


def _undone(number: int, step: Step, line: Json, problem: Exception, context: Context) -> Result:
    """Undo a step that has begun, and say so."""
    try:
        left = undo.step(line, None, context)
    except (TrustError, OSError) as worse:
        left = [worse.message if isinstance(worse, TrustError) else str(worse)]
    result = _failed(number, step, problem, context, left)
    if left:
        return replace(result, state="broken", error=f"{result.error}; and it could not be put back: {'; '.join(left)}")
    return result
