"""What is unverified about Salesforce, or differs between orgs: one org's switches, set under `/_sandbox/switches`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from connector.adapter_kit.sandbox.server import ControlError


@dataclass(frozen=True, slots=True)
class Switches:
    """One org's switches; the defaults are what we hold most likely. `docs/assumptions.md` lists the unverified ones.

    Attributes:
        missing_objects: Objects this org does not have (such as `EmailMessage` without Enhanced Email), by API name.
        bulk_delay_seconds: How long a Bulk job takes by the sandbox's clock: half of it waiting, half in progress.
        bulk_refusal: Where an unsupported query is refused: `create` (400) or `job` (state `Failed`).
        bulk_error: With this text every Bulk job fails; empty, none does.
        bulk_query_jobs: Query jobs that may be made in 24 hours.
        bulk_upload_bytes: Largest file of an ingest job: 150 MB as base64, of which the vendor advises 100 MB raw.
        bulk_numbers: How a Bulk result writes numbers: `plain` or with an exponent where REST has none.
        daily_calls: The org's daily calls, by default a Developer Edition's; only enforced when `is_limited`.
            Source: github.com/api-evangelist/salesforce, rate-limits/salesforce-rate-limits.yml, checked 2026-11-22.
        is_limited: Whether calls over `daily_calls` are refused.
        composite_queries: Query subrequests that one Composite request may hold; 0 knows no such limit.
        is_composite_answer_in_order: Whether `compositeResponse` keeps the order of the request.
        largest_page: Rows that a page of a query has at most, whatever is asked for: the vendor guarantees no size.
        query_rows_before_timeout: A query that finds more rows is answered `QUERY_TIMEOUT`; 0 never is.
        activity_people: Without View All Data, the distinct people and things of the tasks or events that a query
            may meet; 0 is with that right.
        emptied_visible_hours: How long queryAll shows what was removed from the recycle bin by hand.
        activities_follow_deletion: Whether the tasks and events of a deleted record are deleted with it.
        merge_moves_stamps: Whether records that a merge gives to the winner get new stamps.
        deleted_id_limit: Ids that getDeleted and getUpdated give before `EXCEEDED_ID_LIMIT`.
        email_makes_task: Whether an e-mail that is not a draft makes the Task of its `ActivityId`.
        owner_history_rows: Rows that a change of owner leaves in a history: one of ids, or one more of names.
        hidden_field_write: How a write of a field that the user may not see is refused: as any field that is not
            writable, or as one that is not there.
        tasks_take_queues: Whether a queue may own a task.
        new_fields_hidden: Whether a field made through the Tooling API is seen by nobody until a permission set that is
            assigned to the user grants it.
        missing_rights: What the user may not do: `customize` (make fields), `permission_sets` (make and assign them).
        bulk_rows_before_failure: An ingest job fails after so many rows, and leaves the others unprocessed; 0 does not.
        rotates_refresh_tokens: Whether a refresh answers a new refresh token, and the one it was done with ends.
        expires_in_told: Whether a token's answer has `expires_in`.
    """

    missing_objects: tuple[str, ...] = ()
    bulk_delay_seconds: float = 0.0
    bulk_refusal: Literal["create", "job"] = "create"
    bulk_error: str = ""
    bulk_query_jobs: int = 10_000
    bulk_upload_bytes: int = 100_000_000
    bulk_numbers: Literal["plain", "exponent"] = "plain"
    daily_calls: int = 15_000
    is_limited: bool = False
    composite_queries: int = 5
    is_composite_answer_in_order: bool = True
    largest_page: int = 2_000
    query_rows_before_timeout: int = 0
    activity_people: int = 0
    emptied_visible_hours: float = 24.0
    activities_follow_deletion: bool = False
    merge_moves_stamps: bool = True
    deleted_id_limit: int = 600_000
    email_makes_task: bool = True
    owner_history_rows: int = 1
    hidden_field_write: Literal["unwritable", "no_such_column"] = "unwritable"
    tasks_take_queues: bool = True
    new_fields_hidden: bool = False
    missing_rights: tuple[str, ...] = ()
    bulk_rows_before_failure: int = 0
    rotates_refresh_tokens: bool = False
    expires_in_told: bool = False

    def changed(self, wishes: Mapping[str, Any]) -> Switches:
        """Return these switches with `wishes` set.

        Raises:
            ControlError: An unknown name, or a value of another kind.
        """
        known = {one.name: getattr(self, one.name) for one in fields(self)}
        made: dict[str, Any] = {}
        for name, value in wishes.items():
            if name not in known:
                raise ControlError(f"no such switch: {name}; there is {', '.join(known)}")
            wanted = tuple(value) if isinstance(value, list) else value
            if isinstance(known[name], float) and type(wanted) is int:
                wanted = float(wanted)
            allowed = _CHOICES.get(name)
            if type(wanted) is not type(known[name]) or (allowed is not None and wanted not in allowed):
                raise ControlError(f"{name} cannot be {value!r}")
            made[name] = wanted
        return replace(self, **made)


_CHOICES: dict[str, tuple[Any, ...]] = {
    "bulk_refusal": ("create", "job"), "bulk_numbers": ("plain", "exponent"), "owner_history_rows": (1, 2),
    "hidden_field_write": ("unwritable", "no_such_column"),
}
