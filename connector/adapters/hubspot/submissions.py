"""Form submissions: newest first per form, without a time filter, 50 a page, known only by their e-mail address.

Source: https://developers.hubspot.com/docs/api-reference/legacy/marketing/forms/v1, checked 2026-11-22.
An idle pull costs one request per form and one for the list of forms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connector.adapter_kit.protocol import Cursor, Page, StreamRequest
from connector.adapters.hubspot.client import Client, documented_shape, page_token
from connector.adapters.hubspot.cursors import Submissions, digest, instant, load, ms_of, only, save, text_of
from connector.adapters.hubspot.snapshots import read_forms
from connector.adapters.hubspot.streams import OVERLAP_MS, PageSizes
from connector.records import RawRecord

STREAM = "form_submissions"


def pull_submissions(
    client: Client, request: StreamRequest, cursor: Cursor | None, sizes: PageSizes,
) -> Iterator[Page]:
    """Yield what came in since the cursor, form by form, newest first.

    A form's own position moves only when it was read down to the old one: until then the cursor keeps the page it
    stands at. Submissions that arrive meanwhile push older ones down a page: some are handed twice, none is missed.
    """
    saved = load(cursor, Submissions) if cursor else Submissions()
    forms = {str(form["id"]): str(form.get("name") or "") for form in read_forms(client)}
    seen_ms = {form_id: ms for form_id, ms in saved.seen_ms.items() if form_id in forms}
    in_hand = saved.form if saved.form in forms else ""
    # The form in hand first: its page token is good for it alone.
    for form_id in sorted(forms, key=lambda one: one != in_hand):
        after, newest_ms = (saved.after, saved.newest_ms) if form_id == in_hand else ("", 0)
        seen = seen_ms.get(form_id, 0)
        while True:
            answer = client.get(STREAM, _query(sizes, after), form_id=form_id)
            with documented_shape("form submissions"):
                listed = answer["results"]
                fresh = [one for one in listed if int(one["submittedAt"]) > seen]
                records = [_record(request.fields, form_id, forms[form_id], one) for one in fresh]
                newest_ms = max(newest_ms, *(int(one["submittedAt"]) for one in fresh), 0)
                after = page_token(answer, after) if len(fresh) == len(listed) else ""
            if after:
                yield Page(records, save(Submissions(seen_ms=seen_ms, form=form_id, after=after, newest_ms=newest_ms)))
                continue
            if newest_ms:
                safe_ms = ms_of(client.server_now()) - OVERLAP_MS
                seen_ms = {**seen_ms, form_id: max(seen, min(newest_ms, safe_ms))}
                yield Page(records, save(Submissions(seen_ms=seen_ms)))
            break


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
