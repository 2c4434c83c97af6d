"""Folds over stored position events: what the record says about fills, money, orders and protection.

    exact.py      exact sums, and the one rounding            fills.py      every execution once, every transfer (I8)
    ledger.py     double entry, per asset                     pnl.py        average cost, realized and unrealized
    lots.py       FIFO, LIFO, HIFO, LOFO matching             orders.py     every order with its life
    windows.py    unprotected windows with causes (E7)        exits.py      the exit paths that were taken (A28)
    equity.py     equity per quote currency over time         positions.py  one row per position
    books.py      all of them together                        catchup.py    follows a store, writes view rows
    export.py     CSV, JSON lines, Arrow, Parquet

Pure: a fold reads events and nothing else, so that books rebuilt from the log equal the live ones. Only `catchup.py` and
`export.py` touch files.
"""
