"""Have refused changes tried again, once somebody has mended what their CRM refused them for."""

from __future__ import annotations

from collections.abc import Collection

from connector.errors import ConfigError
from connector.pipeline.company import Company
from connector.pipeline.lease import hold_lease
from connector.store import Retried


def retry(company: Company, keys: Collection[str] | None) -> Retried:
    """Plan these refused changes again; the next run writes them. Asks the store only.

    Nothing can be doubled by it: what creates a record is looked for by its key before it is made, and a stage is
    checked against what sales has done since.

    Args:
        keys: Idempotency keys; None for everything that was refused.

    Raises:
        ConfigError: Nothing under one of the keys was refused; then nothing is planned.
        LeaseHeldError: A run is at work for this company.
    """
    with hold_lease(company) as lease:
        if keys is not None:
            refused = company.store.find_refused(company.name, keys)
            if unknown := sorted(set(keys) - refused):
                raise ConfigError(
                    [f"nothing under the key {key!r} was refused" for key in unknown],
                    hint=f"mql outbox {company.name} --rejected lists what was.",
                )
        return company.store.retry_refused(lease, keys, company.clock())
