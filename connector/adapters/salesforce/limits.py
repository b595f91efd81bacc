"""Salesforce's limits, as far as we have to keep within them ourselves.

The daily calls are no figure here: every answer says how many are used and allowed (`Sforce-Limit-Info`), for all apps
of the org together. They are 15,000 in a Developer Edition, 100,000 and 1,000 more per licence in an Enterprise Edition
(5,000 more per licence in an Unlimited Edition), over any 24 hours. Requests of 20 seconds and more are limited to 25
at once (5 in a Developer Edition); an adapter sends one request at a time.
Source: github.com/api-evangelist/salesforce, rate-limits/salesforce-rate-limits.yml, and developer.salesforce.com/docs/
platform/salesforce-app-limits-cheatsheet/guide/salesforce-app-limits-platform-api.html, checked 2026-11-22.
"""

from __future__ import annotations

from datetime import timedelta

LARGEST_PAGE = 2_000
"""Rows per answer. Source: developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/
headers_queryoptions.htm, checked 2026-11-22: default and maximum 2,000, minimum 200, no guarantee."""

LONGEST_QUERY_URL = 8_000
"""Bytes of a query's URL; longer SOQL travels in a composite body. The vendor's limit is 16,384 with the headers.
Source: help.salesforce.com article 000386264, checked 2026-11-22."""

IDS_PER_QUERY = 500
"""Ids in one IN; with the quoting of an address they take 27 bytes each, so that 500 still fit one (measured)."""

QUERIES_TOGETHER = 5
"""Queries in one Composite request, which is one API call. 25 parts are documented, that only five of them may be
queries is not verified; five is safe either way. Source: developer.salesforce.com/docs/atlas.en-us.api_rest.meta/
api_rest/requests_composite.htm, checked 2026-11-22."""

CHARACTERS_TOGETHER = 100_000
"""Characters of all queries in one Composite request. Our choice: a single query may be as long."""

REPLICATION_REACH = timedelta(days=15)
"""How far back getDeleted can be asked, and how long the recycle bin keeps a record.
Source: developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_getdeleted.htm, checked
2026-11-22."""

BULK_PAGE = 5_000
"""Rows of a bulk result fetched at once. Our choice: memory stays flat, and a million rows are 200 calls."""
