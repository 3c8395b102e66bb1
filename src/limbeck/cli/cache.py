"""The verbs `cache ls` and `cache rm`."""

from typing import Annotated, Any

import typer

from limbeck.cli.app import verb
from limbeck.cli.display import console, show_table
from limbeck.errors import UserError

cache = typer.Typer(
    help="What is kept between runs: teachers' outputs, decoded images, networks that score.", no_args_is_help=True
)
Kind = Annotated[
    str | None,
    typer.Option(
        help="views, features, whitening, decoded, arrow, digests, streams, select, experts, autotune or scripts; by "
        "default all of them."
    ),
]


def cache_ls(kind: Kind = None) -> None:
    """List what the cache holds, where it is and how much room it takes."""
    from limbeck.caching import cache_entries, cache_folder

    entries = cache_entries(kind)
    console.print(
        f"{cache_folder()}: {sum(entry.bytes for entry in entries) / 1e6:,.1f} MB", markup=False, soft_wrap=True
    )
    rows = [
        [
            entry.kind,
            entry.key[:10],
            f"{entry.bytes / 1e6:,.1f}",
            f"{entry.used:%Y-%m-%d %H:%M}",
            _about_cached(entry.about),
        ]
        for entry in entries
    ]
    if rows:
        show_table("cache", ["kind", "key", "MB", "used", "what"], rows, numbers=(2,))


def cache_rm(
    keys: Annotated[
        list[str] | None, typer.Argument(help="Keys as `limbeck cache ls` shows them; required unless --all is given.")
    ] = None,
    kind: Kind = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Everything of limbeck's, or of --kind, and what killed processes began to write. Other files stay.",
        ),
    ] = False,
) -> None:
    """Delete parts of the cache; limbeck makes again what it needs."""
    from limbeck.caching import abandoned_entries, cache_entries, matching_entries, remove_entries

    if bool(keys) == everything:
        raise UserError("give the KEYS to delete, or --all; `limbeck cache ls` lists them.")
    entries = cache_entries(kind) if everything else matching_entries(keys or [], kind)
    abandoned = abandoned_entries(kind) if everything else []
    freed = remove_entries([*entries, *abandoned])
    also = f" and {len(abandoned)} that killed processes began to write" if abandoned else ""
    console.print(f"deleted {len(entries)} of the cache's entries{also}, {freed / 1e6:,.1f} MB", markup=False)


def _about_cached(about: dict[str, Any]) -> str:
    if "teacher" in about:
        views = f"{about['views_per_image']} view{'s' if about['views_per_image'] > 1 else ''}"
        data = f" on {about['data']}" if "data" in about else ""  # of folders that were one set's
        return f"{about['teacher']}{data}, {about['images']:,} images x {views}, {about['precision']}"
    return " on ".join(str(about[key]) for key in ("network", "images", "name") if key in about)


verb(cache_ls, of=cache, name="ls")
verb(cache_rm, of=cache, name="rm")
