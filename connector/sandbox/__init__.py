"""Both CRMs on loopback, filled with a believable company: the target of the demo, the tests and the benchmarks.

`seeds` says who lives in that company, `serve` starts the servers. How a CRM answers is no business of this
room: each adapter brings its own sandbox.
"""
