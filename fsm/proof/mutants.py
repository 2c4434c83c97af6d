"""The named mutants: one mistake each in the tables, the policies, the booking rules or the clocks.

Every one must be found by the model checker (`holdfast prove --mutants`). `properties` names the invariants that it offends.
"""

from events import facts as f

from .. import booking, policy, timers
from .. import position as s
from ..model import Order
from ..order import ABSENT, CANCELED, EXPIRED, LIVE, REJECTED, TRIGGERED, UNKNOWN
from ..policy import BUILDERS
from ..position import ANSWERS, EVIDENCE, SNAPSHOT
from . import mistakes as m
from .mutation import Mutant, Swap, all_of, rows

_ANY: tuple[str, ...] = ()
_BLOCKED = rows(_ANY, _ANY, target=s.MARKET_EXITING, commands=("cancel_rest", "exit_market"))

MUTANTS: tuple[Mutant, ...] = (
    # cancel and close
    Mutant(
        "exit without waiting for the cancel",
        "the exit leaves in the same event as the cancel of the stop",
        ("I2", "I7"),
        all_of(_BLOCKED(situation="BLOCKED"), _BLOCKED(way_out="BLOCKED")),
        swaps=(Swap(policy, "_leased", m.canceling_is_free),),
        where="adopted spot, reject exit",
    ),
    Mutant(
        "late cancel",
        "the exit goes first, the stop is cancelled when it has filled",
        ("I2", "I7"),
        all_of(
            rows(_ANY, _ANY, target=s.MARKET_EXITING, commands=("exit_market",))(situation="BLOCKED"),
            rows(_ANY, _ANY, target=s.MARKET_EXITING, commands=("exit_market",))(way_out="BLOCKED"),
        ),
        swaps=(Swap(policy, "_leased", m.always(0)),),
        where="adopted spot, reject exit",
    ),
    Mutant(
        "size before evidence",
        "an exit is as large as what was bought, whatever has been sold since",
        ("I2", "I7"),
        swaps=(Swap(policy, "_exit_lots", m.sells_all_that_was_bought),),
        where="adopted spot, reject exit",
    ),
    Mutant(
        "closed with orders left",
        "flat is taken for over while orders of ours still rest",
        ("I13", "P08"),
        swaps=(
            Swap(ANSWERS, "situation", m.another("LEFTOVERS", "DONE")),
            Swap(ANSWERS, "way_out", m.another("LEFTOVERS", "DONE")),
        ),
        where="window spot, exit, no fault",
    ),
    Mutant(
        "re-protect after close",
        "a late fill revives a closed position",
        ("I5",),
        rows((s.CLOSED, s.ABANDONED), ("OrderFilled", "OrderAccepted"), target=s.PROTECTION_PENDING)(),
        where="adopted spot, dup swap exit",
    ),
    Mutant(
        "cancel is not repeated",
        "no second cancel follows one whose answer was lost",
        ("I13",),
        swaps=(Swap(BUILDERS, "cancel_again", m.nothing),),
        where="adopted spot, reject exit",
    ),
    Mutant(
        "orders in the way are left there",
        "an exit that is blocked cancels nothing, ever",
        ("I13",),
        swaps=(
            Swap(BUILDERS, "cancel_rest", m.nothing),
            Swap(BUILDERS, "cancel_again", m.nothing),
        ),
        where="adopted spot, reject exit",
    ),
    # what is known
    Mutant(
        "unknown taken as rejected",
        "no answer in time ends the order",
        ("I6", "I2"),
        order=rows(_ANY, ("OutcomeUnknown",), target=REJECTED)(operation="SUBMIT"),
        where="adopted spot, lost exit",
    ),
    Mutant(
        "refused cancel taken as cancelled",
        "a cancel that the venue refused ends the order",
        ("I6", "I2"),
        order=rows((LIVE, TRIGGERED, UNKNOWN), ("CancelRejected",), target=CANCELED)(),
        where="adopted spot, reject exit",
    ),
    Mutant(
        "dead link taken as cancelled",
        "what was in flight when the link closed counts as cancelled",
        ("I6", "I2"),
        swaps=(Swap(booking._BOOKINGS, f.ChannelClosed, m.dead_link_cancels),),
        where="adopted spot, cut exit",
    ),
    Mutant(
        "belief protects",
        "a stop that lists in a row lack goes on counting as protection",
        ("I1",),
        order=rows((LIVE,), ("OrderNotFound",), target=LIVE)(absence="DOUBTED"),
        where="adopted spot, unlisted9",
    ),
    Mutant(
        "given up where nothing guards",
        "another order takes the place of a stop that lists lack also where the venue would let both fire",
        ("I2",),
        swaps=(Swap(booking, "_unlisted", m.gives_up_unguarded),),
        where="adopted free, unlisted9",
    ),
    Mutant(
        "absence believed at first look",
        "an order that a snapshot lacks is gone, however old the question",
        ("I6", "I2"),
        swaps=(Swap(booking._ORDER_ANSWERS, "absence", m.always("PROVEN")),),
        where="adopted free, old_answer lost",
    ),
    Mutant(
        "end believed before its fills",
        "a cancelled order ends though executions of it are missing",
        ("I6", "I9", "I13"),
        order=all_of(
            rows(_ANY, ("OrderCanceled",), target=CANCELED)(books="MISSING"),
            rows(_ANY, ("OrderExpired",), target=EXPIRED)(books="MISSING"),
        ),
        where="spot, lost exit",
    ),
    Mutant(
        "listed order stays absent",
        "an order that was taken for absent is not believed when it is listed",
        ("I6", "I2", "I13"),
        order=rows((ABSENT,), ("OrderAccepted", "ChildDiscovered"), target="=")(),
        where="adopted spot, old_answer lost",
    ),
    Mutant(
        "resend with a new id",
        "an order without an answer does not count, and is sent again under another id",
        ("I2", "I4"),
        swaps=(
            Swap(policy, "_leased", m.lease_forgets(UNKNOWN)),
            Swap(ANSWERS, "situation", m.another("RESIZE_OUT", "BARE")),
        ),
        where="spot, truncated lost",
    ),
    Mutant(
        "no refresh",
        "nobody asks the venue for anything",
        ("I13",),
        swaps=(Swap(BUILDERS, "refresh", m.nothing),),
        where="adopted spot, lost exit",
    ),
    Mutant(
        "reconciling for ever",
        "the snapshot of a new link decides nothing",
        ("I13",),
        rows((s.RECONCILING,), SNAPSHOT, target=s.RECONCILING, commands=())(),
        where="adopted spot, lost",
    ),
    # books
    Mutant(
        "snapshot fill ignored",
        "an execution that comes after the end of its order is not booked",
        ("I9", "I13"),
        swaps=(Swap(booking._BOOKINGS, f.OrderFilled, m.late_fills_are_old_news),),
        where="adopted spot, lost exit",
    ),
    Mutant(
        "double count of a fill",
        "execution ids are not kept: what is listed again is booked again",
        ("I8", "I9"),
        swaps=(Swap(booking, "_executed", m.forgets_execution_ids),),
        where="spot, dup swap",
    ),
    Mutant(
        "double count of an exit",
        "the first execution on the way out counts twice",
        ("I9", "I1", "I8"),
        swaps=(Swap(booking, "_executed", m.closed_for_half),),
        where="adopted spot, reject exit",
    ),
    Mutant(
        "double count of a child",
        "an attached stop that is told of again is another stop",
        ("I1", "I2", "I13", "I14"),
        swaps=(Swap(booking._BOOKINGS, f.ChildDiscovered, m.every_child_is_new),),
        where="attached stop, no fault, spot",
    ),
    Mutant(
        "fee ignored",
        "what the fee took in the base asset still counts as held",
        ("I2", "I9", "I13"),
        swaps=(Swap(booking, "fee_lots_of", m.always(0)),),
        where="fee in lots, no fault, spot",
    ),
    # protection
    Mutant(
        "drop of a cover",
        "bare quantity gets no stop",
        ("I1", "I13", "window"),
        swaps=(Swap(BUILDERS, "cover", m.nothing),),
        where="window spot, no fault",
    ),
    Mutant(
        "first cover left to the watch",
        "bare quantity gets its stop when the watch comes, not at once",
        ("window",),
        rows(s._STAY, EVIDENCE, commands=())(situation="BARE"),
        where="window spot, price, no fault",
    ),
    Mutant(
        "one lot short",
        "a stop counts for one lot more than it has when coverage is made up",
        ("I13", "window"),
        swaps=(Swap(policy, "_leased", m.one_lot_more),),
        where="window spot, no fault",
    ),
    Mutant(
        "part taken for the whole",
        "a stop for a part passes for protection of all",
        ("I1", "I13"),
        swaps=(Swap(ANSWERS, "situation", m.another("SHORT", "COVERED")),),
        where="window spot, no fault",
    ),
    Mutant(
        "asking is having",
        "an amend counts from when it is sent",
        ("I1",),
        swaps=(Swap(Order, "protects_lots", m.asking_is_having),),
        where="spot, lost exit",
    ),
    Mutant(
        "unanswered amend taken as applied",
        "an amend without an answer counts as applied",
        ("I1",),
        swaps=(Swap(booking, "_unanswered", m.unanswered_is_applied),),
        where="spot, cut exit",
    ),
    Mutant(
        "fired stop still protects",
        "a stop that fired counts as protection until it fills",
        ("I1", "I13"),
        swaps=(
            Swap(Order, "protects_lots", m.fired_still_protects),
            Swap(Order, "is_triggered", lambda old: property(lambda order: False)),
        ),
        where="adopted spot, hang price",
    ),
    Mutant(
        "loosen on replace",
        "any wish for another distance is taken, the wider too, and stops follow it",
        ("I3",),
        swaps=(
            Swap(booking, "want_trail", m.any_wish),
            Swap(s, "misaligned", m.different),
            Swap(policy, "misaligned", m.different),
        ),
        where="adopted spot, loosen tighten",
    ),
    Mutant(
        "halt stops protection",
        "a halted position gets no stop any more",
        ("I16", "I13"),
        swaps=(),
        position=all_of(
            rows((s.HALTED,), _ANY, commands=())(situation="BARE"),
            rows((s.HALTED,), _ANY, commands=())(situation="SHORT"),
            rows((s.HALTED,), ("DeadlinePassed",), commands=("refresh", "page_halted"))(which="watch"),
        ),
        where="adopted spot, halt cancel",
    ),
    # attempts, clocks, wishes
    Mutant(
        "retry without bound",
        "no number of refused attempts is enough to leave or to page",
        ("I13", "I14"),
        swaps=(Swap(ANSWERS, "ladder", m.always("AGAIN")),),
        where="adopted spot, reject4",
    ),
    Mutant(
        "exit again at once",
        "an exit that ended short goes out again in the same event",
        ("I14", "I2"),
        rows((s.MARKET_EXITING,), (*EVIDENCE, "OrderRejected"), commands=("exit_market",))(situation="CLEAR"),
        where="adopted spot, short exit",
    ),
    Mutant(
        "timer dropped",
        "a way out has no clock",
        ("I13", "I1"),
        swaps=(Swap(timers, "_running", m.without_clock(s.MARKET_EXITING, s.CANCEL_PENDING)),),
        where="adopted spot, reject exit",
    ),
    Mutant(
        "unprotected without clock",
        "bare quantity has no clock",
        ("I1", "I13"),
        swaps=(Swap(timers, "_running", m.without_clock(s.PROTECTION_PENDING, s.EMERGENCY_PROTECTING)),),
        where="spot, lost exit",
    ),
    Mutant(
        "watch dropped",
        "no state looks again by itself",
        ("I13", "I1", "code"),
        swaps=(Swap(timers, "_running", m.without("watch")),),
        where="adopted spot, lost",
    ),
    Mutant(
        "exit on stale price",
        "a price of any age triggers an exit",
        ("I15",),
        swaps=(Swap(ANSWERS, "signal", m.another("STALE", "EXIT")),),
        where="adopted spot, stale",
    ),
    Mutant(
        "hands on what is not ours",
        "somebody else's order on the symbol is cancelled",
        ("I12",),
        swaps=(Swap(BUILDERS, "alert_manual", m.cancels_what_is_not_ours),),
        where="adopted spot, foreign",
    ),
)
