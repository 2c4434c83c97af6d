"""What the record answers when a person asks: the work behind `show`, `why`, `check`, `verify` and `replay`.

    find       a position or an event by what a person types for it
    digits     money and quantities with as many digits as say something
    words      a fact in a few words
    books      the projections of a whole store
    status     a position in full: confirmed beside wanted, clocks, what comes next; status_text writes it
    dossier    a position's whole story; dossier_text writes it      protection  its windows against the budget
    causes     which event led to which          why       one decision, with its reasons and causes
    exposure   who is unprotected past the budget at a moment
    audit      a whole log decided again         diff      two events, field by field
    verdicts   sessions verified and replayed

Everything here only reads: no lease is taken, and an engine that runs on the same store is not disturbed.
"""
