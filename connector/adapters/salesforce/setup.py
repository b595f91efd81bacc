"""Make the custom fields our product writes to, through the Tooling API, or pack them for an administrator.

A field made this way is hidden from everybody until field-level security is granted on it, which looks the same as
a field that is not there: `set_up` grants it by a permission set where it may, else it says so instead of going on.
Source: assumed (Metadata API behaviour, common knowledge; not checked against a live org).
"""

from __future__ import annotations

from collections.abc import Sequence

from connector.adapter_kit.protocol import FieldSpec
from connector.adapters.salesforce import package
from connector.adapters.salesforce.answers import CRM
from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.fields import metadata_of, owner_of
from connector.adapters.salesforce.grants import PERMISSION_SET_LABEL, grant
from connector.adapters.salesforce.schema import TYPES, Schema
from connector.adapters.salesforce.streams import object_type_of
from connector.adapters.salesforce.tasks import KEY_FIELD
from connector.errors import (
    AccessDeniedError,
    ApiChangedError,
    ConfigError,
    OutcomeUnknownError,
    RejectedError,
)
from connector.logs import get_logger

log = get_logger(__name__)

KEY_SPEC = FieldSpec("tasks", KEY_FIELD, "MQL Key", "text", is_unique=True)

_EXISTS_ALREADY = frozenset({"DUPLICATE_DEVELOPER_NAME", "DUPLICATE_VALUE"})


def set_up(client: Client, schema: Schema, specs: Sequence[FieldSpec], *, create: bool) -> Sequence[FieldSpec]:
    """Return the specs whose field is missing in the org, the task's key always among those asked for.

    With `create`, the missing ones are made first.

    Raises:
        ConfigError: A field of that name is there, but is another kind of thing; all such are named.
        AccessDeniedError: A field exists and is hidden from the integration user, or fields may not be created.
    """
    needed = _with_key(specs)
    missing = _missing(schema, needed)
    if create and missing:
        for spec in missing:
            _create(client, spec)
        _forget(schema, missing)
        hidden = [spec for spec in missing if not _is_there(schema, spec)]
        if hidden:
            # All that is needed, so that our permission set is enough by itself.
            _grant(client, needed)
            _forget(schema, hidden)
        _demand_visible(schema, hidden)
    return missing


def pack(schema: Schema, specs: Sequence[FieldSpec], *, api_version: str) -> bytes:
    """Return a zip that makes the missing fields and a permission set that grants all of them, the task's key included.

    A field that exists and is hidden from the integration user counts as missing: deployed, it becomes as we need it.

    Raises:
        ConfigError: As `set_up`.
    """
    needed = _with_key(specs)
    return package.packed(_missing(schema, needed), needed, api_version=api_version)


def _with_key(specs: Sequence[FieldSpec]) -> list[FieldSpec]:
    is_named = any(spec.stream == KEY_SPEC.stream and spec.name == KEY_FIELD for spec in specs)
    return [*specs, *(() if is_named else (KEY_SPEC,))]


def _missing(schema: Schema, needed: Sequence[FieldSpec]) -> list[FieldSpec]:
    _forget(schema, needed)
    problems = [problem for spec in needed if (problem := _conflict(schema, spec))]
    if problems:
        raise ConfigError(problems, hint="Rename our field in the mapping, or change the field in Salesforce.")
    return [spec for spec in needed if not _is_there(schema, spec)]


def _forget(schema: Schema, specs: Sequence[FieldSpec]) -> None:
    for object_type in {object_type_of(spec.stream) for spec in specs}:
        schema.forget(object_type)


def _grant(client: Client, specs: Sequence[FieldSpec]) -> None:
    try:
        grant(client, [spec for spec in specs if spec.name.endswith("__c")])
    except (RejectedError, AccessDeniedError, ApiChangedError, OutcomeUnknownError) as error:
        # Whether it was granted shows in whether the fields can be seen; that is what the caller goes by.
        log.info("fields not granted", crm=CRM, error=type(error).__name__)


def _is_there(schema: Schema, spec: FieldSpec) -> bool:
    return spec.name in schema.fields_of(object_type_of(spec.stream))


def _conflict(schema: Schema, spec: FieldSpec) -> str:
    described = schema.fields_of(object_type_of(spec.stream)).get(spec.name)
    if described is None:
        return ""
    place = f"salesforce: field {object_type_of(spec.stream)}.{spec.name}"
    if spec.is_unique and not described.get("externalId"):
        return f"{place} exists, but is not an external id"
    found, wanted = TYPES.get(described["type"]), spec.type
    if found != wanted and not (wanted in ("text", "choice", "reference") and found in ("text", "choice")):
        return f"{place} exists as {described['type']}, not {wanted}"
    return ""


def _demand_visible(schema: Schema, specs: Sequence[FieldSpec]) -> None:
    hidden = [f"{object_type_of(spec.stream)}.{spec.name}" for spec in specs if not _is_there(schema, spec)]
    if hidden:
        raise AccessDeniedError(
            f"Salesforce hides fields that exist: {', '.join(hidden)}", crm=CRM,
            hint="Grant the integration user read and edit access to them (field-level security), then try again; or "
            "have an administrator deploy what `mql setup COMPANY --package FILE.zip` writes, and assign its "
            f"permission set {PERMISSION_SET_LABEL!r}.",
        )


def _create(client: Client, spec: FieldSpec) -> None:
    # Where an org refuses the name of the common parent of tasks and events, the object's own is tried.
    owners = tuple(dict.fromkeys((owner_of(spec), object_type_of(spec.stream))))
    for owner in owners:
        body = {"FullName": f"{owner}.{spec.name}", "Metadata": metadata_of(spec)}
        try:
            client.write("POST", "tooling/sobjects/CustomField", body)
        except AccessDeniedError as error:
            error.hint = (
                "Fields are made by a user with the right Customize Application; or have an administrator deploy what "
                "`mql setup COMPANY --package FILE.zip` writes."
            )
            raise
        except (RejectedError, ApiChangedError) as error:
            if isinstance(error, RejectedError) and error.code in _EXISTS_ALREADY:
                return
            if owner == owners[-1]:
                raise
        else:
            return
