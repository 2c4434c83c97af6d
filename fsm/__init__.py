"""The machines: tables, the decisions that follow from them, and the policies that fill in the numbers.

    table.py      Row and Table: one literal tuple of rows per machine, checked for completeness, executed by `transitions`
    order.py      the order machine           position.py   the position machine
    trail.py      the trailing-stop machine   link.py       the venue-link machine
    model.py      what a position is          booking.py    what a fact changes, before anything is decided
    coverage.py   leases of each unit (I1, I2)  policy.py   from a row's command names to commands
    core.py       decide, evolve, verify      desk.py       many positions: correlation, timers, armed prices
    monitor.py    the second pair of eyes     notice.py     what only people should know: outage.py, unlisted.py, dead_man.py

Pure: no clock, no ids, no randomness, no logging, no I/O. Time and ids come inside facts.
"""
