"""HubSpot's sandbox: the vendor played over real HTTP, records in SQLite, quirks included.

It shares no code with the HubSpot adapter's client, reader or writer, which are tested against it.
"""

from __future__ import annotations

from pathlib import Path

from connector.adapter_kit.sandbox.server import WorldBuilder
from connector.adapters.hubspot.sandbox.app import HubSpotSandbox
from connector.adapters.hubspot.sandbox.call import Switches
from connector.adapters.hubspot.sandbox.state import portal_id_of

__all__ = ["HubSpotSandbox", "Switches", "build_sandbox", "portal_id_of"]


def build_sandbox(worlds: WorldBuilder, state_dir: Path | None) -> HubSpotSandbox:
    """Return HubSpot's sandbox, to be served by `SandboxServer`.

    Args:
        worlds: Builds the seeds that `POST /_sandbox/seed` names.
        state_dir: Keeps `hubspot.db`, so that a restart has everything; None uses a private temporary folder.
    """
    return HubSpotSandbox(worlds, state_dir)
