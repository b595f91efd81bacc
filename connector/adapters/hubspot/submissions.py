"""Form submissions: newest first per form, without a time filter, 50 a page, known only by their e-mail address.

Source: https://developers.hubspot.com/docs/api-reference/legacy/marketing/forms/v1, checked 2026-11-22.

A submission moves its contact's `recent_conversion_date`, so one search says whether any form has anything new: an idle
pull costs that one request, however many forms there are. Each form is asked all the same once in `ASK_AFTER_MS`,
which costs one request per form and one for the list: search shows changes late, without a bound, and a submission
need not make a contact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from connector.adapter_kit.protocol import Cursor, Page, StreamRequest
from connector.adapters.hubspot.client import Client, documented_shape, page_token
from connector.adapters.hubspot.cursors import Submissions, digest, instant, load, ms_of, only, save, text_of
from connector.adapters.hubspot.snapshots import read_forms
from connector.adapters.hubspot.streams import OVERLAP_MS, PageSizes
from connector.records import RawRecord

STREAM = "form_submissions"

ASK_AFTER_MS = 21_000_000
"""Every form is asked again after this time, a little less than six hours, by the next run that asks. Our choice."""

_CONVERTED = "recent_conversion_date"
"""When the contact last submitted a form.
Source: https://knowledge.hubspot.com/properties/hubspots-default-contact-properties, checked 2026-11-22."""


def pull_submissions(
    client: Client, request: StreamRequest, cursor: Cursor | None, sizes: PageSizes,
) -> Iterator[Page]:
    """Yield what came in since the cursor, form by form, newest first.

    A form's own position moves only when it was read down to the old one: until then the cursor keeps the page it
    stands at. Submissions that arrive meanwhile push older ones down a page: some are handed twice, none is missed.
    """
    saved = load(cursor, Submissions) if cursor else Submissions()
    converted_ms = _newest_conversion_ms(client, min(saved.asked_ms.values())) if saved.asked_ms else 0
    if saved.asked_ms and not saved.form and not _are_due(client, saved.asked_ms, converted_ms):
        return
    forms = {str(form["id"]): str(form.get("name") or "") for form in read_forms(client)}
    seen_ms = {form_id: ms for form_id, ms in saved.seen_ms.items() if form_id in forms}
    asked_ms = {form_id: ms for form_id, ms in saved.asked_ms.items() if form_id in forms}
    in_hand = saved.form if saved.form in forms else ""
    due = [one for one in forms if one == in_hand or _are_due(client, {one: asked_ms.get(one, 0)}, converted_ms)]
    records: list[RawRecord] = []
    # The form in hand first: its page token is good for it alone.
    for form_id in sorted(due, key=lambda one: one != in_hand):
        after, newest_ms = (saved.after, saved.newest_ms) if form_id == in_hand else ("", 0)
        seen = seen_ms.get(form_id, 0)
        while True:
            answer = client.get(STREAM, _query(sizes, after), form_id=form_id)
            now_ms = ms_of(client.server_now())
            with documented_shape("form submissions"):
                listed = answer["results"]
                fresh = [one for one in listed if int(one["submittedAt"]) > seen]
                records = [_record(request.fields, form_id, forms[form_id], one) for one in fresh]
                newest_ms = max(newest_ms, *(int(one["submittedAt"]) for one in fresh), 0)
                after = page_token(answer, after) if len(fresh) == len(listed) else ""
            if not after:
                break
            yield Page(records, save(Submissions(
                seen_ms=seen_ms, asked_ms=asked_ms, form=form_id, after=after, newest_ms=newest_ms,
            )))
        if newest_ms:
            seen_ms = {**seen_ms, form_id: max(seen, min(newest_ms, now_ms - OVERLAP_MS))}
        if form_id != in_hand:
            # What came in behind a stop lies before the page that was gone on from: such a form is asked again.
            asked_ms = {**asked_ms, form_id: now_ms}
        if records:
            yield Page(records, save(Submissions(seen_ms=seen_ms, asked_ms=asked_ms)))
    if due and not records:
        yield Page((), save(Submissions(seen_ms=seen_ms, asked_ms=asked_ms)))


def _newest_conversion_ms(client: Client, since_ms: int) -> int:
    """Return when a contact last submitted a form, as far as search knows; 0 when it was not since then."""
    answer = client.search("contacts", {
        "filterGroups": [{"filters": [
            {"propertyName": _CONVERTED, "operator": "GT", "value": str(since_ms - OVERLAP_MS)},
        ]}],
        "sorts": [{"propertyName": _CONVERTED, "direction": "DESCENDING"}],
        "properties": [_CONVERTED],
        "limit": 1,
    })
    with documented_shape("search results"):
        found = [ms_of(datetime.fromisoformat(one["properties"][_CONVERTED])) for one in answer["results"]]
    return max(found, default=0)


def _are_due(client: Client, asked_ms: Mapping[str, int], converted_ms: int) -> bool:
    """Tell whether any of these forms is to be asked: somebody submitted one since, or it was not asked for long."""
    now_ms = ms_of(client.server_now())
    return any(converted_ms > at_ms - OVERLAP_MS or now_ms - at_ms >= ASK_AFTER_MS for at_ms in asked_ms.values())


def _query(sizes: PageSizes, after: str) -> dict[str, str | int]:
    return {"limit": sizes.submissions} | ({"after": after} if after else {})


def _record(fields: tuple[str, ...], form_id: str, form_name: str, submission: Mapping[str, Any]) -> RawRecord:
    answers: dict[str, str] = {}
    for answer in submission.get("values", ()):
        name, value = str(answer["name"]), str(answer.get("value") or "")
        # Ticked boxes come as several values of one name; HubSpot itself joins such values with a semicolon.
        answers[name] = f"{answers[name]};{value}" if name in answers else value
    at = instant(int(submission["submittedAt"]))
    email = answers.get("email", "")
    values = {
        "form_id": form_id,
        "form_name": form_name,
        "page_url": submission.get("pageUrl"),
        "email": email,
        "submitted_at": text_of(at),
        **{f"field.{name}": value for name, value in answers.items()},
    }
    own_id = submission.get("conversionId") or digest(submission)
    return RawRecord(
        STREAM, f"{form_id}:{own_id}", at, only(fields, values), {"email": (email,)} if email else {},
    )
