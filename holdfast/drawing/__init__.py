"""Pictures and documents of the machines, generated from the tables that execute (E4), and of what a log did on them.

    chart      a table merged until it can be read       machines   which tables there are
    dot, mermaid, markdown                               a chart as text: the same table, the same bytes
    svg        DOT as a picture; only this needs the extra `diagrams`
    path       the way of one position, from its events  counts     a log in figures
    overlay    both of these, drawn over the machine     files      what is committed in `diagrams/`, and its drift

All of it is a function of tables and events; only `files` touches a disk.
"""
