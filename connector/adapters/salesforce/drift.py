"""What an org no longer shows: a refused question is compared with a fresh description of its object."""

from __future__ import annotations

from collections.abc import Sequence

from connector.adapters.salesforce.answers import CRM
from connector.adapters.salesforce.schema import Schema
from connector.adapters.salesforce.streams import Source
from connector.errors import ApiChangedError, FieldsMissingError


def explained(schema: Schema, source: Source, fields: Sequence[str], error: ApiChangedError) -> ApiChangedError:
    """Return the error to raise instead: with exactly those of the fields that are gone or hidden, if any are.

    Costs a describe of the object and of each parent that the fields name.
    """
    schema.forget_all()
    try:
        schema.fields_of(source.object_type)
        missing = [field for field in fields if schema.find(source.object_type, field) is None]
    except ApiChangedError:
        needs = f" It needs {source.needs}." if source.needs else ""
        return ApiChangedError(
            f"Salesforce does not show {source.object_type} to us ({source.info.name})", crm=CRM,
            hint=f"The org does not have this object, or the integration user may not read it.{needs}",
        )
    if not missing:
        return error
    return FieldsMissingError(
        f"Salesforce no longer shows fields of {source.info.name}: {', '.join(missing)}", fields=missing, crm=CRM,
        hint="They were renamed or removed, or the integration user may not read them any more (field-level security "
        "looks the same). Check the mapping against the org.",
    )
