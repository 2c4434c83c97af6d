"""Scenarios: what happened to a position, one message a line, that runs against the machine and against each fault.

`text` reads and writes the format, `venue` is the venue under a scenario, `stage` a desk with one position at that venue,
`run` plays a scenario, `faults` plays it again with a fault at each message.
"""
