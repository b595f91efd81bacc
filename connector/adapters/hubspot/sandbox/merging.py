"""Merging two records into one, and erasing a contact for good.

Source: https://developers.hubspot.com/docs/guides/crm/using-object-apis and
https://developers.hubspot.com/changelog/announcement-deals-now-support-merging, checked 2026-11-22. Which record
survives a merge of contacts and what its old id gives is unverified, hence `switches.merge_keeps`
and `merged_get`.
"""

from __future__ import annotations

from werkzeug.wrappers import Response

from connector.adapters.hubspot.sandbox import links, writes
from connector.adapters.hubspot.sandbox.call import Call, Route, answer, nothing, type_named
from connector.adapters.hubspot.sandbox.errors import invalid, not_found
from connector.adapters.hubspot.sandbox.objects import find, id_of, written
from connector.adapters.hubspot.sandbox.schema import COMPANY, CONTACT, DEAL, OBJECT_TYPES, ObjectType
from connector.adapters.hubspot.sandbox.state import Row, props_of

MOST_IDENTITIES = 250
_SUMMED = ("hs_analytics_num_page_views", "hs_analytics_num_visits", "num_conversion_events")


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
    writes.store(call, type_, winner, values)
    return answer(written(call, type_, winner_id))


def erase(call: Call, object_type: str) -> Response:
    """Erase a contact, its history, submissions and visits, so that nothing can bring them back. Answers 204."""
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
    order = call.properties.of(call.account, type_.id).get("lifecyclestage")
    stages = [s for s in (kept.get("lifecyclestage"), lost.get("lifecyclestage")) if order and s in order.options]
    if order and stages:     # the further of both: a merge does not move anybody back
        values["lifecyclestage"] = max(stages, key=order.options.index)
    if type_.id == CONTACT:
        _merge_identities(call, values, kept, lost, loser)
    return values


def _merge_identities(
    call: Call, values: writes.Values, kept: dict[str, str], lost: dict[str, str], loser: Row,
) -> None:
    emails = [*(kept.get("hs_additional_emails") or "").split(";"), lost.get("email") or "",
              *(lost.get("hs_additional_emails") or "").split(";")]
    others = list(dict.fromkeys(one for one in emails if one and one != values.get("email")))
    vids = [kept.get("hs_calculated_merged_vids") or "", lost.get("hs_calculated_merged_vids") or "",
            f"{loser[0]}:{call.now_ms}"]
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
    call.state.db.execute("DELETE FROM history WHERE account=? AND type=? AND id=?", key)
    call.state.db.execute("INSERT OR REPLACE INTO removed VALUES (?,?,?,?,?,?)", (*key, why, into_id, call.now_ms))


def _erase_traces(call: Call, row: Row) -> None:
    props, db = props_of(row), call.state.db
    emails = [props.get("email") or "", *(props.get("hs_additional_emails") or "").split(";")]
    for email in filter(None, emails):
        db.execute("DELETE FROM submissions WHERE account=? AND email=?", (call.account, email))
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
