"""The commands, one module each, imported only when they run.

To add `holdfast orders`: write `holdfast/commands/orders.py` with a function `command`, and add one line to `COMMANDS` in
`holdfast/cli.py` (the name, and the sentence that `holdfast --help` prints).

    from holdfast.commands.options import Output, Settings
    from holdfast.output import print_rows

    def command(position: str | None = None, *, output: Output = "table", settings: Settings = Settings()) -> None:
        '''List the orders, of one position or of all.

        Parameters
        ----------
        position: id of a position.
        '''
        config = settings.load().config
        print_rows(rows, output)                # dictionaries or Structs; numbers as Decimal or int

The signature is the interface: arguments before `*` are positional, the others are options; names, types and the docstring
make the help. Return None or an exit code. Raise `events.errors` for what the user can mend; the command line prints the
sentence and ends with its exit code. A command with commands of its own is a cyclopts `App` called `command` (`config.py`).
Heavy modules may be imported at the top of a command's module, but never by `holdfast/cli.py` or this package.
"""
