"""Scenarios: what happened to positions elsewhere, one message a line, run on the real pipeline against the real simulated venue.

`text` reads the format, `floor` is pipeline and venue in virtual time, `run` plays a scenario and checks it after each step,
`sweep` plays it again with a fault at each message, `table` sums up.
"""
