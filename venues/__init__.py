"""Venues: what each one can do, how its frames are read and written, and a venue of our own to test against.

One folder per venue: a pure codec and translator (frames to facts and back) and a session that only receives, stamps and
hands on. `venues.messages` holds what a venue says that is not a fact of one position.
"""
