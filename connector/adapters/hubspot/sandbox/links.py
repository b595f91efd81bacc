"""Associations between records: their type ids, and how they are stored (once for each direction).

Type ids: https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide, checked 2026-11-22; those
between companies or deals and activities beyond the documented ones are `Source: assumed`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from connector.adapters.hubspot.sandbox.call import Call
from connector.adapters.hubspot.sandbox.errors import invalid, not_found
from connector.adapters.hubspot.sandbox.schema import (
    CALL,
    COMMUNICATION,
    COMPANY,
    CONTACT,
    DEAL,
    EMAIL,
    ENGAGEMENTS,
    LEAD,
    MEETING,
    NOTE,
    OBJECT_TYPES,
    POSTAL,
    TASK,
    ObjectType,
)
from connector.adapters.hubspot.sandbox.state import props_of
from connector.adapters.hubspot.sandbox.values import iso

_DEFAULTS: dict[tuple[int, int], tuple[int, int]] = {
    (CONTACT, CONTACT): (449, 449), (COMPANY, COMPANY): (450, 450),
    (CONTACT, COMPANY): (279, 280), (CONTACT, DEAL): (4, 3), (DEAL, COMPANY): (341, 342),
    (CALL, CONTACT): (194, 193), (CALL, COMPANY): (182, 181), (CALL, DEAL): (206, 205),
    (EMAIL, CONTACT): (198, 197), (EMAIL, COMPANY): (186, 185), (EMAIL, DEAL): (210, 209),
    (MEETING, CONTACT): (200, 199), (MEETING, COMPANY): (188, 187), (MEETING, DEAL): (212, 211),
    (NOTE, CONTACT): (202, 201), (NOTE, COMPANY): (190, 189), (NOTE, DEAL): (214, 213),
    (TASK, CONTACT): (204, 203), (TASK, COMPANY): (192, 191), (TASK, DEAL): (216, 215),
    (COMMUNICATION, CONTACT): (81, 82), (COMMUNICATION, COMPANY): (87, 88), (COMMUNICATION, DEAL): (85, 86),
    # A lead with its primary contact; leads of companies are not played. The way back is `Source: assumed`.
    (LEAD, CONTACT): (578, 579),
    (POSTAL, CONTACT): (453, 454), (POSTAL, COMPANY): (459, 460), (POSTAL, DEAL): (457, 458),
}
_PRIMARIES = {(CONTACT, COMPANY): (1, 2), (DEAL, COMPANY): (5, 6)}


def _both_ways(pairs: dict[tuple[int, int], tuple[int, int]]) -> dict[tuple[int, int], int]:
    forward = {pair: kinds[0] for pair, kinds in pairs.items()}
    return forward | {(to, from_): kinds[1] for (from_, to), kinds in pairs.items()}


DEFAULT = _both_ways(_DEFAULTS)
"""The unlabelled association's type id, by (from type, to type)."""

PRIMARY = _both_ways(_PRIMARIES)
"""The primary company's association type id, by (from type, to type)."""

_REVERSE = {
    (pair, kind): table[pair[1], pair[0]] for table in (DEFAULT, PRIMARY) for pair, kind in table.items()
}


@dataclass(frozen=True, slots=True)
class Link:
    """One record associated with another, seen from the other."""

    from_id: int
    to_id: int
    kinds: tuple[int, ...]


def default_kind(from_: ObjectType, to: ObjectType) -> int:
    """Return the unlabelled association's type id. Raises VendorError (400) when the types cannot be associated."""
    kind = DEFAULT.get((from_.id, to.id))
    if kind is None:
        raise invalid(f"No association types exist between {from_.singular} and {to.singular}")
    return kind


def kinds_named(call: Call, from_: ObjectType, to: ObjectType, types: Any) -> list[int]:
    """Return the type ids of a list of `{associationCategory, associationTypeId}`.

    Raises:
        VendorError: 400, one of them does not exist between these object types.
    """
    if not isinstance(types, list) or not types or not all(isinstance(one, dict) for one in types):
        raise invalid("Some required fields were not set: [types]")
    known = {DEFAULT.get((from_.id, to.id)), PRIMARY.get((from_.id, to.id)), *_labels(call, from_, to)}
    kinds = []
    for one in types:
        kind = one.get("associationTypeId")
        if not isinstance(kind, int) or kind not in known:
            raise invalid(
                f"No association type with id {kind} exists between {from_.singular} and {to.singular}",
                "INVALID_ASSOCIATION_TYPE",
            )
        kinds.append(kind)
    return kinds


def need_record(call: Call, type_: ObjectType, record_id: int) -> None:
    """Raise VendorError (404) unless the record is there."""
    if call.state.record(call.account, type_.id, record_id) is None:
        raise not_found(record_id)


def add(call: Call, from_: ObjectType, from_id: int, to: ObjectType, to_id: int, kinds: Iterable[int]) -> list[int]:
    """Associate two records that are there; kinds already set stay. Returns all kinds that now hold.

    The unlabelled kind comes with every labelled one, and the first company of a contact or deal is its primary.
    """
    pair = (from_.id, to.id)
    before = _stored(call, from_.id, from_id, to.id, to_id)
    wanted = list(dict.fromkeys([*before, default_kind(from_, to), *kinds]))
    if pair in PRIMARY and not before and not _has_primary(call, pair, from_id, to_id):
        wanted.append(PRIMARY[pair])
    now = list(dict.fromkeys(wanted))
    if PRIMARY.get(pair) in now and PRIMARY.get(pair) not in before:
        _sole_primary(call, pair, from_id, to_id)
    _store(call, from_.id, from_id, to.id, to_id, now)
    _store(call, to.id, to_id, from_.id, from_id, [_reverse(call, pair, kind) for kind in now])
    if not before:
        _note_activity(call, from_, from_id, to, to_id)
    return now


def remove(call: Call, from_: int, from_id: int, to: int, to_id: int, kinds: Iterable[int] | None = None) -> None:
    """Take an association away, or only some of its labels."""
    left: list[int] = []
    if kinds is not None:
        gone = set(kinds)
        left = [kind for kind in _stored(call, from_, from_id, to, to_id) if kind not in gone]
    if left:
        _store(call, from_, from_id, to, to_id, left)
        _store(call, to, to_id, from_, from_id, [_reverse(call, (from_, to), kind) for kind in left])
        return
    delete = "DELETE FROM links WHERE account=? AND from_type=? AND from_id=? AND to_type=? AND to_id=?"
    call.state.db.execute(delete, (call.account, from_, from_id, to, to_id))
    call.state.db.execute(delete, (call.account, to, to_id, from_, from_id))


def archive_all(call: Call, type_id: int, record_id: int) -> None:
    """Take every association of a record away, kept aside for `restore_all`."""
    call.state.db.execute(
        "INSERT OR REPLACE INTO archived_links SELECT account, from_type, from_id, to_type, to_id, kinds FROM links "
        "WHERE account=? AND from_type=? AND from_id=?", (call.account, type_id, record_id),
    )
    remove_all(call, type_id, record_id)


def restore_all(call: Call, type_id: int, record_id: int) -> None:
    """Give a record back the associations it had when it was archived, with those that are still there."""
    key = (call.account, type_id, record_id)
    kept = call.state.db.execute(
        "SELECT to_type, to_id, kinds FROM archived_links WHERE account=? AND type=? AND id=?", key
    ).fetchall()
    call.state.db.execute("DELETE FROM archived_links WHERE account=? AND type=? AND id=?", key)
    for to, to_id, kinds in kept:
        if call.state.record(call.account, to, to_id) is not None:
            add(call, OBJECT_TYPES[type_id], record_id, OBJECT_TYPES[to], to_id, _split(kinds))


def remove_all(call: Call, type_id: int, record_id: int) -> None:
    """Take every association of a record away."""
    for to, to_id in everything(call, type_id, record_id):
        remove(call, type_id, record_id, to, to_id)


def move_all(call: Call, type_: ObjectType, loser: int, winner: int) -> None:
    """Give every association of one record to another of the same type."""
    for to, to_id in everything(call, type_.id, loser):
        kinds = _stored(call, type_.id, loser, to, to_id)
        remove(call, type_.id, loser, to, to_id)
        if (to, to_id) != (type_.id, winner):
            labels = [kind for kind in kinds if kind != PRIMARY.get((type_.id, to))]
            add(call, type_, winner, OBJECT_TYPES[to], to_id, labels)


def everything(call: Call, type_id: int, record_id: int) -> list[tuple[int, int]]:
    """Return (type, id) of every record that one is associated with."""
    return call.state.db.execute(
        "SELECT to_type, to_id FROM links WHERE account=? AND from_type=? AND from_id=?",
        (call.account, type_id, record_id),
    ).fetchall()


def of(call: Call, from_type: int, from_ids: list[int], to_type: int, *, after: int = 0) -> list[Link]:
    """Return the associations of some records with one other type, by both ids, `after` being the first `to_id`."""
    marks = ",".join("?" * len(from_ids))
    rows = call.state.db.execute(
        f"SELECT from_id, to_id, kinds FROM links WHERE account=? AND from_type=? AND from_id IN ({marks}) "
        "AND to_type=? AND to_id>=? ORDER BY from_id, to_id",
        (call.account, from_type, *from_ids, to_type, after),
    )
    return [Link(from_id, to_id, _split(kinds)) for from_id, to_id, kinds in rows]


def described(call: Call, from_: ObjectType, to: ObjectType, kinds: Iterable[int]) -> list[dict[str, Any]]:
    """Return type ids as v4 shows them: `{category, typeId, label}`."""
    labels = _labels(call, from_, to)
    return [
        {"category": "USER_DEFINED" if kind in labels else "HUBSPOT_DEFINED", "typeId": kind,
         "label": "Primary" if kind == PRIMARY.get((from_.id, to.id)) else labels.get(kind)}
        for kind in kinds
    ]


def legacy_names(from_: ObjectType, to: ObjectType, kinds: Iterable[int]) -> list[str]:
    """Return type ids as the object endpoints show them, such as `contact_to_company_unlabeled`."""
    plain = f"{from_.singular}_to_{to.singular}"
    primary = PRIMARY.get((from_.id, to.id))
    if primary is None:
        return [plain for _ in kinds][:1]
    return [plain if kind == primary else f"{plain}_unlabeled" for kind in kinds]


def _labels(call: Call, from_: ObjectType, to: ObjectType) -> dict[int, str]:
    return dict(call.state.db.execute(
        "SELECT kind, label FROM labels WHERE account=? AND from_type=? AND to_type=?",
        (call.account, from_.id, to.id),
    ).fetchall())


def _reverse(call: Call, pair: tuple[int, int], kind: int) -> int:
    known = _REVERSE.get((pair, kind))
    # A company's own label is stored under one id for both directions.
    return kind if known is None else known


def _split(kinds: str) -> tuple[int, ...]:
    return tuple(int(kind) for kind in kinds.split(","))


def _stored(call: Call, from_: int, from_id: int, to: int, to_id: int) -> list[int]:
    row = call.state.db.execute(
        "SELECT kinds FROM links WHERE account=? AND from_type=? AND from_id=? AND to_type=? AND to_id=?",
        (call.account, from_, from_id, to, to_id),
    ).fetchone()
    return [] if row is None else list(_split(row[0]))


def _store(call: Call, from_: int, from_id: int, to: int, to_id: int, kinds: list[int]) -> None:
    call.state.db.execute(
        "INSERT OR REPLACE INTO links VALUES (?,?,?,?,?,?)",
        (call.account, from_, from_id, to, to_id, ",".join(map(str, kinds))),
    )


def _company_side(pair: tuple[int, int], from_id: int, to_id: int) -> tuple[int, int, int]:
    # A record has one primary company; seen from the company there is no such limit.
    return (pair[0], from_id, to_id) if pair[1] == COMPANY else (pair[1], to_id, from_id)


def _has_primary(call: Call, pair: tuple[int, int], from_id: int, to_id: int) -> bool:
    owner_type, owner_id, _ = _company_side(pair, from_id, to_id)
    primary = PRIMARY[owner_type, COMPANY]
    return any(primary in link.kinds for link in of(call, owner_type, [owner_id], COMPANY))


def _sole_primary(call: Call, pair: tuple[int, int], from_id: int, to_id: int) -> None:
    owner_type, owner_id, company_id = _company_side(pair, from_id, to_id)
    for link in of(call, owner_type, [owner_id], COMPANY):
        if link.to_id != company_id:
            remove(call, owner_type, owner_id, COMPANY, link.to_id, [PRIMARY[owner_type, COMPANY]])
    if owner_type == CONTACT:
        row = call.state.record(call.account, CONTACT, owner_id)
        if row is not None:
            props = props_of(row) | {"associatedcompanyid": str(company_id)}
            call.state.save_props(call.account, CONTACT, owner_id, call.now_ms, props)


def _note_activity(call: Call, from_: ObjectType, from_id: int, to: ObjectType, to_id: int) -> None:
    """Move the contact when an activity is logged on it.

    Source: knowledge.hubspot.com as cited by third parties, checked 2026-11-22; hence the switch.
    """
    sides = {from_.id: from_id, to.id: to_id}
    activity = next((type_id for type_id in sides if type_id in ENGAGEMENTS), None)
    if activity is None or CONTACT not in sides or not call.switches.activity_moves_contact:
        return
    contact = call.state.record(call.account, CONTACT, sides[CONTACT])
    logged = call.state.record(call.account, activity, sides[activity])
    if contact is None or logged is None:
        return
    props, at = props_of(contact), props_of(logged).get("hs_timestamp")
    props["notes_last_updated"] = iso(call.now_ms)
    if activity in (CALL, MEETING, EMAIL, COMMUNICATION) and at is not None:
        for name in ("notes_last_contacted", "hs_last_sales_activity_timestamp"):
            props[name] = max(at, props.get(name, ""), key=lambda text: text.rstrip("Z"))
    call.state.save_props(call.account, CONTACT, sides[CONTACT], call.now_ms, props)
