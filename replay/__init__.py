"""Session files and what is done with them: record, verify, repair, replay. And the pipeline, which live engine and replay share.

    session.py   the file of a live session, written while it lives     lines.py   what one line of it looks like
    chain.py     the hash chain over its lines, keyed or not            anchor.py  count and head, kept outside of it
    reading.py   its records, verified on the way                       repair.py  cuts a torn tail, ends the file
    redact.py    takes secrets out of what is recorded                  manifest.py  which program and configuration wrote it

    pipeline.py  the pass of data; its docstring names the modules that decide on the way

`docs/session-format.md` describes the format for those who read it without this package.
"""
