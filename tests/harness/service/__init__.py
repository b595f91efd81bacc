"""The service under fire: many companies, several workers, and whatever may go wrong, judged from outside.

`python -m tests.harness.service.fleet` plays it and tells how fresh, how often and what was lost;
`python -m tests.harness.service.trials` plays single misfortunes. docs/harness.md tells more.
"""
