"""HubSpot as its clients see it: routes in both spellings of the API, tokens, errors, limits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from connector.adapter_kit.sandbox.server import ControlError, SandboxApp, WorldBuilder
from connector.adapter_kit.sandbox.world import World
from connector.adapters.hubspot.sandbox import (
    accounts,
    associations,
    batches,
    controls,
    crowd,
    errors,
    events,
    forms,
    mailing,
    merging,
    objects,
    pages,
    participations,
    pipelines,
    properties,
    scopes,
    search,
    seed,
    tracking,
)
from connector.adapters.hubspot.sandbox.call import Call, Handler, Route, Switches, answer
from connector.adapters.hubspot.sandbox.errors import VendorError
from connector.adapters.hubspot.sandbox.limits import Kind, Limits
from connector.adapters.hubspot.sandbox.property_book import PropertyBook
from connector.adapters.hubspot.sandbox.schema import BY_NAME, CONTACT, OBJECT_TYPES
from connector.adapters.hubspot.sandbox.state import COLUMNS, State, props_of
from connector.adapters.hubspot.sandbox.values import iso, to_ms

_VERSION = r"/(?:2025-09|2026-03|2026-09)(?=/|$)"
_NAMED_VERSION = re.compile(r"/(20\d\d-\d\d)(?=/|$)")
_DATED = tuple((re.compile(pattern), old) for pattern, old in (
    # An object's associations live under /crm/objects in the dated spelling, under /crm/v4/objects in the old one.
    (r"^/crm/objects" + _VERSION + r"(?=/[^/]+/[^/]+/associations/)", "/crm/v4/objects"),
    (r"^/crm/objects" + _VERSION, "/crm/v3/objects"),
    (r"^/crm/associations" + _VERSION, "/crm/v4/associations"),
    (r"^/crm/(properties|owners|pipelines)" + _VERSION, r"/crm/v3/\1"),
    (r"^/marketing/marketing-events" + _VERSION, "/marketing/v3/marketing-events"),
    (r"^/marketing/forms/(?:2026-09-beta|2027-03-beta)(?=/|$)", "/marketing/v3/forms"),
    (r"^/events/event-occurrences" + _VERSION, "/events/v3/events"),
    (r"^/account-info" + _VERSION, "/account-info/v3"),
    (r"^/oauth(?:/v3|" + _VERSION + ")/token", "/oauth/v1/token"),
))

_STARTING_OWNERS = (("佐藤", "花子", "hanako.sato"), ("Tanaka", "Ken", "ken.tanaka"))


def undated(path: str) -> str:
    """Return a path in the v3/v4 spelling that the routes are written in.

    Source: HubSpot's path forms, https://developers.hubspot.com/docs/developer-tooling/platform/versioning,
    checked 2026-11-22.
    """
    path = path.rstrip("/")
    for pattern, old in _DATED:
        path, found = pattern.subn(old, path)
        if found:
            break
    return path


class HubSpotSandbox(SandboxApp):
    """One HubSpot, many accounts: a bearer `pat-sandbox-NAME` opens the account NAME, made on first use.

    Attributes:
        switches: What is unverified about HubSpot; tests set it both ways.
        state: The SQLite behind it.
    """

    crm: ClassVar[str] = "hubspot"

    def __init__(self, worlds: WorldBuilder, state_dir: Path | None) -> None:
        super().__init__(worlds)
        self.switches = Switches()
        self.state = State(state_dir)
        self.properties = PropertyBook(self.state)
        self.limits = Limits(self.switches)
        self.state.db.create_function("has_token", 2, search.has_token, deterministic=True)
        own: list[Route] = [
            *objects.ROUTES, *batches.ROUTES, *merging.ROUTES, *search.ROUTES, *associations.ROUTES,
            *properties.ROUTES, *accounts.ROUTES, *forms.ROUTES, *events.ROUTES, *participations.ROUTES,
            *tracking.ROUTES, *mailing.ROUTES, *pipelines.ROUTES,
            *self.limits.routes(),
        ]
        self._routes = _bound(own)
        self._open_routes = _bound([*forms.OPEN_ROUTES, *tracking.OPEN_ROUTES, *pages.OPEN_ROUTES])

    # Requests ------------------------------------------------------------------------------------------

    def account_of(self, request: Request) -> str | None:
        """Return the account of the token, or of the portal id that an unauthenticated call names."""
        with self.lock:
            try:
                if undated(request.path) == _TOKEN_PATH:
                    return accounts.client_named_by(request)
                return _named_by_portal(self.state, request) or accounts.account_named_by(
                    self.state, request, to_ms(self.clock.now())
                )
            except VendorError:
                return None

    def dispatch(self, request: Request) -> Response:
        """Answer one vendor request; whatever it wrote before an error is undone."""
        account: int | None = None
        path = undated(_asked_path(request))
        kind = _kind_of(request, path)
        try:
            with self.state.transaction():
                if len(request.environ.get("REQUEST_URI", "")) > self.switches.longest_uri:
                    raise VendorError(414, "URI Too Long")
                handler, arguments, name = self._route(request, path)
                account = self._opened(name)
                call = self._call(request, account)
                if kind is not None:
                    self._refuse(call, path, kind)
                response = handler(call, **arguments)
        except VendorError as error:
            if account is not None:
                self.properties.forget(account)
            response = answer(error.body, error.status)
            response.headers.update(error.headers)
        if account is not None and kind is not None:
            self.limits.tell(account, response, kind, oauth=accounts.is_oauth(request))
        return response

    def _refuse(self, call: Call, path: str, kind: Kind) -> None:
        """Raise VendorError when the account moves, a limit is reached, a scope is missing or the body is no JSON."""
        until_ms = int(self.state.condition(call.account, "migrates_until_ms") or 0)
        if call.now_ms < until_ms:
            raise errors.migrating(-(-(until_ms - call.now_ms) // 1000))
        self.limits.count(call.account, call.now_ms, kind, oauth=accounts.is_oauth(call.request))
        scope = scopes.needed(call.request.method, path)
        taken = self.state.condition(call.account, "missing_scopes")
        if scope is not None and taken is not None and scope in taken.split():
            raise errors.missing_scopes([scope])
        if call.request.content_length and call.request.mimetype not in ("", "application/json"):
            raise VendorError(415, "HTTP 415 Unsupported Media Type")

    def _route(self, request: Request, path: str) -> tuple[Handler, Mapping[str, Any], str]:
        """Return who answers, with the path's variables, and the name of the account."""
        open_call = _matched(self._open_routes, request, path)
        if open_call is not None:
            name = _named_by_portal(self.state, request)
            if name is None:
                raise VendorError(404, "The portal id belongs to no account of this sandbox", "OBJECT_NOT_FOUND")
            return *open_call, name
        if path == _TOKEN_PATH and request.method == "POST":
            return accounts.new_token, {}, accounts.granted_account(self.state, self.switches, request)
        name = accounts.account_named_by(self.state, request, to_ms(self.clock.now()))
        found = _matched(self._routes, request, path)
        if found is None:
            raise VendorError(404, "resource not found", "OBJECT_NOT_FOUND")
        return *found, name

    def _call(self, request: Request, account: int, source: str = "INTEGRATION") -> Call:
        (portal_id,) = self.state.db.execute("SELECT portal_id FROM accounts WHERE id=?", (account,)).fetchone()
        now_ms = to_ms(self.clock.now())
        self.state.purge_archived(account, now_ms - _RESTORABLE_MS, now_ms)
        version = _NAMED_VERSION.search(request.path)
        return Call(
            request, self.state, self.switches, self.properties, account, portal_id, now_ms, source,
            version and version[1],
        )

    def _opened(self, name: str, *, prepared: bool = True) -> int:
        account = self.state.find_account(name)
        if account is None:
            account = self.state.add_account(name)
            self._prepare(account, prepared=prepared)
        return account

    def _prepare(self, account: int, *, prepared: bool) -> None:
        now_ms = to_ms(self.clock.now())
        self.properties.prepare(account, now_ms, prepared=prepared)
        for last_name, first_name, mailbox in _STARTING_OWNERS:
            owner_id = self.state.take_ids(account)
            accounts.add_owner(
                self.state, account, owner_id, f"{mailbox}@owner.example", first_name, last_name, now_ms
            )

    # What every sandbox has ----------------------------------------------------------------------------

    def fault_body(self, status: int) -> Any:
        """Return HubSpot's body for an error that a fault asked for."""
        return errors.for_status(status)

    def reset(self, account: str | None, *, prepared: bool = True) -> None:
        """Empty one account or all; each keeps two owners, HubSpot's own properties and, prepared, the product's."""
        with self.state.transaction():
            for name in [account] if account is not None else self.state.account_names():
                number = self.state.find_account(name)
                if number is None:
                    self._opened(name, prepared=prepared)
                else:
                    self.state.empty_account(number)
                    self._prepare(number, prepared=prepared)

    def load_world(self, account: str, world: World) -> dict[str, int]:
        """Add a seed's people and what they did, those who are in HubSpot; return how many records of each kind.

        The crowd is written down and counted; `load_part` makes it.
        """
        with self.state.transaction():
            number = self._opened(account)
            call = self._call(Request({}), number, source="IMPORT")
            return seed.load(call, world)

    def load_part(self, account: str) -> bool:
        """Make the next part of the account's crowd; return whether more is left."""
        number = self.state.find_account(account)
        if number is None:
            return False
        with self.state.transaction():
            return crowd.go_on(self.state, number)

    def answers_early(self, account: str, request: Request) -> bool:
        """Tell whether this is a list of contacts whose page, and the row after it, are there though more is to come.

        A crowd is made in the order of its ids, which are above all others, so the rows before its end stay as they
        are. What belongs to a contact is made later: a list with associations waits.
        """
        number = self.state.find_account(account)
        on_its_way = None if number is None else crowd.unfinished(self.state, number)
        path, asked = undated(_asked_path(request)), request.args
        type_ = BY_NAME.get(path.removeprefix(_OBJECTS)) if path.startswith(_OBJECTS) else None
        limit, after = asked.get("limit", "10"), asked.get("after") or "0"
        if (
            on_its_way is None or request.method != "GET" or type_ is None or type_.id != CONTACT
            or "associations" in asked or asked.get("archived", "false").lower() != "false"
            or not (limit.isascii() and limit.isdigit() and after.isascii() and after.isdigit())
        ):
            return False
        there = on_its_way.listed_below - max(int(after[:18]), on_its_way.first_id)
        return on_its_way.are_all_listed or there > int(limit[:18])

    def own_control(self, method: str, what: str, account: str | None, body: Mapping[str, Any]) -> Any:
        """Carry out what only HubSpot's sandbox can do; `controls` says what that is.

        Raises:
            ControlError: There is no such control, or it makes no sense.
        """
        return controls.carry_out(self, method, what, account, body)

    def calling(self, account: str) -> Call:
        """Return a call in the name of the account, opened when it is new, for a control or a seed."""
        return self._call(Request({}), self._opened(account))

    def deactivate_owner(self, account: str, email: str) -> None:
        """Deactivate an owner, as an administrator would: HubSpot's API cannot. Unknown ones are passed over."""
        with self.lock, self.state.transaction():
            self.state.db.execute(
                "UPDATE owners SET archived=1 WHERE account=? AND email=?", (self.state.find_account(account), email)
            )

    def stored_records(self, account: str, object_name: str) -> Iterator[Mapping[str, Any]]:
        """Yield records of an object type, then what was merged away or erased; or a table of `_TABLES_SHOWN`.

        Raises:
            ControlError: There is no such account or object.
        """
        number = self.state.find_account(account)
        if number is None:
            raise ControlError("no such account; it is made by its first request")
        if object_name in _TABLES_SHOWN:
            rows = self.state.db.execute(f"SELECT * FROM {object_name} WHERE account=?", (number,))
            names = [column[0] for column in rows.description]
            yield from (dict(zip(names, row)) for row in rows)
            return
        if object_name not in BY_NAME:
            raise ControlError(f"no such object; there are {', '.join(t.plural for t in OBJECT_TYPES.values())}")
        type_ = BY_NAME[object_name]
        for row in self.state.db.execute(
            f"SELECT {COLUMNS} FROM records WHERE account=? AND type=? ORDER BY id", (number, type_.id)
        ):
            yield {"id": str(row[0]), "archived": bool(row[1]), "createdAt": iso(row[2]), "updatedAt": iso(row[3]),
                   "properties": props_of(row)}
        for record_id, why, into_id, at_ms in self.state.db.execute(
            "SELECT id, why, into_id, at_ms FROM removed WHERE account=? AND type=? ORDER BY id", (number, type_.id)
        ):
            yield {"id": str(record_id), "removed": why, "into": into_id and str(into_id), "at": iso(at_ms)}

    def close(self) -> None:
        """Close the state."""
        with self.lock:
            self.state.close()


_TOKEN_PATH = "/oauth/v1/token"

_RESTORABLE_MS = 90 * 86_400_000
"""How long the archive keeps a record: https://knowledge.hubspot.com/records/restore-deleted-records, checked
2026-11-22."""

_TABLES_SHOWN = ("forms", "submissions", "page_views", "interactions", "owners", "email_events")

_OBJECTS = "/crm/v3/objects/"

_SLASH = "%2F"

_BoundRoutes = tuple[Map, dict[str, Handler]]


def _bound(routes: list[Route]) -> _BoundRoutes:
    handlers = {f"{method} {rule}": handler for method, rule, handler in routes}
    return _map(tuple((method, rule) for method, rule, _ in routes)), handlers


@cache
def _map(addresses: tuple[tuple[str, str], ...]) -> Map:
    # werkzeug compiles each address with Python's own compiler: once a process, however many sandboxes it makes.
    rules = [Rule(rule, methods=[method], endpoint=f"{method} {rule}") for method, rule in addresses]
    return Map(rules, strict_slashes=False, redirect_defaults=False, merge_slashes=False)


def _matched(routes: _BoundRoutes, request: Request, path: str) -> tuple[Handler, Mapping[str, Any]] | None:
    try:
        endpoint, arguments = routes[0].bind("").match(path or "/", method=request.method)
    except NotFound:
        return None
    except MethodNotAllowed as error:
        refusal = VendorError(405, "HTTP 405 Method Not Allowed")
        refusal.headers["Allow"] = ",".join(sorted(error.valid_methods or ()))
        raise refusal from error
    return routes[1][endpoint], {
        name: value.replace(_SLASH, "/") if isinstance(value, str) else value for name, value in arguments.items()
    }


def _kind_of(request: Request, path: str) -> Kind | None:
    """Return which limit a request counts against; None for what needs no access token."""
    needs_none = ("/submissions/v3/integration/submit/", "/contacts/")
    if path == _TOKEN_PATH or path.startswith(needs_none) or path == "/__ptq.gif":
        return None
    if path.endswith("/search"):
        return "search"
    if path.startswith("/crm/v4/"):
        return "association"
    return "oauth" if accounts.is_oauth(request) else "plain"


def _asked_path(request: Request) -> str:
    """Return the decoded path, but for encoded slashes: those belong to an id, such as a unique property's value."""
    raw = str(request.environ.get("REQUEST_URI", "")).partition("?")[0]
    return unquote(re.sub("%2f", "%252F", raw, flags=re.IGNORECASE))


def _named_by_portal(state: State, request: Request) -> str | None:
    found = re.match(r"(?:/submissions/v3/integration(?:/secure)?/submit|/contacts)/(\d{1,12})/", request.path)
    given = found[1] if found else request.args.get("a", "") if request.path == "/__ptq.gif" else ""
    return state.account_by_portal(int(given)) if given.isascii() and given.isdigit() else None
