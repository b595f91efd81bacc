"""Backfills: read what is there, apart from the runs and beside them, in parts, and hand nobody off unless asked to."""
