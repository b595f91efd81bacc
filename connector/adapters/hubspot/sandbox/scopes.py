"""Which scope a request needs: a control can take scopes away from an account's credentials.

Source: https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/scopes, checked
2026-11-22; that activities go by the contacts' scopes, but e-mails by `sales-email-read`, is from the object guides.
"""

from __future__ import annotations

import re

from connector.adapters.hubspot.sandbox.schema import BY_NAME, COMPANY, CONTACT, DEAL, EMAIL, EVENT, LEAD

_PLURALS = {CONTACT: "contacts", COMPANY: "companies", DEAL: "deals", EVENT: "marketing_events", LEAD: "leads"}
_OF_PATHS = (
    (r"/crm/v3/owners", "crm.objects.owners.read"),
    (r"/crm/v3/pipelines", "crm.objects.deals.read"),
    (r"/marketing/v3/forms|/form-integrations", "forms"),
    (r"/marketing/v3/marketing-events", "crm.objects.marketing_events.read"),
    (r"/email/public", "content"),
    (r"/events/v3/events", "business-intelligence"),
)


def needed(method: str, path: str) -> str | None:
    """Return the scope that a request in the v1 to v4 spelling needs, or None when any token will do."""
    found = re.match(r"/crm/v[34]/(objects|properties|associations)/([^/]+)", path)
    if found is not None and found[2] in BY_NAME:
        reads = method == "GET" or path.endswith(("/search", "/batch/read"))
        type_id = BY_NAME[found[2]].id
        if type_id == EMAIL and reads and found[1] == "objects":
            return "sales-email-read"
        kind = "schemas" if found[1] == "properties" else "objects"
        return f"crm.{kind}.{_PLURALS.get(type_id, 'contacts')}.{'read' if reads else 'write'}"
    return next((scope for pattern, scope in _OF_PATHS if re.match(pattern, path)), None)
