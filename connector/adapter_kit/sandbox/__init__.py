"""The base that both CRM sandboxes stand on: a real HTTP server, its `/_sandbox/` controls, and the seed's vocabulary.

A sandbox plays the vendor. It shares no code with the adapter that is tested against it: nothing in here is
imported by an adapter's client, reader or writer (an import contract keeps it so).
"""
