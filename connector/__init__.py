"""mql-connector: pull leads from HubSpot and Salesforce, score them with one core, hand the MQLs to sales."""

import logging

SEE_PERSONAL_DATA = (
    "MARKDOWN", "apprise", "charset_normalizer", "hubspot", "jwt", "pyrate_limiter", "requests", "requests_oauthlib",
    "simple_salesforce", "sqlalchemy", "urllib3", "zeep",
)
"""Libraries through whose hands payloads, addresses and tokens go: at DEBUG they write out bodies, rows and URLs.

Their lines stay with them, whatever the process does with its root logger: what goes wrong in them arrives as an
exception, which our own lines tell of by its kind. Levels would not do: HubSpot's SDK sets urllib3's anew. Who must
see more gives one of these loggers a handler, and keeps that log like a copy of the CRM.
"""

for _name in SEE_PERSONAL_DATA:
    _logger = logging.getLogger(_name)
    _logger.propagate = False
    _logger.addHandler(logging.NullHandler())    # else Python itself would print their warnings
