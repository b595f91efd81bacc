"""What only the Salesforce sandbox has under `/_sandbox/`: an org's switches, and what happens without requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from connector.adapter_kit.sandbox.server import ControlError
from connector.adapters.salesforce.sandbox import admin_rules, long_transactions
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.sessions import Sessions


class Orgs(Protocol):
    """Whoever keeps the orgs."""

    @property
    def sessions(self) -> Sessions:
        """Who is let in."""

    def org(self, account: str) -> Org:
        """Return the account's org."""


def answer(orgs: Orgs, method: str, what: str, account: str | None, body: Mapping[str, Any]) -> Any:
    """Answer one control.

    Raises:
        ControlError: There is no such control, or it says something that cannot be.
    """
    if account is None:
        raise ControlError("say whose: `account`")
    try:
        org = orgs.org(account)
    except ValueError as error:
        raise ControlError(str(error)) from error
    said = {name: value for name, value in body.items() if name != "account"}
    match method, what:
        case "POST", "switches":
            org.switches = org.switches.changed(said)
            return asdict(org.switches)
        case "GET", "switches":
            return asdict(org.switches)
        case "GET", "jwt":
            return orgs.sessions.jwt_credentials(account)
        case "POST", "sessions":
            return _change_sessions(orgs.sessions, account, said.get("action"))
        case "POST", "rules":
            return admin_rules.add(org, said)
        case "DELETE", "rules":
            admin_rules.clear(org)
            return {"rules": []}
        case "POST", "locks":
            admin_rules.lock(org, [str(one) for one in said.get("ids", [])], float(said.get("seconds", 0)))
            return {"locked": sorted(org.locks)}
        case "POST", "picklists":
            return _set_picklist(org, said)
        case "POST", "transactions":
            writes = said.get("writes", [])
            if not isinstance(writes, list):
                raise ControlError("`writes` is a list")
            return long_transactions.begin(org, writes, float(said.get("seconds", 0)))
        case "DELETE", "transactions":
            return {"written": long_transactions.end_due(org, at_once=True)}
        case _:
            raise ControlError(f"no such control: {method} /_sandbox/{what}")


def _set_picklist(org: Org, said: Mapping[str, Any]) -> dict[str, Any]:
    """Replace a standard picklist: `{"object", "field", "values": [..], "restricted"?, "closed"?: of Task.Status}`."""
    sobject = org.sobject(str(said.get("object", "")))
    field = sobject.field(str(said.get("field", ""))) if sobject else None
    values = said.get("values")
    if sobject is None or field is None or not field.picklist or not isinstance(values, list) or not values:
        raise ControlError("`object` and `field` name a picklist, `values` are its words")
    words = [str(value) for value in values]
    with org.transaction():
        if (sobject.name, field.name) == ("Task", "Status"):
            org.set_task_statuses(words, closed=[str(value) for value in said.get("closed", [])])
        if said.get("restricted"):
            org.set_picklist(sobject.name, field.name, words, restricted=True)
        else:
            org.set_picklist(sobject.name, field.name, words)
    return {"values": words}


def _change_sessions(sessions: Sessions, account: str, action: Any) -> dict[str, Any]:
    match action:
        case "end":
            return {"ended": sessions.end(account)}
        case "revoke":
            sessions.revoke(account)
        case "restore":
            sessions.restore(account)
        case _:
            raise ControlError("`action` is `end`, `revoke` or `restore`")
    return {action: account}
