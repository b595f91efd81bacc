"""`mql export` and `mql import`: a company's whole state as one file."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from connector.cli import opening
from connector.cli.opening import Json, open_company

if TYPE_CHECKING:
    from connector.pipeline.archive import Manifest
    from connector.pipeline.carry import Imported


def export(company: str, file: Path | None = None, /, *, json: Json = False) -> int:
    """Write everything the store has of a company to one file. It holds personal data, and no tokens.

    Args:
        company: Whose state.
        file: Where to; COMPANY-DATE.mql.zip when it is left out. What exists is never replaced.
    """
    from connector import wiring
    from connector.pipeline.carry import export_state
    from connector.settings import load_config
    from connector.store import open_store

    config, at = load_config(opening.config_path), wiring.system_clock()
    path = file or Path(f"{company}-{at:%Y-%m-%d}.mql.zip")
    with open_store(config.store_url) as store, _leaving_no_files():
        manifest = export_state(store, company, path, at)
    if json:
        from connector.cli.as_json import print_json

        print_json({"file": str(path), "bytes": path.stat().st_size, **archive_as_json(manifest)})
        return 0
    print(f"{path}: {manifest.row_count:,} rows of {company}, {path.stat().st_size:,} bytes")
    print("  It holds personal data and the key of erased addresses: keep it where only you can read it, and delete it "
          "when it is no longer needed.")
    print("  Never let two stores synchronise one company: end it here before it begins elsewhere (docs/service.md).")
    return 0


def import_(
    file: Path, /, *, as_: Annotated[str, Parameter(name="--as")] = "",
    replace: Annotated[bool, Parameter(negative="")] = False, json: Json = False,
) -> int:
    """Check a file of `mql export` from its beginning to its end, and store all of it, or nothing.

    Args:
        file: The archive.
        as_: The company's name here, where it is not the one in the archive.
        replace: Delete what the store has of the company, in the same transaction.
    """
    from connector.pipeline.carry import import_state, open_archive

    with open_archive(file) as archive:
        name = as_ or archive.manifest.company
    with open_company(name) as opened, _leaving_no_files():
        imported = import_state(opened, file, replaces=replace)
    if json:
        from connector.cli.as_json import print_json

        print_json({"as": name, "run_offset": imported.run_offset, **archive_as_json(imported.manifest)})
    else:
        _show(name, imported)
    return 0


@contextmanager
def _leaving_no_files() -> Iterator[None]:
    """Have SIGTERM, and a terminal that goes away, end this as Ctrl-C does: half-made files hold personal data."""
    ours = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    for one in ours:
        signal.signal(one, signal.default_int_handler)
    try:
        yield
    finally:
        for one in ours:
            signal.signal(one, signal.SIG_DFL)


def archive_as_json(manifest: Manifest) -> dict[str, Any]:
    """Return what an archive holds."""
    return {
        "company": manifest.company, "made_at": manifest.made_at, "schema_revision": manifest.schema_revision,
        "product_version": manifest.product_version, "row_count": manifest.row_count,
        "tables": {name: entry.rows for name, entry in manifest.tables.items()},
    }


def _show(name: str, imported: Imported) -> None:
    manifest = imported.manifest
    was = "" if manifest.company == name else f", which was called {manifest.company}"
    as_of = f"{manifest.moment:%Y-%m-%d %H:%M:%S} UTC"
    print(f"{manifest.row_count:,} rows are the state of {name} now{was}, as of {as_of}")
    if imported.is_upgraded:
        print(f"  They were of schema {manifest.schema_revision}, and were upgraded on the way.")
    if imported.run_offset:
        print(f"  Numbers of runs were given away here: run 1 of the archive is run {1 + imported.run_offset} here.")
    print(f"  Make sure that the store it comes from does not synchronise {manifest.company} any more.")
