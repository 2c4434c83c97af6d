"""The process: configuration, live engine, command line.

This is the imperative shell around the pure folders: it owns the clock, the sockets, the disk and the terminal, and decides
nothing about a position. `holdfast.cli` is the way in; `holdfast.guard` refuses to start beside foreign packages that carry
our names; `holdfast.config` is the one tree of settings; each command of the command line is a module of
`holdfast.commands`. What happens to a position is decided in `fsm` and told by `events`.
"""
