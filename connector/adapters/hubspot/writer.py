"""Writes to HubSpot, so that every change gets its own receipt: in the order and the batches that cost least.

Fields are latest-wins and may be sent again; what is made carries its idempotency key; a mark is looked for before it
is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from connector.adapters.hubspot.answers import CRM
from connector.adapters.hubspot.client import Client, documented_shape
from connector.adapters.hubspot.creations import CREATIONS, KEY, Creations
from connector.adapters.hubspot.fields import Fields, from_remote
from connector.adapters.hubspot.marks import MARKED, Marks
from connector.adapters.hubspot.objects import read_batches
from connector.adapters.hubspot.streams import STREAMS, PageSizes
from connector.adapters.hubspot.updates import Updates
from connector.adapters.hubspot.verdicts import SETUP_REMEDY, WAITING_REMEDY, Verdicts
from connector.errors import AccessDeniedError, ApiChangedError, FatalError, RetryableError
from connector.records import Change, ChangeKind, Receipt, Value

LARGEST_WRITE = 10_000
"""Changes of one `apply`: those of 2,500 people are 25 batches of each kind, of which only the last is not full."""

_WRITABLE = frozenset(name for name, info in STREAMS.items() if info.is_writable)
_STRANGE_REMEDY = "Only contacts are written to: name them in the mapping's write_back."
_LEAD_REMEDY = (
    "Give the credential the scopes of leads and set the Leads object up in HubSpot, or let the mapping make no leads; "
    "then retry."
)


class Writer:
    """Writes to one account."""

    def __init__(self, client: Client, fields: Fields, sizes: PageSizes, time_zone: ZoneInfo) -> None:
        self._client = client
        self._fields = fields
        self._sizes = sizes
        self._updates = Updates(client, fields, time_zone, self.read_back, batch_size=sizes.batch)
        self._creations = Creations(client, fields, batch_size=sizes.batch)
        self._marks = Marks(client, batch_size=sizes.batch)

    def apply(self, changes: Sequence[Change]) -> list[Receipt]:
        """Write the changes as `Adapter.apply` promises.

        Raises:
            FatalError: Before anything was written: the credential, a right or our `mql_key` property is missing.
        """
        verdicts = Verdicts()
        try:
            self._require_keys(changes)
            self._reject_strange(changes, verdicts)
            self._updates.write([c for c in verdicts.open(changes) if c.kind.writes_fields], verdicts)
            self._make_leads([c for c in verdicts.open(changes) if c.kind is ChangeKind.LEAD], verdicts)
            for kind in (ChangeKind.TASK, ChangeKind.NOTE):
                self._creations.write(kind, [c for c in verdicts.open(changes) if c.kind is kind], verdicts)
            for kind in MARKED:
                self._marks.write(kind, [c for c in verdicts.open(changes) if c.kind is kind], verdicts)
        except RetryableError as error:
            verdicts.put_off(verdicts.open(changes), error)
        except FatalError as error:
            # What was already written must be told; the next call meets the same error with nothing to lose.
            if not verdicts.by_key:
                raise
            verdicts.put_off(verdicts.open(changes), RetryableError(str(error), hint=error.hint or WAITING_REMEDY))
        return [verdicts.by_key[change.idempotency_key] for change in changes]

    def look_up(self, changes: Sequence[Change]) -> dict[str, str]:
        """Return the remote id of every LEAD, TASK and NOTE change that is in HubSpot already, by its key."""
        return self._creations.find(changes)

    def read_back(
        self, stream: str, remote_ids: Sequence[str], fields: Sequence[str],
    ) -> dict[str, dict[str, Value]]:
        """Return current values by remote id; a record that is gone is left out."""
        types = self._fields.types(stream)
        records = read_batches(
            self._client, STREAMS[stream].object_type, remote_ids, fields, size=self._sizes.batch, is_for_write=True,
        )
        with documented_shape(stream):
            return {
                record["id"]: {
                    name: from_remote(record["properties"].get(name), types.get(name, "text")) for name in fields
                }
                for record in records
            }

    def _reject_strange(self, changes: Sequence[Change], verdicts: Verdicts) -> None:
        for change in changes:
            marked = MARKED.get(change.kind)
            if (change.record.stream != marked) if marked else (change.record.stream not in _WRITABLE):
                verdicts.rejected(change, f"{change.record.stream} are not written to", _STRANGE_REMEDY)

    def _make_leads(self, changes: Sequence[Change], verdicts: Verdicts) -> None:
        """Make lead records where the account has them: without, everything else goes on."""
        if not changes:
            return
        try:
            if self._creations.has_key(ChangeKind.LEAD):
                self._creations.write(ChangeKind.LEAD, changes, verdicts)
            for change in verdicts.open(changes):
                verdicts.rejected(change, f"leads have no unique property {KEY}", SETUP_REMEDY)
        except (AccessDeniedError, ApiChangedError) as error:
            for change in verdicts.open(changes):
                verdicts.rejected(change, str(error), _LEAD_REMEDY)

    def _require_keys(self, changes: Sequence[Change]) -> None:
        for kind in (ChangeKind.NOTE, ChangeKind.TASK):
            if any(change.kind is kind for change in changes) and not self._creations.has_key(kind):
                raise ApiChangedError(
                    f"hubspot: {CREATIONS[kind].stream} have no unique property {KEY}, so that nothing could be "
                    "written only once", hint="Run the setup for this company.", crm=CRM,
                )
