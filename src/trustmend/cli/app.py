"""The `trustmend` command: global options, the commands, and the one place that prints errors and exits."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Annotated, cast

import typer

from trustmend import __version__
from trustmend.certificate import printable
from trustmend.cli import audit, bundle, patch, rollback
from trustmend.errors import Exit, TrustError

# Recent typer carries its own copy of click, older ones use the package; this is ClickException of either.
ParserError = cast("type[Exception]", typer.BadParameter.__mro__[2])


@dataclass(slots=True)
class Settings:
    """The global options, handed to every command as `ctx.obj`."""

    root: str | None = None
    state_dir: str | None = None
    config: str | None = None
    color: bool = True
    verbosity: int = 0  # -1 quiet, 0, 1 verbose


app = typer.Typer(
    name="trustmend",
    no_args_is_help=True,
    add_completion=False,  # it writes into the shell's start file, and this tool writes only what it is told to
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    help="Find every trust store on this host, say which will refuse a CA's new chain and why, mend exactly those, "
    "and take it back.",
    epilog="Exit codes: 0 all counted stores trust the chains, or it is done; 2 usage; 3 some do not, or would "
    "be changed; 4 some could not be read or changed; 5 hands are needed; 6 refused, nothing changed; 130 interrupted.",
)


def _show_version(*, wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"trustmend {__version__}\n")
        raise typer.Exit


@app.callback()
def global_options(
    ctx: typer.Context,
    *,
    root: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Work on another root: a chroot, a mounted disk, an unpacked image."),
    ] = None,
    state_dir: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Where changes and their backups are kept. Default: /var/lib/trustmend for root, "
            "~/.local/state/trustmend for others.",
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Read this configuration, not /etc/xdg/trustmend/config.toml and ~/.config/trustmend/config.toml.",
        ),
    ] = None,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours, as with NO_COLOR.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only errors on stderr.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=lambda value: _show_version(wanted=value), is_eager=True, help="Say the version."
        ),
    ] = False,
) -> None:
    """Keep the global options for the command that follows."""
    ctx.obj = Settings(
        root=root,
        state_dir=state_dir,
        config=config,
        color=not (no_color or os.environ.get("NO_COLOR")),
        verbosity=-1 if quiet else int(verbose),
    )


app.command(epilog=audit.EXITS, short_help="Find the trust stores and judge each.")(audit.audit)
app.command(epilog=audit.STORES_EXITS, short_help="List the trust stores and who reads them.")(audit.stores)
app.command(epilog=audit.EXITS, short_help="Show one store, and why its verdict is what it is.")(audit.show)
app.command(epilog=patch.EXITS, short_help="Put the bundle's certificates into the stores that refuse its chains.")(
    patch.patch
)
app.command(epilog=rollback.EXITS, short_help="Take a change back.")(rollback.rollback)
app.command(epilog=rollback.HISTORY_EXITS, short_help="List the changes that were made, or tell all of one.")(
    rollback.history
)
app.command(epilog=rollback.EXITS, short_help="Put right a change that was cut off.")(rollback.recover)
app.command(epilog=rollback.HISTORY_EXITS, short_help="Drop the backups of changes.")(rollback.forget)
app.add_typer(bundle.app, name="bundle")


def run(argv: list[str]) -> int:
    """Run one command line; every expected error ends here as two lines on stderr.

    Returns:
        The exit code, see `errors.Exit`.
    """
    try:
        result = app(argv, prog_name="trustmend", standalone_mode=False)
    except ParserError as problem:
        problem.show()  # type: ignore[attr-defined]  # ClickException has it
        return int(Exit.USAGE)
    except TrustError as problem:
        sys.stderr.write(f"error: {printable(problem.message)}\n")
        if problem.hint:
            sys.stderr.write(f"\nhint: {printable(problem.hint)}\n")
        return int(problem.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("interrupted; nothing was changed\n")
        return int(Exit.INTERRUPTED)
    return int(result or 0)
