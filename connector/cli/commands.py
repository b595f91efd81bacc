"""The commands of `mql`. Heavy rooms are imported inside the commands that need them, so that --help stays quick."""

from __future__ import annotations

import importlib.metadata
import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from connector.cli import opening
from connector.cli.opening import Json, open_company

_VERSION = importlib.metadata.version("mql-connector")

app = App(
    name="mql",
    help="Pull leads from HubSpot and Salesforce, score them with one core, hand the MQLs to sales.",
    version=_VERSION,
    version_format="plaintext",
    suppress_keyboard_interrupt=False,
)

app.meta.suppress_keyboard_interrupt = False


@app.meta.default
def _start(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    config: Annotated[Path, Parameter(help="The configuration file.")] = Path("config.toml"),
    debug: Annotated[bool, Parameter(help="Show a traceback where something fails.", negative="")] = False,
    log: Annotated[str, Parameter(help="Write log lines to standard error: info or debug.")] = "",
    log_format: Annotated[str, Parameter(help="How: text or json, one event a line.")] = "",
) -> object:
    """Take the options that every command has, then the command."""
    opening.config_path, opening.log_level, opening.log_format = config, log, log_format
    if log or log_format:
        from connector.cli.logs import configure_logs

        configure_logs(log or "info", log_format or "text")
    return app(tokens, exit_on_error=False, print_error=True, result_action="return_value")


@app.command
def demo() -> int:
    """Show the whole job in a minute: two sandbox CRMs, two companies, and what sales gets. Needs no configuration."""
    from connector.cli.demo import run_demo

    return run_demo()


@app.command
def sandbox(
    *,
    port_hubspot: int = 8101,
    port_salesforce: int = 8102,
    state: Annotated[Path | None, Parameter(help="Keep the state in this folder; without it, it is temporary.")] = None,
    seed: Annotated[list[str] | None, Parameter(help="Seed(s) to load: mirai, acme; all by default.")] = None,
    contacts: Annotated[int | None, Parameter(help="People in each seed's HubSpot account.")] = None,
) -> int:
    """Serve a HubSpot and a Salesforce on loopback, until Ctrl-C or SIGTERM."""
    import signal

    from connector.adapter_kit.sandbox.server import ControlError
    from connector.errors import ConfigError, ConnectorError
    from connector.sandbox.serve import SandboxPair

    if contacts is not None and contacts < 0:
        raise ConfigError([f"--contacts: a number from 0 up, not {contacts}"])
    pair = SandboxPair(state, ports={"hubspot": port_hubspot, "salesforce": port_salesforce}, load=seed,
                       contacts=contacts)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for crm, url in pair.start().urls.items():
            print(f"{crm:<11}{url}", flush=True)
        pair.wait_until_filled()
        print("ready; docs/sandbox.md lists tokens and controls; Ctrl-C ends it.", flush=True)
        while True:
            time.sleep(3600)
    except ControlError as error:
        raise ConfigError([f"--seed: {error}"]) from None
    except OSError as error:
        raise ConnectorError(
            f"the sandbox cannot start: {error.strerror or error}",
            hint="Choose other ports: mql sandbox --port-hubspot 8201 --port-salesforce 8202",
        ) from error
    except KeyboardInterrupt:
        return 0
    finally:
        # A second signal must not leave half of the temporary state behind.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        pair.stop()
        signal.signal(signal.SIGTERM, before)


@app.command
def check(company: str | None = None, /) -> int:
    """Check the configuration, then ask each CRM whether credentials, rights and mapped fields are as they must be."""
    from connector import wiring
    from connector.cli.definition import show_definition_state
    from connector.cli.exposed import exposed_lines
    from connector.cli.show import console, safe, show_check, show_unmatched, show_unused
    from connector.errors import AuthError
    from connector.pipeline.check import check_live
    from connector.pipeline.definitions import draft_notices, unsupported_lines
    from connector.reports.unmatched import unmatched_values
    from connector.reports.unused import unused_names
    from connector.settings import load_config

    config = load_config(opening.config_path)
    checked, out, exit_code = wiring.check_config(config), console(), 0
    wiring.check_notices(config)
    for name in [company] if company else config.settings.companies:
        with wiring.open_company(config, name) as opened:
            for found in check_live(opened):
                is_refused = isinstance(found.error, AuthError)
                place = wiring.where_the_credential_is(name, found.crm, checked[name][1]) if is_refused else ""
                show_check(out, name, found, place)
                exit_code = 2 if found.problems else exit_code or (found.error.exit_code if found.error else 0)
            unsupported = unsupported_lines(opened)
            show_definition_state(out, unsupported, draft_notices(opened))
            exit_code = 2 if unsupported else exit_code
            show_unmatched(out, name, unmatched_values(opened))
            show_unused(out, name, unused_names(opened))
    for line in exposed_lines(config):
        out.print(f"[yellow]·[/] {safe(line)}")
    return exit_code


@app.command
def setup(
    company: str, /, *, dry_run: Annotated[bool, Parameter(negative="")] = False, package: Path | None = None,
) -> int:
    """Create the fields this product writes in the company's CRMs, where they are missing.

    Args:
        dry_run: Only list them.
        package: Create nothing; write a package to this file that an administrator deploys to Salesforce.
    """
    from connector.pipeline.check import missing_figures, packed_figures

    with open_company(company) as opened:
        if package is not None:
            packages = packed_figures(opened)
            for crm, content in packages.items():
                package.write_bytes(content)
                print(f"{crm}: {package} written; docs/commands.md says how it is deployed")
            if not packages:
                print("none of these CRMs takes a package; `mql setup` creates the fields")
            return 0
        for crm, specs in missing_figures(opened, create=not dry_run).items():
            what = "missing" if dry_run else "created"
            print(f"{crm}: {len(specs)} field(s) {what}" if specs else f"{crm}: nothing missing")
            for spec in specs:
                print(f"  {spec.stream} {spec.name} ({spec.type})")
    return 0


@app.command
def sync(
    company: str, /, *, fresh: Annotated[bool, Parameter(negative="")] = False,
    erase_all: Annotated[bool, Parameter(negative="")] = False, approve_over: int | None = None, json: Json = False,
) -> int:
    """Pull what changed, score it, and write the MQLs back.

    Args:
        fresh: Ask also what was read a short time ago (owners, forms and the like).
        erase_all: Erase what the CRMs say is erased, however much it is.
        approve_over: Write nothing when more changes than this wait to be written; else what [sync] approve_over says.
    """
    from connector.cli.show import console, progress_on_terminal, show_sync
    from connector.errors import ConfigError
    from connector.pipeline.run import sync as run_sync

    if approve_over is not None and approve_over < 0:
        raise ConfigError([f"--approve-over: a number from 0 up, not {approve_over}"])
    with open_company(company) as opened:
        with progress_on_terminal() as progress:
            report = run_sync(opened, progress, ask_all=fresh, erase_all=erase_all, approve_over=approve_over)
        if json:
            from connector.cli.as_json import print_json, sync_as_json

            print_json(sync_as_json(report))
        else:
            show_sync(console(), report, opened.mapping)
    return 1 if report.problems else 0


@app.command
def plan(company: str, /, *, json: Json = False, html: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Show every write `sync` would make, field by field, before → after. Writes nothing.

    Args:
        html: Print a page for those who approve it, in the company's language.
    """
    from connector.cli.show import console, progress_on_terminal, show_plan
    from connector.pipeline.run import plan as run_plan

    with open_company(company) as opened:
        with progress_on_terminal() as progress:
            planned = run_plan(opened, progress)
        if json:
            from connector.cli.as_json import plan_as_json, print_json

            print_json(plan_as_json(planned))
        elif html:
            from connector.pipeline.links import read_links
            from connector.reports.plan import render_plan, tell_plan

            print(render_plan(tell_plan(planned, opened.mapping, read_links(opened), opened.clock())))
        else:
            show_plan(console(), planned, opened.mapping)
    return 1 if planned.stopped or planned.unread else 0


@app.command
def estimate(company: str, /, *, json: Json = False) -> int:
    """Tell how many calls the next pull takes, which part of ours that is, and how many are left today."""
    from connector.cli.show import console, show_estimate
    from connector.pipeline.budget import estimate as ask

    with open_company(company) as opened:
        estimates = ask(opened)
        if json:
            from connector.cli.as_json import estimate_as_json, print_json

            print_json(estimate_as_json(company, estimates))
        else:
            show_estimate(console(), company, estimates)
    return 1 if any(estimate.error for estimate in estimates) else 0


# The list of commands says what these do without importing them.
app.command("connector.cli.explain:explain", help="Show one person: every reason with its points, and what is missing.")
app.command("connector.cli.deadlines:deadlines",
            help="List the handoffs that wait for sales: by when, who must act, and why nobody did in time.")
app.command("connector.cli.people:people", help="List people: their records in all CRMs, and what was set aside.")
app.command("connector.cli.score:score",
            help="Show somebody's score as of a moment, with every reason; the same whenever it is asked for.")
app.command("connector.cli.backfill:backfill",
            help="Read what the CRMs hold from before, in parts beside the scheduled runs; hand nobody off unless "
                 "asked to.")
app.command("connector.cli.definition:definition",
            help="Tell what makes an MQL (show), what publishing would change (diff), put it in force (publish), "
                 "list it (history).\n\nScores are judged by the definition published last; an edited mapping file "
                 "changes nothing until it is published.")
app.command("connector.cli.notices:notices",
            help="List what people were not told yet by chat or e-mail, and why; --test tries whether they can be.")
app.command("connector.cli.runs:app", name="runs",
            help="List a company's last runs; `mql runs show RUN` tells every write of one, before → after.")
app.command("connector.cli.carry:export", name="export",
            help="Write everything the store has of a company to one file, for another store or as a copy.")
app.command("connector.cli.carry:import_", name="import",
            help="Check a file of `mql export`, and store all of it as the company's state, or nothing.")
app.command("connector.cli.erase:erase", name="erase",
            help="Erase a human from the store for good, and prove it: no CRM is written to, none brings them back.")
app.command("connector.cli.db:app", name="db", help="Check or upgrade the store's schema: db check, db upgrade.")
app.command("connector.cli.outbox:outbox", help="List what waits to be written, or what was refused and why.")
app.command("connector.cli.outbox:retry", help="Plan refused changes again, once what they were refused for is mended.")
app.command("connector.cli.undo:undo",
            help="Take back what a run wrote, where nobody changed it since; --plan shows it and writes nothing.")
app.command("connector.cli.reconcile:reconcile",
            help="Compare marketing's MQLs with what sales can see; name every difference and what mends it.")
app.command("connector.cli.serve:serve",
            help="Synchronise every company by its schedule, until SIGTERM or Ctrl-C; SIGHUP reads the configuration "
                 "anew.")
app.command("connector.cli.status:status",
            help="Tell how the companies do: state, last and next run, freshness, outbox, calls; asks the store only.")
app.command("connector.cli.worker:worker",
            help="Take turns together with all other workers of a PostgreSQL store, until SIGTERM or Ctrl-C.")
