"""`holdfast demo`: the main job on real input, from ticks to a replayed record, in under a minute.

tape.py     the ticks: a recording or the seeded market, cut to a window, and what prices do in it
script.py   24 positions placed on that tape so that each way out happens
show.py     runs venue and engine together, follows the script, ends with everything closed
report.py   what the record says: rows, sentences, figures, and the comparison with the venue's own books
"""
