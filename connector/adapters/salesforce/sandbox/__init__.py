"""A Salesforce that listens on loopback: exactly what simple-salesforce 1.12 needs runs against it unmodified.

It keeps one org per account, each in a SQLite file. Let in are client `sandbox-<account>` with secret
`secret-sandbox-<account>`, refresh token `refresh-sandbox-<account>` and session id `session-sandbox-<account>`.
A JWT is signed with the key at `/_sandbox/jwt`. It shares no code with the adapter that is tested against it.

Where it is not the vendor: text compares without regard to case for ASCII only; a new field is visible to all until a
FieldPermissions record hides it; only a switch shrinks a page; formulas, record types, currencies and the compound
address fields do not exist; TYPEOF is refused. What no call of the vendor's brings about (rules,
locks, transactions that run long, switches) is set under `/_sandbox/`, see `controls`.
"""

from __future__ import annotations

from pathlib import Path

from connector.adapter_kit.sandbox.server import SandboxApp, WorldBuilder
from connector.adapters.salesforce.sandbox.app import SalesforceSandbox


def build_sandbox(worlds: WorldBuilder, state_dir: Path | None) -> SandboxApp:
    """Return the Salesforce sandbox, not yet listening.

    Args:
        worlds: Builds the seeds that `/_sandbox/seed` may name.
        state_dir: Where its state lives, in `salesforce/`; a restart on the same keeps everything, access tokens
            included. None keeps it in a temporary folder until `close`.
    """
    return SalesforceSandbox(worlds, state_dir)
