"""Kraken Spot, WebSocket v2: spot and margin.

Pure: `codec` (frames read), `encode` (requests written), `errors` (what a refusal text means), `orders` (the merged record
of each order), `executions` (sparse updates to facts), `translate` (the whole: text in, facts and messages out; commands
in, text out). I/O: `auth` (the token for the private socket), `link` (one socket), `session` (two of them, with `pacing`
and `conflation`).
Protocol facts and their sources are named where they are used; what no capture shows is marked "not verified".
"""
