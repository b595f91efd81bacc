"""Merging two records into one, and erasing a contact for good.

Source: https://developers.hubspot.com/docs/guides/crm/using-object-apis and
https://developers.hubspot.com/changelog/announcement-deals-now-support-merging, checked 2026-11-22. Which record
survives a merge of contacts and what its old id gives is unverified, hence `switches.merge_keeps`
and `merged_get`.
"""

from __future__ import annotations

from dataclasses import replace

from werkzeug.wrappers import Response

from connector.adapters.hubspot.sandbox import links, writes
from connector.adapters.hubspot.sandbox.call import Call, Route, answer, nothing, type_named
from connector.adapters.hubspot.sandbox.errors import invalid, not_found
from connector.adapters.hubspot.sandbox.objects import find, id_of, written
from connector.adapters.hubspot.sandbox.schema import COMPANY, CONTACT, DEAL, OBJECT_TYPES, ObjectType
from connector.adapters.hubspot.sandbox.state import Row, props_of

MOST_IDENTITIES = 250
_SUMMED = ("hs_analytics_num_page_views", "hs_analytics_num_visits", "num_conversion_events", "hs_email_delivered",
           "hs_email_open", "hs_email_click", "hs_email_bounce")
_LATEST = {
    "hs_analytics_last_timestamp": ("hs_analytics_last_url",), "hs_analytics_last_visit_timestamp": (),
    "recent_conversion_date": ("recent_conversion_event_name",), "hs_email_last_click_date": (),
    "hs_email_last_open_date": (), "hs_email_last_send_date": (), "notes_last_contacted": (),
}
_EARLIEST = {
    "hs_analytics_first_timestamp": ("hs_analytics_first_url",),
    "first_conversion_date": ("first_conversion_event_name",),
}
"""Dates of which a merge keeps the latest or the earliest of both, each with what is told of that moment."""


def merge(call: Call, object_type: str) -> Response:
    """Merge one record into another and answer the survivor."""
    type_, sent = type_named(object_type), call.body()
    if type_.id not in (CONTACT, COMPANY, DEAL):
        raise invalid(f"{type_.plural} cannot be merged", "CANNOT_MERGE")
    primary = find(call, type_, str(sent.get("primaryObjectId", "")), writing=True)
    loser = find(call, type_, str(sent.get("objectIdToMerge", "")), writing=True)
    if primary[0] == loser[0]:
        raise invalid("A record cannot be merged with itself", "CANNOT_MERGE")
    values = _merged_values(call, type_, primary, loser)
    keep_new = _makes_new(call, type_)
    winner_id = call.state.take_ids(call.account) if keep_new else primary[0]
    losers = [primary, loser] if keep_new else [loser]
    if keep_new:
        call.state.add_record(call.account, type_.id, winner_id, call.now_ms, {})
    for row in losers:
        _retire(call, type_, row, winner_id)
    winner = call.state.record(call.account, type_.id, winner_id)
    assert winner is not None
    writes.store(replace(call, source="MERGE_OBJECTS"), type_, winner, values)
    return answer(written(call, type_, winner_id))


def erase(call: Call, object_type: str) -> Response:
    """Erase a contact with its history, visits and e-mail events for good. Answers 204.

    Whether its form submissions go too is unverified: `switches.erasure_takes_submissions`.
    """
    if type_named(object_type).id != CONTACT:
        raise invalid("Only contacts can be erased")
    type_, sent = OBJECT_TYPES[CONTACT], call.body()
    record_id = id_of(call, type_, str(sent.get("objectId", "")), sent.get("idProperty"))
    row = None
    if record_id is not None:
        record_id = call.state.winner_of(call.account, CONTACT, record_id)
        row = call.state.record(call.account, CONTACT, record_id) or \
            call.state.record(call.account, CONTACT, record_id, archived=True)
    if row is None:
        raise not_found(str(sent.get("objectId", ""))[:100])
    _erase_traces(call, row)
    _remove_row(call, type_, row, "erased", None)
    return nothing()


def _makes_new(call: Call, type_: ObjectType) -> bool:
    # Documented for deals, seen "in some cases" for contacts.
    return type_.id == DEAL or call.switches.merge_keeps == "new"


def _merged_values(call: Call, type_: ObjectType, primary: Row, loser: Row) -> writes.Values:
    kept, lost = props_of(primary), props_of(loser)
    values: writes.Values = {**lost, **kept}
    ids = [*(kept.get("hs_merged_object_ids") or "").split(";"),
           *(lost.get("hs_merged_object_ids") or "").split(";"), str(loser[0])]
    if _makes_new(call, type_):
        ids.append(str(primary[0]))
    values["hs_merged_object_ids"] = ";".join(dict.fromkeys(one for one in ids if one))
    for name in _SUMMED:
        if name in kept or name in lost:
            values[name] = str(int(kept.get(name) or 0) + int(lost.get(name) or 0))
    for names, is_lost in ((_LATEST, str.__gt__), (_EARLIEST, str.__lt__)):
        for name, told in names.items():
            ours, theirs = kept.get(name), lost.get(name)
            if ours is not None and theirs is not None and is_lost(theirs.rstrip("Z"), ours.rstrip("Z")):
                values |= {one: lost.get(one) for one in (name, *told)}
    order = call.properties.of(call.account, type_.id).get("lifecyclestage")
    stages = [s for s in (kept.get("lifecyclestage"), lost.get("lifecyclestage")) if order and s in order.options]
    if order and stages:     # the further of both: a merge does not move anybody back
        values["lifecyclestage"] = max(stages, key=order.options.index)
    if type_.id == CONTACT:
        _merge_identities(call, values, kept, lost, primary, loser)
    return values


def _merge_identities(
    call: Call, values: writes.Values, kept: dict[str, str], lost: dict[str, str], primary: Row, loser: Row,
) -> None:
    emails = [*(kept.get("hs_additional_emails") or "").split(";"), lost.get("email") or "",
              *(lost.get("hs_additional_emails") or "").split(";")]
    others = list(dict.fromkeys(one for one in emails if one and one != values.get("email")))
    merged = [loser, primary] if _makes_new(call, OBJECT_TYPES[CONTACT]) else [loser]
    vids = [kept.get("hs_calculated_merged_vids") or "", lost.get("hs_calculated_merged_vids") or "",
            *(f"{row[0]}:{call.now_ms}" for row in merged)]
    if len(others) > MOST_IDENTITIES:
        raise invalid(f"A merge can have {MOST_IDENTITIES} identities", "TOO_MANY_IDENTITIES")
    values["hs_additional_emails"] = ";".join(others) or None
    values["hs_calculated_merged_vids"] = ";".join(one for one in vids if one)


def _retire(call: Call, type_: ObjectType, row: Row, winner_id: int) -> None:
    links.move_all(call, type_, row[0], winner_id)
    if type_.id == CONTACT:
        call.state.db.execute(
            "UPDATE visitors SET contact=? WHERE account=? AND contact=?", (winner_id, call.account, row[0])
        )
        call.state.db.execute(
            "UPDATE OR IGNORE interactions SET contact=? WHERE account=? AND contact=?",
            (winner_id, call.account, row[0]),
        )
        call.state.db.execute("DELETE FROM interactions WHERE account=? AND contact=?", (call.account, row[0]))
    _remove_row(call, type_, row, "merged", winner_id)


def _remove_row(call: Call, type_: ObjectType, row: Row, why: str, into_id: int | None) -> None:
    key = (call.account, type_.id, row[0])
    links.remove_all(call, type_.id, row[0])
    writes.release_all(call, type_, row)
    call.state.db.execute("DELETE FROM records WHERE account=? AND type=? AND id=?", key)
    for table in ("history", "archived_links"):
        call.state.db.execute(f"DELETE FROM {table} WHERE account=? AND type=? AND id=?", key)
    call.state.db.execute("INSERT OR REPLACE INTO removed VALUES (?,?,?,?,?,?)", (*key, why, into_id, call.now_ms))


def _erase_traces(call: Call, row: Row) -> None:
    props, db = props_of(row), call.state.db
    emails = [props.get("email") or "", *(props.get("hs_additional_emails") or "").split(";")]
    for email in filter(None, emails):
        if call.switches.erasure_takes_submissions:
            db.execute("DELETE FROM submissions WHERE account=? AND email=?", (call.account, email))
        db.execute("DELETE FROM email_events WHERE account=? AND recipient=?", (call.account, email))
    db.execute(
        "DELETE FROM page_views WHERE account=? AND hutk IN (SELECT hutk FROM visitors WHERE account=? AND contact=?)",
        (call.account, call.account, row[0]),
    )
    for table in ("visitors", "interactions"):
        db.execute(f"DELETE FROM {table} WHERE account=? AND contact=?", (call.account, row[0]))


ROUTES: list[Route] = [
    ("POST", "/crm/v3/objects/<object_type>/merge", merge),
    ("POST", "/crm/v3/objects/<object_type>/gdpr-delete", erase),
]
