"""`trustmend bundle list`, `show`, `verify` and `new`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from trustmend.certificate import printable
from trustmend.cli import options
from trustmend.host import Host

if TYPE_CHECKING:
    from trustmend.bundle import Bundle, Comparison
    from trustmend.certificate import Certificate
    from trustmend.cli.app import Settings

EXITS = "Exit codes: 0 done; 2 usage; 6 refused: the bundle is not what it promises, or cannot be made."
DEFAULT = "sectigo-2019"

app = typer.Typer(
    help="The bundles: what a vendor's change asks of trust stores.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=EXITS,
)
Name = Annotated[str, typer.Argument(metavar="[NAME|DIR]", help="A bundle's name, or its folder.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME|DIR]...", help="Bundles. Default: all with a name.")]


@app.command("list", epilog=EXITS, short_help="List the bundles that have a name.")
def list_(ctx: typer.Context, *, json: options.JsonFlag = False, output: options.Output = None) -> int:
    """List the bundles that have a name: the built-in ones, the site's and your own."""
    from trustmend import bundle
    from trustmend.report import bundle_text

    settings: Settings = ctx.obj
    bundles = bundle.load_all()
    for path in bundle.shadowed():
        options.say(settings, f"note: `{printable(path)}` is not used: its name belongs to a built-in bundle")
    if json:
        document = {"schema": "trustmend/bundles/1", "bundles": [bundle_text.document(one) for one in bundles]}
        options.write([options.as_json(document)], output)
    else:
        options.write(bundle_text.list_lines(bundles, DEFAULT), output)
    return 0


@app.command(epilog=EXITS, short_help="Show one: notice, deadline, chains, certificates.")
def show(
    name: Name = DEFAULT,
    *,
    json: options.JsonFlag = False,
    output: options.Output = None,
) -> int:
    """Show one bundle: the vendor's notice, deadline, endpoints, chains and certificates."""
    from trustmend import bundle
    from trustmend.report import bundle_text

    found = bundle.load(name)
    options.write([options.as_json(bundle_text.document(found))] if json else bundle_text.show_lines(found), output)
    return 0


@app.command(epilog=EXITS, short_help="Check pins, signatures and dates.")
def verify(ctx: typer.Context, names: Names = None, *, output: options.Output = None) -> int:
    """Check pins, signatures and dates, and compare with the copies that this host trusts already."""
    from trustmend import bundle

    settings: Settings = ctx.obj
    host = Host.of(settings.root)
    trusted = _trusted(host)
    lines: list[str] = []
    for number, name in enumerate(names or bundle.names()):
        found = bundle.load(name)
        compared: list[Comparison] = bundle.compare(found, trusted)
        lines += ["", *_verified(found, compared, host)] if number else _verified(found, compared, host)
    options.write(lines, output)
    return 0


def _verified(found: Bundle, compared: list[Comparison], host: Host) -> list[str]:
    from trustmend import bundle
    from trustmend.report import bundle_text

    return list(bundle_text.verify_lines(found, bundle.check_dates(found, host.now), compared))


def _trusted(host: Host) -> dict[str, list[Certificate]]:
    """path -> certificates of the system's own stores and of the certifi that this program has."""
    import certifi

    from trustmend.model import Family, Location, Role
    from trustmend.places import os_store
    from trustmend.stores import Reading, read_stores

    nothing_else: dict[str, list[str]] = {"openssl": [], "pythons": []}
    places = list(os_store.locations(host, nothing_else))
    stores = read_stores(host, places, Reading())
    if not host.foreign:
        stores += read_stores(host, [Location(certifi.where(), Family.PYTHON, Role.PUBLIC)], Reading())
    return {store.path: [entry.certificate for entry in store.content.entries] for store in stores}


@app.command(epilog=EXITS, short_help="Make a bundle from files of CA certificates.")
def new(
    name: Annotated[str, typer.Argument(help="What to call it: a-z, 0-9, `.`, `_` and `-`.")],
    more: Annotated[list[str] | None, typer.Argument(metavar="[FILE]...", help="More files, as with --from.")] = None,
    *,
    files: Annotated[
        list[str] | None, typer.Option("--from", metavar="FILE", help="A file of CA certificates (repeatable).")
    ] = None,
    title: Annotated[str, typer.Option(metavar="TEXT", help="One line for people. Default: the name.")] = "",
    source: Annotated[str, typer.Option(metavar="TEXT", help="Where it comes from: the vendor's notice.")] = "",
    deadline: Annotated[
        str | None, typer.Option(metavar="DATE", help="When servers change: 2026-03-01 (00:00 UTC) or RFC 3339.")
    ] = None,
    endpoints: Annotated[
        list[str] | None, typer.Option("--endpoint", metavar="HOST", help="Whose servers change (repeatable).")
    ] = None,
    into: Annotated[
        str | None, typer.Option(metavar="DIR", help="Make it in this folder. Default: your configuration folder.")
    ] = None,
) -> int:
    """Make a bundle from CA certificates of any vendor: roots, cross-signs and intermediates, in any order."""
    from trustmend import bundle_new
    from trustmend.bundle_new import Wanted

    when = None if deadline is None else options.moment(deadline, Host())
    wanted = Wanted(name, title, source, when, tuple(endpoints or ()))
    folder = bundle_new.create(wanted, [*(files or ()), *(more or ())], into)
    found = f"--bundle {name}" if into is None else f"--bundle {folder}"
    said = (f"made {folder}", f"look at it: trustmend bundle show {folder}", f"use it: trustmend audit {found}")
    options.write(map(printable, said), None)
    return 0
