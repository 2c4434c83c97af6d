"""The error tree. Each error keeps its facts as attributes and builds its sentence from them.

    HoldfastError
    +-- BadInput            a value from outside cannot be used; names the place and the remedy   (exit code 3)
    |   +-- NotFinite       NaN, infinity, or a text that is not a plain decimal number
    |   +-- OffGrid         a price or quantity that is not a multiple of the venue's increment
    |   +-- UnknownSchema   a record written under another schema version
    |   +-- Usage           a command line that cannot be carried out                             (exit code 2)
    +-- NotFound            a position, event or file that does not exist                         (exit code 4)
    +-- VenueProblem        the venue or the network                                              (exit code 5)
    +-- StoreProblem        the store cannot be opened or written                                 (exit code 3)
    |   +-- StoreLocked     another engine holds the lease
    |   +-- StoreFailed     a write or a sync failed; what was not acknowledged is not durable
    +-- Tampered            a record whose bytes do not match its chain                           (exit code 6)
    +-- Diverged            replay made another event or command than the record                  (exit code 6)
    +-- Unprotected         a position is uncovered past its budget                               (exit code 7)
    +-- ProofFailed         a property does not hold in some state of the model checker           (exit code 8)
    +-- IllegalTransition   a bug of ours: a cell of the table without a row; nothing is changed  (exit code 1)
"""


class HoldfastError(Exception):
    """Root of all errors that this project raises. `exit_code` is what the command line ends with."""

    exit_code = 1


class BadInput(HoldfastError):
    """A value from outside cannot be used. `place` says where, `problem` what is wrong, `remedy` what to do."""

    exit_code = 3

    def __init__(self, place: str, problem: str, remedy: str) -> None:
        self.place, self.problem, self.remedy = place, problem, remedy
        super().__init__(f"{place}: {problem}; {remedy}")


class NotFinite(BadInput):
    """A number that is NaN, infinite or not written as a plain decimal."""

    def __init__(self, place: str, text: object) -> None:
        self.text = str(text)[:40]
        super().__init__(place, f"{self.text!r} is not a finite decimal number", "write it as digits, for example 61800.3")


class OffGrid(BadInput):
    """A price or quantity that does not lie on the venue's grid."""

    def __init__(self, place: str, value: object, increment: object) -> None:
        self.value, self.increment = value, increment
        super().__init__(place, f"{value} is not a multiple of {increment}", "round it to the instrument's increment")


class UnknownSchema(BadInput):
    """A record that was written under another schema version."""

    def __init__(self, place: str, found: object, expected: object) -> None:
        self.found, self.expected = found, expected
        super().__init__(place, f"schema {found!r} is not {expected!r}", "read it with the version that wrote it")


class Usage(BadInput):
    """A command line that cannot be carried out."""

    exit_code = 2


class NotFound(HoldfastError):
    """Something that was asked for by name does not exist."""

    exit_code = 4

    def __init__(self, what: str, name: str, remedy: str) -> None:
        self.what, self.name, self.remedy = what, name, remedy
        super().__init__(f"{what} {name!r} does not exist; {remedy}")


class VenueProblem(HoldfastError):
    """The venue or the network cannot be used."""

    exit_code = 5

    def __init__(self, venue: str, problem: str, remedy: str) -> None:
        self.venue, self.problem, self.remedy = venue, problem, remedy
        super().__init__(f"{venue}: {problem}; {remedy}")


class StoreProblem(HoldfastError):
    """The event store cannot be opened or written."""

    exit_code = 3

    def __init__(self, store: str, problem: str, remedy: str) -> None:
        self.store, self.problem, self.remedy = store, problem, remedy
        super().__init__(f"{store}: {problem}; {remedy}")


class StoreLocked(StoreProblem):
    """Another engine holds the writer lease of this store."""


class StoreFailed(StoreProblem):
    """A write or a sync failed. Nothing of that group is durable, and this store is not written again."""


class Tampered(HoldfastError):
    """A record whose bytes do not match its chain."""

    exit_code = 6

    def __init__(self, place: str, problem: str) -> None:
        self.place, self.problem = place, problem
        super().__init__(f"{place}: {problem}; compare it with a copy that you trust")


class Diverged(HoldfastError):
    """Replay made another event or command than the record holds."""

    exit_code = 6

    def __init__(self, place: str, recorded: str, replayed: str) -> None:
        self.place, self.recorded, self.replayed = place, recorded, replayed
        super().__init__(f"{place}: replay diverges; recorded {recorded}, replayed {replayed}")


class Unprotected(HoldfastError):
    """A position is uncovered past its budget."""

    exit_code = 7

    def __init__(self, position_id: str, unprotected_ms: int, budget_ms: int) -> None:
        self.position_id, self.unprotected_ms, self.budget_ms = position_id, unprotected_ms, budget_ms
        super().__init__(f"position {position_id}: unprotected for {unprotected_ms} ms, budget {budget_ms} ms; close it or place a stop")


class ProofFailed(HoldfastError):
    """A property does not hold in a state that machine and venue can reach together, or in a simulated life."""

    exit_code = 8


class IllegalTransition(HoldfastError):
    """A (state, fact, guards) cell without exactly one row: a bug in a table, never a venue's fault."""

    def __init__(self, machine: str, state: str, trigger: str, guards: object) -> None:
        self.machine, self.state, self.trigger, self.guards = machine, state, trigger, guards
        super().__init__(f"{machine}: no single row for ({state}, {trigger}) with {guards}")
