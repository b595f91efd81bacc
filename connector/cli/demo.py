"""`mql demo`: the whole job on two sandbox CRMs in a temporary folder, told on one page."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from connector.cli.show import console, in_zone, progress_on_terminal, safe, show_document, show_sync
from connector.errors import ConfigError
from connector.pipeline.company import Company
from connector.pipeline.run import RunReport, sync
from connector.records import Change, ChangeKind
from connector.sandbox.serve import SandboxPair
from connector.settings import Config, Settings
from connector.wiring import open_company

COMPANIES = ("mirai", "acme")


def run_demo() -> int:
    """Run the demo and return its exit code; everything it made is gone afterwards, also after Ctrl-C."""
    out = console()
    started = time.monotonic()
    with _temporary_folder() as folder, SandboxPair(folder / "sandbox") as pair:
        out.print("[bold]1. Two sandbox CRMs on loopback[/], spoken to by the vendors' own SDKs over real HTTP")
        for crm, url in pair.urls.items():
            out.print(f"   {crm:<11}{url}")
        config = _demo_config(folder, pair.urls)
        out.print("\n[bold]2. First sync[/]: pull → normalise → identity → score → decide → write back")
        reports = {name: _sync(out, config, name) for name in COMPANIES}
        out.print("\n[bold]3. What the sales rep sees[/]")
        for name in COMPANIES:
            _show_handoff(out, config, name, reports[name])
        out.print("[bold]4. Second sync[/]: only our own writes come back, so nothing may be written")
        before = _write_requests(pair)
        for name in COMPANIES:
            _sync(out, config, name)
        writes = _write_requests(pair) - before
        out.print(f"   write requests in the CRMs' own request logs: [bold]{writes}[/]")
    out.print(f"\nDone in {time.monotonic() - started:.0f} s; everything the demo made has been removed.")
    out.print("\n[bold]Next[/]")
    out.print("   cp config.example.toml config.toml     works as it is against the sandbox")
    out.print("   mql sandbox                            in a terminal of its own")
    out.print("   mql plan mirai                         every write, before → after")
    out.print("   mql sync mirai                         and do it")
    out.print("   mappings/mirai.toml                    change the points and the version, then")
    out.print("   mql definition mirai publish           put them in force, and plan again")
    return 0 if writes == 0 else 1


def _sync(out: Console, config: Config, name: str) -> RunReport:
    with open_company(config, name) as company:
        with progress_on_terminal() as progress:
            report = sync(company, progress)
        show_sync(out, report, company.mapping)
    return report


def _show_handoff(out: Console, config: Config, name: str, report: RunReport) -> None:
    """Show one task and one note: those of the person with the most records, so that both CRMs come in."""
    if not report.handed_off:
        return
    judged = max(report.handed_off, key=lambda j: (len(j.person.contacts), j.person.person_id))
    with open_company(config, name) as company:
        for kind in (ChangeKind.TASK, ChangeKind.NOTE):
            change = next((c for c in judged.changes if c.kind is kind), None)
            if change is not None:
                _show_card(out, company, change)


def _show_card(out: Console, company: Company, change: Change) -> None:
    width = min(out.width, 100)
    sheet = Console(highlight=False, emoji=False, width=width - 4, color_system=None)
    with sheet.capture() as captured:
        if change.document is not None:
            show_document(sheet, change.document)
    due = f", due {in_zone(change.due_at, company.mapping)}" if change.due_at else ""
    title = f"{change.kind.value} in {change.crm}, about {safe(change.record)}{due}"
    out.print(Panel(Text(captured.get().rstrip()), title=title, title_align="left", width=width))


def _write_requests(pair: SandboxPair) -> int:
    """Return how many requests that change something the CRMs have logged, by their own account of themselves."""
    reading = ("/search", "/batch/read", "/token", "/query", "/composite")
    count = 0
    for url in pair.urls.values():
        log: list[dict[str, Any]] = requests.get(f"{url}/_sandbox/requests", timeout=30).json()["requests"]
        count += sum(
            r["method"] != "GET" and not any(r["path"].endswith(end) for end in reading) for r in log
        )
    return count


def _demo_config(folder: Path, urls: dict[str, str]) -> Config:
    mappings = Path(__file__).parents[2] / "mappings"
    if not mappings.is_dir():
        raise ConfigError(
            [f"{mappings}: no such folder: the demo uses the repository's mappings"],
            hint="Run it from a clone of the repository: make demo",
        )
    content: dict[str, Any] = {
        "store": {"url": f"sqlite:///{folder / 'mql.db'}"},
        "companies": {
            name: {
                "mapping": str(mappings / f"{name}.toml"),
                "hubspot": {"base_url": urls["hubspot"], "token": f"pat-sandbox-{name}"},
                "salesforce": {
                    "base_url": urls["salesforce"],
                    "client_id": f"sandbox-{name}", "client_secret": f"secret-sandbox-{name}",
                },
            }
            for name in COMPANIES
        },
    }
    return Config(path=folder / "demo.toml", settings=Settings(**content), in_file=content)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mql-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
