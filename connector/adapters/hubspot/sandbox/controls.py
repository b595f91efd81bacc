"""What people, HubSpot itself and time do in an account that no endpoint of HubSpot's API does.

The controls live under `/_sandbox/`, and each body names the `account`:

| call | body | does |
|---|---|---|
| `GET switches`, `POST switches` | any of `Switches` | tell or set what is unverified; for all accounts |
| `POST email_events` | `events`: `[{type, recipient, campaign, subject?, url?, filteredEvent?, at?}]` | mail is read |
| `POST restore` | `object`, `ids` | somebody restores archived records |
| `POST lock` | `object`, `ids`, `seconds` (2) | others write to the records: 423 |
| `POST migration` | `seconds` | the account moves between data centres: 477 |
| `POST credentials` | `revoke` or `expire` true, or `missing_scopes`: `[…]` | an administrator changes its rights |
| `POST rules` | `object`, `property`, `kind`, `when_property?`, `when_value?` | an administrator sets a `rules.Rule` |
| `POST rules` | `object`, `clear`: true | an administrator takes an object's rules away |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from connector.adapter_kit.sandbox.server import ControlError
from connector.adapters.hubspot.sandbox import accounts, mailing, rules, writes
from connector.adapters.hubspot.sandbox.call import Call, type_named
from connector.adapters.hubspot.sandbox.errors import VendorError
from connector.adapters.hubspot.sandbox.schema import ObjectType
from connector.adapters.hubspot.sandbox.values import parse_instant

if TYPE_CHECKING:
    from connector.adapters.hubspot.sandbox.app import HubSpotSandbox


def carry_out(app: HubSpotSandbox, method: str, name: str, account: str | None, body: Mapping[str, Any]) -> Any:
    """Carry out one control and return its answer. Called without the app's lock.

    Raises:
        ControlError: There is no such control, its body makes no sense, or HubSpot would refuse it.
    """
    with app.lock:
        if name == "switches":
            return _switches(app, body if method == "POST" else {})
        control = _OF_ACCOUNTS.get(name) if method == "POST" else None
        if control is None:
            raise ControlError(f"no such control: {method} /_sandbox/{name}")
        if account is None:
            raise ControlError("say which account: `account`")
        app.await_whole(account)
        try:
            with app.state.transaction():
                return control(app.calling(account), body)
        except VendorError as error:
            raise ControlError(error.body["message"]) from error
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ControlError(f"{name}: {error!r}") from error


def _switches(app: HubSpotSandbox, body: Mapping[str, Any]) -> dict[str, Any]:
    known = {one.name: type(getattr(app.switches, one.name)) for one in fields(app.switches)}
    wanted = {name: value for name, value in body.items() if name != "account"}
    for name, value in wanted.items():
        if name not in known:
            raise ControlError(f"no such switch: {name}; there is {', '.join(sorted(known))}")
        if type(value) is not known[name] and not (known[name] is float and isinstance(value, int)):
            raise ControlError(f"{name} is a {known[name].__name__}")
    for name, value in wanted.items():
        setattr(app.switches, name, value)
    return asdict(app.switches)


def _email_events(call: Call, body: Mapping[str, Any]) -> dict[str, int]:
    for one in body["events"]:
        kind, recipient = str(one["type"]), str(one["recipient"]).strip().lower()
        if kind not in mailing.KINDS:
            raise ControlError(f"an e-mail event is one of {', '.join(mailing.KINDS)}")
        campaign = mailing.add_campaign(call, str(one["campaign"]), str(one.get("subject", one["campaign"])))
        at_ms = parse_instant(str(one["at"])) if "at" in one else call.now_ms
        more = {key: one[key] for key in ("url", "filteredEvent") if key in one}
        mailing.happen(call, kind, recipient, campaign, at_ms, more)
    return {"email_events": len(body["events"])}


def _restore(call: Call, body: Mapping[str, Any]) -> dict[str, int]:
    for record_id in body["ids"]:
        writes.restore(call, _type(body), int(record_id))
    return {"restored": len(body["ids"])}


def _lock(call: Call, body: Mapping[str, Any]) -> dict[str, int]:
    until_ms = call.now_ms + int(float(body.get("seconds", 2)) * 1000)
    for record_id in body["ids"]:
        call.state.db.execute(
            "INSERT OR REPLACE INTO locks VALUES (?,?,?,?)", (call.account, _type(body).id, int(record_id), until_ms)
        )
    return {"locked": len(body["ids"])}


def _migration(call: Call, body: Mapping[str, Any]) -> dict[str, float]:
    seconds = float(body["seconds"])
    call.state.set_condition(call.account, "migrates_until_ms", str(call.now_ms + int(seconds * 1000)))
    return {"migrates_for_seconds": seconds}


def _credentials(call: Call, body: Mapping[str, Any]) -> dict[str, Any]:
    if body.get("revoke"):
        accounts.revoke(call.state, call.account)
    if body.get("expire"):
        accounts.expire(call.state, call.account, call.now_ms)
    if "missing_scopes" in body:
        call.state.set_condition(call.account, "missing_scopes", " ".join(map(str, body["missing_scopes"])))
    return {"credentials": "changed"}


def _rules(call: Call, body: Mapping[str, Any]) -> dict[str, str]:
    if body.get("clear"):
        rules.clear(call, _type(body))
        return {"rule": "none"}
    given = {key: str(body[key]) for key in ("property", "kind", "when_property", "when_value") if key in body}
    rules.add(call, _type(body), rules.Rule(**given))  # type: ignore[arg-type]
    return {"rule": given["kind"]}


def _type(body: Mapping[str, Any]) -> ObjectType:
    return type_named(str(body["object"]))


_OF_ACCOUNTS: dict[str, Callable[[Call, Mapping[str, Any]], dict[str, Any]]] = {
    "email_events": _email_events, "restore": _restore, "lock": _lock, "migration": _migration,
    "credentials": _credentials, "rules": _rules,
}
