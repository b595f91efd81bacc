"""The day's work in order: pull → evaluate → sync back; and the run that holds them together."""
