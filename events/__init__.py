"""What happened and what is to be done: facts, commands, value types, and the store that keeps them.

Everything here is data. Nothing in this folder decides anything: a fact (`events.facts`) says what the venue, the clock
or a person did; a command (`events.commands`) says what is to be sent; a `PositionEvent` (`events.record`) joins the two.
`events.store` is the only part that touches a disk or a database.
"""
