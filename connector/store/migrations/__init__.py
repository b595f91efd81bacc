"""The store's schema versions, run by Alembic when a store is opened that is older than the program."""
