"""Start the sandboxes of every CRM we have an adapter for, filled with the seeds, and stop them again.

This room knows addresses and accounts; what a CRM answers is in its adapter's own sandbox.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from threading import Event

from connector import adapters
from connector.adapter_kit.sandbox.server import ControlError, SandboxApp, SandboxServer
from connector.sandbox import seeds

PEOPLE_OBJECTS: dict[str, tuple[str, ...]] = {"hubspot": ("contacts",), "salesforce": ("Lead", "Contact")}
"""What each CRM calls the records of people: an account without any is empty."""


class SandboxPair:
    """HubSpot and Salesforce on loopback, with the same people in both.

    Each seed is loaded into the account of its own name, in each CRM where that account has no people yet: a restart
    on the same `state_dir` keeps what it finds there, and goes on with a seed that a killed process left half loaded.
    Both CRMs listen at once and are filled side by side; whoever asks meanwhile waits for the answer, a list of HubSpot
    contacts only until its page is there, and never sees half a seed.

    Attributes:
        servers: The running servers by CRM name; empty before `start` and after `stop`.

    Example:
        with SandboxPair() as pair:
            HubSpot(access_token="pat-sandbox-mirai", host=pair.urls["hubspot"])
    """

    def __init__(
        self,
        state_dir: Path | None = None,
        *,
        ports: Mapping[str, int] | None = None,
        load: Sequence[str] | None = None,
        contacts: int | None = None,
        activities: int | None = None,
        random_seed: int = 1,
    ) -> None:
        """Say what to start; nothing listens yet.

        Args:
            state_dir: Where the CRMs keep their records; made when absent. None: temporary, gone at `stop`.
            ports: Port by CRM name, such as `{"hubspot": 8101}`; 0 or left out takes a free one.
            load: Names of seeds; None loads all, an empty sequence none.
            contacts: As in `seeds.build_world`, for each seed.
            activities: As in `seeds.build_world`, for each seed.
            random_seed: As in `seeds.build_world`, for each seed.
        """
        self.servers: dict[str, SandboxServer] = {}
        self._state_dir = state_dir
        self._ports = dict(ports or {})
        self._load = tuple(seeds.names() if load is None else load)
        self._sizes = {"contacts": contacts, "activities": activities}
        self._random_seed = random_seed
        self._running = ExitStack()
        self._fills: list[Future[None]] = []

    @property
    def urls(self) -> dict[str, str]:
        """The addresses by CRM name, such as `{"hubspot": "http://127.0.0.1:8101", ...}`."""
        return {crm: server.url for crm, server in self.servers.items()}

    def start(self) -> SandboxPair:
        """Listen, and start filling empty accounts; `wait_until_filled` tells when that is done.

        Raises:
            OSError: A port is taken; nothing keeps running.
            ControlError: `load` names an unknown seed, or a size is below 0.
        """
        unknown = sorted(set(self._load) - set(seeds.names()))
        if unknown:
            raise ControlError(f"no such seed: {', '.join(unknown)}; there is {', '.join(seeds.names())}")
        for size, count in self._sizes.items():
            if count is not None and count < 0:
                raise ControlError(f"{size} is {count}; it counts from 0")
        if self._state_dir is not None:
            self._state_dir.mkdir(parents=True, exist_ok=True)
        with ExitStack() as starting:
            filling = starting.enter_context(ThreadPoolExecutor(thread_name_prefix="fill"))
            servers = {}
            for crm in adapters.names():
                app = adapters.build_sandbox(crm, seeds.build_world, self._state_dir)
                servers[crm] = SandboxServer(app, self._ports.get(crm, 0))
                starting.callback(servers[crm].stop)
            # Every account is taken by its filling before a port opens: no request finds one empty.
            for server in servers.values():
                has_begun = Event()
                self._fills.append(filling.submit(self._fill, server.app, has_begun))
                has_begun.wait()
            for server in servers.values():
                server.start()
            self._running = starting.pop_all()
        self.servers = servers
        return self

    def wait_until_filled(self) -> None:
        """Return when every seed is loaded; raises what a loading raised."""
        for fill in self._fills:
            fill.result()

    def _fill(self, app: SandboxApp, has_begun: Event) -> None:
        with ExitStack() as all_accounts:
            held = {name: all_accounts.enter_context(ExitStack()) for name in self._load}
            for name, account in held.items():
                account.enter_context(app.filling(name))
            has_begun.set()
            for name, account in held.items():
                with account:
                    app.load_rest(name)
                    if not _has_people(app, name):
                        app.seed(account=name, name=name, random_seed=self._random_seed, **self._sizes)

    def stop(self) -> None:
        """Stop listening and close the state of both; harmless when they do not run.

        A seed that is being loaded ends after its current part; on the same `state_dir`, the next start goes on.
        """
        for server in self.servers.values():
            server.app.stop_filling()
        wait(self._fills)
        self.servers = {}
        self._fills = []
        self._running.close()

    def __enter__(self) -> SandboxPair:
        self.start()
        try:
            self.wait_until_filled()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


def _has_people(app: SandboxApp, account: str) -> bool:
    try:
        with app.lock:
            app.refuse_when_stopping()
            return any(True for name in PEOPLE_OBJECTS[app.crm] for _ in app.stored_records(account, name))
    except ControlError:
        # A CRM that opens an account on its first request has none of this name yet.
        return False
