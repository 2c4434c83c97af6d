"""Scenarios: what happened to positions elsewhere, one message a line, run on the real pipeline against the real simulated venue.

`text` reads the format, `setup` what a scenario begins with, `floor` is pipeline and venue in virtual time, `run` plays a scenario and
checks it after each step, `table` holds those that come with the program (`rows/`) and sums them up, `sweep` plays them again with a
fault at each message.
"""
