"""Kill, cut off, repeat and overlap runs against two real sandbox CRMs, and look at what sales would see afterwards.

`python -m tests.harness.crash_points` kills a run at every line between a decision and its last receipt;
`python -m tests.harness.schedules` plays random days of a company. Both print what is wrong and how to repeat it:
docs/harness.md.
"""
