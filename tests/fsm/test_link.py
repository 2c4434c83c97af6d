"""The venue-link machine: doubt, its ladder, and what it may never do."""

import random

import msgspec
import pytest

from fsm import link as k
from fsm.link import LINK, LinkState, Thresholds, deadline_ns, escalation_bound_ms, new_link, step

MS = 1_000_000
LIMITS = Thresholds()


def at(ms: int) -> int:
    return (1_000_000 + ms) * MS


@pytest.fixture
def live() -> LinkState:
    link = new_link("private", at(0))
    link, _ = step(link, k.LinkOpened(ts_recv_ns=at(10)))
    link, _ = step(link, k.SnapshotArrived(ts_recv_ns=at(50), asked_ns=at(10)))
    return link


def heard(link: LinkState, until_ms: int, every_ms: int = 500, is_truth: bool = False) -> LinkState:
    """Return the link after heartbeats up to `until_ms`."""
    for ms in range(every_ms, until_ms + 1, every_ms):
        link, _ = step(link, k.MessageArrived(ts_recv_ns=at(ms), is_truth=is_truth))
    return link


def ring(link: LinkState) -> tuple[LinkState, tuple[str, ...], int]:
    """Fire the link's clock at the moment at which it is due."""
    due = deadline_ns(link)
    assert due is not None
    link, outputs = step(link, k.DeadlineReached(ts_recv_ns=due, at_ns=due))
    return link, outputs, due


def test_table_is_complete() -> None:
    assert LINK.problems() == []


def test_every_output_of_the_table_is_documented_and_none_touches_protection_or_exits() -> None:
    named = {name for cell in LINK.cells().values() for row in cell.rows for name in row.commands}
    assert named <= set(k.OUTPUTS)
    assert [name for name in k.OUTPUTS if name.startswith("halt")] == ["halt_entries"]


def test_every_state_but_closed_owns_a_clock(live: LinkState) -> None:
    for state in LINK.states:
        link = msgspec.structs.replace(live, state=state.name)
        assert (deadline_ns(link) is None) == state.end


def test_entries_wait_for_the_first_snapshot() -> None:
    link = new_link("private", at(0))
    assert link.entries_halted
    link, outputs = step(link, k.LinkOpened(ts_recv_ns=at(10)))
    assert (link.state, outputs, link.entries_halted) == (k.SYNCING, (), True)
    link, outputs = step(link, k.SnapshotArrived(ts_recv_ns=at(50), asked_ns=at(10)))
    assert (link.state, outputs, link.entries_halted) == (k.LIVE, ("tell_positions_live", "resume_entries"), False)


def test_snapshot_of_the_former_connection_proves_nothing() -> None:
    link = new_link("private", at(0))
    link, _ = step(link, k.LinkOpened(ts_recv_ns=at(10)))
    link, outputs = step(link, k.SnapshotArrived(ts_recv_ns=at(20), asked_ns=at(9)))
    assert (link.state, outputs) == (k.SYNCING, ())


def test_silence_on_a_healthy_socket_is_stale_within_four_seconds_then_another_connection(live: LinkState) -> None:
    link, outputs, due = ring(live)
    assert (link.state, due) == (k.STALE, at(50) + 3_000 * MS)
    assert {"refresh_truth", "halt_entries", "alert_degraded", "tell_positions_stale"} == set(outputs)
    link, outputs, due = ring(link)
    assert (link.state, due) == (k.CONNECTING, at(50) + 5_000 * MS)
    assert outputs[0] == "reconnect"
    assert "tell_positions_closed" in outputs


def test_gap_in_the_sequence_halts_entries_until_a_snapshot_asked_for_since(live: LinkState) -> None:
    link, outputs = step(live, k.SequenceGapSeen(ts_recv_ns=at(100), expected=7, got=9))
    assert link.state == k.DEGRADED
    assert "halt_entries" in outputs
    assert "refresh_truth" in outputs
    link, _ = step(link, k.SnapshotArrived(ts_recv_ns=at(120), asked_ns=at(90)))
    assert link.state == k.DEGRADED
    link, outputs = step(link, k.SnapshotArrived(ts_recv_ns=at(140), asked_ns=at(100)))
    assert (link.state, outputs) == (k.LIVE, ("resume_entries",))


def test_old_truth_is_asked_for_before_anything_is_called_degraded(live: LinkState) -> None:
    link, _ = step(live, k.ExposureChanged(ts_recv_ns=at(60), unprotected=1))
    link = heard(link, 2_000)
    link, outputs, due = ring(link)
    assert (link.state, outputs, due) == (k.LIVE, ("refresh_truth",), at(50) + 2_000 * MS)
    link = heard(link, 4_000)
    link, outputs, _ = ring(link)
    assert link.state == k.DEGRADED
    assert "halt_entries" in outputs


def test_quiet_account_without_bare_exposure_is_looked_at_once_a_minute(live: LinkState) -> None:
    link = heard(live, 60_000)
    assert deadline_ns(link) == at(50) + 60_000 * MS
    link, outputs, _ = ring(link)
    assert (link.state, outputs) == (k.LIVE, ("refresh_truth",))


def test_updates_in_sequence_keep_the_truth_known(live: LinkState) -> None:
    link, _ = step(live, k.ExposureChanged(ts_recv_ns=at(60), unprotected=1))
    link = heard(link, 10_000, is_truth=True)
    assert deadline_ns(link) == at(10_000) + 2_000 * MS


def test_link_that_talks_but_never_answers_ends_in_another_connection_and_a_page(live: LinkState) -> None:
    link, _ = step(live, k.ExposureChanged(ts_recv_ns=at(60), unprotected=1))
    seen: list[str] = []
    now = at(60)
    while "page_link" not in seen:
        due = deadline_ns(link)
        assert due is not None
        if due > now + 500 * MS:
            now += 500 * MS
            link, outputs = step(link, k.MessageArrived(ts_recv_ns=now))
        else:
            now = due
            link, outputs = step(link, k.DeadlineReached(ts_recv_ns=now, at_ns=due))
        seen += outputs
    assert "reconnect" in seen
    assert now - live.truth_ns <= escalation_bound_ms(LIMITS) * MS


def test_gaps_that_come_faster_than_answers_do_not_put_the_next_rung_off(live: LinkState) -> None:
    link, now = live, at(50)
    while link.state != k.CONNECTING:
        due = deadline_ns(link)
        assert due is not None
        now = min(due, now + 100 * MS)
        fact = k.DeadlineReached(ts_recv_ns=now, at_ns=due) if now == due else k.SequenceGapSeen(ts_recv_ns=now, expected=1, got=3)
        link, _ = step(link, fact)
        assert now < at(50) + 10_000 * MS
    assert now - at(150) == LIMITS.rungs * LIMITS.refresh_timeout_ms * MS


def test_lag_by_the_venues_clock_degrades_and_entries_resume_after_it_is_gone(live: LinkState) -> None:
    link, outputs = step(live, k.LagNoticed(ts_recv_ns=at(100), lag_ns=999 * MS))
    assert (link.state, outputs) == (k.LIVE, ())
    link, outputs = step(link, k.LagNoticed(ts_recv_ns=at(110), lag_ns=1_000 * MS))
    assert link.state == k.DEGRADED
    assert "alert_degraded" in outputs
    link, _ = step(link, k.SnapshotArrived(ts_recv_ns=at(150), asked_ns=at(110)))
    assert link.state == k.DEGRADED
    link, _ = step(link, k.LagNoticed(ts_recv_ns=at(200), lag_ns=5 * MS))
    link = heard(link, 2_100, every_ms=300)
    link, outputs, due = ring(link)
    assert (link.state, outputs, due) == (k.DEGRADED, ("refresh_truth",), at(150) + 2_000 * MS)
    link, outputs = step(link, k.SnapshotArrived(ts_recv_ns=due + MS, asked_ns=due))
    assert (link.state, outputs) == (k.LIVE, ("resume_entries",))


def test_maintenance_halts_entries_without_asking_for_the_truth_again_and_again(live: LinkState) -> None:
    link, outputs = step(live, k.Maintenance(ts_recv_ns=at(100), mode="post_only"))
    assert (link.state, outputs) == (k.DEGRADED, ("halt_entries", "alert_degraded"))
    asked = 0
    for ms in range(1_000, 50_001, 1_000):
        link, _ = step(link, k.MessageArrived(ts_recv_ns=at(ms)))
        due = deadline_ns(link)
        assert due is not None
        if due <= at(ms):
            link, outputs = step(link, k.DeadlineReached(ts_recv_ns=at(ms), at_ns=due))
            asked += "refresh_truth" in outputs
    assert (link.state, asked) == (k.DEGRADED, 0)
    link, _ = step(link, k.MaintenanceOver(ts_recv_ns=at(50_100)))
    link, outputs, due = ring(link)
    assert outputs == ("refresh_truth",)
    link, outputs = step(link, k.SnapshotArrived(ts_recv_ns=due + MS, asked_ns=due))
    assert (link.state, outputs) == (k.LIVE, ("resume_entries",))


def test_venue_in_maintenance_at_the_first_snapshot_gives_the_truth_but_no_entries() -> None:
    link = new_link("private", at(0))
    link, _ = step(link, k.LinkOpened(ts_recv_ns=at(10)))
    link, _ = step(link, k.Maintenance(ts_recv_ns=at(11), mode="cancel_only"))
    link, outputs = step(link, k.SnapshotArrived(ts_recv_ns=at(50), asked_ns=at(10)))
    assert (link.state, outputs, link.entries_halted) == (k.DEGRADED, ("tell_positions_live",), True)


def test_person_is_told_once_an_interval_while_there_is_no_connection() -> None:
    link = new_link("private", at(0))
    pages = []
    while link.watch_ns < at(200_000):
        link, outputs, due = ring(link)
        assert link.state == k.CONNECTING
        assert outputs[0] == "connect"
        if "page_link" in outputs:
            pages.append((due - at(0)) // (1_000 * MS))
    assert pages == [60, 120, 180]


def test_closing_is_final_and_a_late_connection_is_closed(live: LinkState) -> None:
    link, outputs = step(live, k.CloseAsked(ts_recv_ns=at(100)))
    assert (link.state, outputs) == (k.CLOSED, ("halt_entries", "disconnect"))
    link, outputs = step(link, k.LinkOpened(ts_recv_ns=at(200)))
    assert (link.state, outputs) == (k.CLOSED, ("disconnect",))
    link, outputs = step(link, k.SnapshotArrived(ts_recv_ns=at(300), asked_ns=at(200)))
    assert (link.state, outputs) == (k.CLOSED, ())


def _any_fact(rng: random.Random, link: LinkState, now: int) -> k.AnyLinkFact:
    facts: tuple[k.AnyLinkFact, ...] = (
        k.MessageArrived(ts_recv_ns=now),
        k.LinkOpened(ts_recv_ns=now),
        k.LinkClosed(ts_recv_ns=now, reason="peer"),
        k.SubscriptionAcked(ts_recv_ns=now, channel="executions"),
        k.SubscriptionRefused(ts_recv_ns=now, channel="executions", text="ESession:Invalid session"),
        k.SequenceGapSeen(ts_recv_ns=now, expected=1, got=2),
        k.LagNoticed(ts_recv_ns=now, lag_ns=rng.choice((0, 2_000)) * MS),
        k.SilenceNoticed(ts_recv_ns=now, age_ns=1),
        k.Maintenance(ts_recv_ns=now, mode="limit_only"),
        k.MaintenanceOver(ts_recv_ns=now),
        k.ExposureChanged(ts_recv_ns=now, unprotected=rng.choice((1, 2))),
    )
    return rng.choice(facts)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_a_venue_without_snapshots_does_a_person_is_told_within_the_bound(live: LinkState, seed: int) -> None:
    rng = random.Random(seed)
    link, _ = step(live, k.ExposureChanged(ts_recv_ns=at(60), unprotected=1))
    now, bound = at(60), escalation_bound_ms(LIMITS) * MS
    pace_ms = rng.choice((100, 700, 1_900, 4_900))
    only = [_any_fact(rng, link, now).__class__ for _ in range(rng.choice((1, 2, 3, 11)))]
    while True:
        due = deadline_ns(link)
        assert due is not None
        fact = _any_fact(rng, link, now + rng.randrange(1, pace_ms * MS))
        if due <= fact.ts_recv_ns:
            now = max(now, due)
            link, outputs = step(link, k.DeadlineReached(ts_recv_ns=now, at_ns=due))
        elif type(fact) in only:
            now = fact.ts_recv_ns
            link, outputs = step(link, fact)
        else:
            now, outputs = fact.ts_recv_ns, ()
        assert link.entries_halted == (link.state != k.LIVE)
        if "page_link" in outputs:
            return
        assert now - live.truth_ns <= bound, f"seed {seed}: no page after {(now - live.truth_ns) // MS} ms in {link.state}"


def test_both_executors_take_the_same_way(live: LinkState) -> None:
    rng, flat = random.Random(7), LINK.flat()
    link, now = live, at(100)
    for _ in range(2_000):
        now += rng.randrange(1, 900) * MS
        fact = _any_fact(rng, link, now)
        assert step(link, fact) == step(link, fact, flat)
        link, _ = step(link, fact)


def test_what_its_table_ignores_changes_only_what_is_booked(live: LinkState) -> None:
    rng, flat, met = random.Random(11), LINK.flat(), set()
    link, now = live, at(100)
    for _ in range(4_000):
        now += rng.randrange(1, 900) * MS
        fact = _any_fact(rng, link, now)
        key = (link.state, type(fact).__name__)
        after, outputs = step(link, fact)
        if k._CELLS[key].rows[0].kind == "ignored":
            met.add(key)
            row = flat.row(*key, ())
            assert (after, outputs) == (k._moved(k._book(link, fact), fact, row.target, row.commands), row.commands)
        link = after
    assert len(met) > 15
