"""The pictures: the same table gives the same text, every change of a table is seen, and paths and figures come from events."""

from dataclasses import replace
from decimal import Decimal
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path as FilePath

import msgspec
import pytest

from events import facts as f
from events.errors import BadInput
from events.record import PositionEvent
from events.store import open_store
from events.values import Capabilities, Instrument, Mark, PositionSide, Side
from fsm.core import Core, evolve
from fsm.model import Position
from fsm.position import POSITION
from fsm.table import SAME, Row
from holdfast.cli import main
from holdfast.drawing.chart import CROWD, Chart
from holdfast.drawing.counts import Counts, counts_from, counts_markdown, counts_overlay, dwell_of, foreign_rows, unused_rows
from holdfast.drawing.dot import dot_from
from holdfast.drawing.files import Drifted, drifted, texts_of, write_all
from holdfast.drawing.machines import CHARTS
from holdfast.drawing.markdown import markdown_from
from holdfast.drawing.mermaid import mermaid_from
from holdfast.drawing.overlay import overlay_dot, overlay_mermaid
from holdfast.drawing.path import path_from, path_overlay, path_sequence, path_text
from holdfast.drawing.svg import sha256_of, stamp_of, svg_from

COMMITTED = FilePath(__file__).resolve().parents[2] / "diagrams"
MS = 1_000_000
POSITION_CHART = CHARTS["position"]
every_chart = pytest.mark.parametrize("chart", list(CHARTS.values()), ids=list(CHARTS))
needs_renderer = pytest.mark.skipif(find_spec("pygraphviz") is None, reason="the extra `diagrams` (pygraphviz) is not installed")

INSTRUMENT = Instrument(
    symbol="BTC/USD", base="BTC", quote="USD", price_increment=Decimal("0.1"), size_increment=Decimal("0.01"), min_qty=Decimal("0.01")
)
VENUE = Capabilities(
    venue="model",
    native_trail=True,
    amend_in_place=True,
    holds_funds=True,
    reduce_only=False,
    attached_stop=False,
    one_child_per_fill=False,
)


def closed_at_a_take_profit(position_id: str, start_ms: int = 0) -> list[PositionEvent]:
    """Return the events of a long that fills, is protected, and leaves at its internal take-profit."""
    plan = f.Plan(symbol="BTC/USD", side=PositionSide.LONG, qty=Decimal("1"), trail_offset_bps=100, take_profit_price=Decimal("110"))
    core, position, events = Core(), None, []
    mark = Mark(px=Decimal("110"), ts_event_ns=0, ts_recv_ns=0)

    def step(fact: f.AnyFact) -> Position:
        nonlocal position
        events.append(core.decide(position, fact))
        position = evolve(position, events[-1])
        return position

    def at(ms: int) -> int:
        return (1_000 + start_ms + ms) * MS

    now = step(f.PositionRequested(ts_recv_ns=at(0), position_id=position_id, plan=plan, instrument=INSTRUMENT, capabilities=VENUE))
    entry = now.orders[0].client_order_id
    fill = f.OrderFilled(
        ts_recv_ns=at(120),
        client_order_id=entry,
        trade_id="T1",
        side=Side.BUY,
        last_qty=Decimal("1"),
        last_px=Decimal("100"),
        cum_qty=Decimal("1"),
    )
    now = step(fill)
    stop = now.orders[1].client_order_id
    step(f.OrderAccepted(ts_recv_ns=at(180), client_order_id=stop))
    step(f.LevelCrossed(ts_recv_ns=at(60_180), level="take_profit", mark=mark))
    now = step(f.OrderCanceled(ts_recv_ns=at(60_200), client_order_id=stop))
    out = now.orders[2].client_order_id
    step(msgspec.structs.replace(fill, ts_recv_ns=at(60_230), client_order_id=out, trade_id="T2", side=Side.SELL, last_px=Decimal("110")))
    return events


@pytest.fixture(scope="module")
def events() -> list[PositionEvent]:
    return closed_at_a_take_profit("hf000001")


# --- machines -------------------------------------------------------------------------------------------------------


def test_committed_pictures_are_what_the_tables_say() -> None:
    assert drifted(CHARTS.values(), COMMITTED) == ()


@every_chart
def test_same_table_gives_the_same_text(chart: Chart) -> None:
    again = Chart(replace(chart.table), chart.unprotected)
    assert texts_of(again) == texts_of(chart)


@every_chart
def test_every_state_is_in_every_picture(chart: Chart) -> None:
    for text in texts_of(chart).values():
        assert [name for name in chart.table.state_names if name not in text] == []


@every_chart
def test_every_change_of_state_is_an_arrow_or_the_usual_way_of_a_choice(chart: Chart) -> None:
    drawn = {(source, arrow.target) for arrow in chart.arrows for source in arrow.sources}
    for row in chart.table.rows:
        choice = chart.choice_of(row)
        for source in row.sources:
            if row.target in (SAME, source) or (source, row.target) in drawn:
                continue
            assert choice is not None
            answers = (row.when[choice.name],) if isinstance(row.when[choice.name], str) else row.when[choice.name]
            assert {choice.way(answer).target for answer in answers} == {row.target}


@every_chart
def test_every_row_that_is_left_out_of_the_table_changes_the_document(chart: Chart) -> None:
    text = markdown_from(chart)
    step = max(1, len(chart.table.rows) // 40)
    for number in range(0, len(chart.table.rows), step):
        rows = chart.table.rows[:number] + chart.table.rows[number + 1 :]
        table = replace(chart.table, rows=rows, ignored=dict.fromkeys(chart.table.state_names, ("*",)))
        assert markdown_from(Chart(table, chart.unprotected)) != text, chart.table.rows[number]


def test_overview_of_the_position_machine_stays_legible() -> None:
    assert len(POSITION_CHART.arrows) <= 40
    assert len(POSITION_CHART.choices) == 2
    assert max(len(line) for line in mermaid_from(POSITION_CHART).splitlines()) < 400


def test_crowds_are_named_in_words() -> None:
    live = tuple(name for name in POSITION.state_names if name not in ("New", "Closed", "Abandoned"))
    assert POSITION_CHART.crowd_name(live) == "any live state"
    assert POSITION_CHART.crowd_name(tuple(n for n in live if n != "Halted")) == "any live state but Halted"
    assert POSITION_CHART.crowd_name(live, "Halted") == "any live state"
    assert POSITION_CHART.crowd_name(("Protected", "Tightening")) == "Protected, Tightening"
    assert len(live) > CROWD


def test_guards_that_differ_in_one_answer_are_joined_and_left_out_when_all_are_there() -> None:
    rows = tuple(
        Row(("Connecting",), ("LinkClosed",), {"page": page, "exposure": exposure}, "Closed")
        for page in ("DUE", "NOT_DUE")
        for exposure in ("COVERED", "UNPROTECTED")
    )
    link = CHARTS["link"].table
    one = Chart(replace(link, rows=rows[:1])).arrows[0]
    two = Chart(replace(link, rows=rows[:2])).arrows[0]
    assert one.labels == ("LinkClosed · COVERED · DUE",)
    assert two.labels == ("LinkClosed · DUE",)
    assert Chart(replace(link, rows=rows)).arrows[0].labels == ("LinkClosed",)


@pytest.mark.parametrize("name", ["position.dot", "position.mmd", "position.md", "position.svg"])
def test_changed_or_missing_file_is_drift(tmp_path: FilePath, name: str) -> None:
    for path in COMMITTED.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert drifted(CHARTS.values(), tmp_path) == ()
    text = (tmp_path / name).read_text(encoding="utf-8")
    changed = text.replace(stamp_of(text), "0" * 64) if name.endswith("svg") else text.replace("Protected", "Protectet", 1)
    (tmp_path / name).write_text(changed, encoding="utf-8")
    assert drifted(CHARTS.values(), tmp_path) == (name,)
    (tmp_path / name).unlink()
    assert drifted(CHARTS.values(), tmp_path) == (name,)


def test_changed_row_is_drift_without_a_renderer(tmp_path: FilePath) -> None:
    rows = list(POSITION.rows)
    number = next(n for n, row in enumerate(rows) if row.facts == ("HaltRequested",))
    rows[number] = replace(rows[number], target="Reconciling")
    changed = Chart(replace(POSITION, rows=tuple(rows)), POSITION_CHART.unprotected)
    assert drifted([changed], COMMITTED) == ("position.dot", "position.mmd", "position.md", "position.svg")


def test_changed_command_of_a_row_is_drift_of_the_document_only() -> None:
    rows = list(POSITION.rows)
    number = next(n for n, row in enumerate(rows) if row.facts == ("HaltRequested",))
    rows[number] = replace(rows[number], commands=("page_halted",))
    changed = Chart(replace(POSITION, rows=tuple(rows)), POSITION_CHART.unprotected)
    assert drifted([changed], COMMITTED) == ("position.md",)


@needs_renderer
def test_written_files_have_not_drifted_and_are_left_alone_the_second_time(tmp_path: FilePath) -> None:
    charts = [CHARTS["trail"]]
    assert write_all(charts, tmp_path) == ("trail.dot", "trail.mmd", "trail.md", "trail.svg")
    assert drifted(charts, tmp_path) == ()
    assert write_all(charts, tmp_path) == ()


@needs_renderer
def test_svg_carries_the_hash_of_its_dot_and_the_states_as_classes() -> None:
    dot = dot_from(POSITION_CHART)
    svg = svg_from(dot)
    assert stamp_of(svg) == sha256_of(dot)
    assert 'class="node state ProtectionPending unprotected"' in svg
    assert svg == svg_from(dot)


@needs_renderer
def test_dot_that_cannot_be_drawn_is_one_sentence() -> None:
    with pytest.raises(BadInput, match="Graphviz cannot draw it"):
        svg_from("digraph { a -> ")


# --- paths ----------------------------------------------------------------------------------------------------------


def test_path_tells_each_step_with_its_time(events: list[PositionEvent]) -> None:
    path = path_from(events, POSITION.initial)
    assert [(step.source, step.target) for step in path.steps] == [
        ("New", "EntryPending"),
        ("EntryPending", "ProtectionPending"),
        ("ProtectionPending", "Protected"),
        ("Protected", "CancelPending"),
        ("CancelPending", "MarketExiting"),
        ("MarketExiting", "Closed"),
    ]
    assert [step.since_ns // MS for step in path.steps] == [0, 120, 180, 60_180, 60_200, 60_230]
    assert path.dwell_ns["Protected"] == 60_000 * MS
    assert path.dwell_ns["ProtectionPending"] == 60 * MS


def test_path_as_text_names_times_changes_and_commands(events: list[PositionEvent]) -> None:
    lines = path_text(path_from(events, POSITION.initial)).splitlines()
    assert lines[0] == "position hf000001: 6 events in 1 min 00 s, now Closed"
    assert lines[4].split()[:5] == ["4", "+1", "min", "00", "s"]
    assert "LevelCrossed take_profit  Protected -> CancelPending" in lines[4]
    assert lines[4].endswith("cancel hf000001000020")


def test_path_is_drawn_with_numbered_arrows_and_only_the_states_that_were_visited(events: list[PositionEvent]) -> None:
    overlay = path_overlay(path_from(events, POSITION.initial))
    dot, mermaid = overlay_dot(POSITION_CHART, overlay), overlay_mermaid(POSITION_CHART, overlay)
    assert "4  +1 min 00 s  LevelCrossed" in dot
    assert "Protected --> CancelPending : 4  +1 min 00 s  LevelCrossed take_profit" in mermaid
    assert "Tightening" not in dot
    assert "Tightening" not in mermaid


def test_sequence_shows_who_said_what_in_order(events: list[PositionEvent]) -> None:
    text = path_sequence(path_from(events, POSITION.initial))
    said = [line.strip() for line in text.splitlines() if "->>" in line]
    assert [line.split(":")[0] for line in said] == [
        "P->>E", "E->>V", "V->>E", "E->>V", "V->>E", "M->>E", "E->>V", "V->>E", "E->>V", "V->>E",
    ]  # fmt: skip
    assert "OrderFilled" in said[2]
    assert "1 at 100" in said[2]


def test_path_with_a_missing_or_foreign_event_is_refused(events: list[PositionEvent]) -> None:
    with pytest.raises(BadInput, match="event 3 comes after 1"):
        path_from([events[0], *events[2:]], POSITION.initial)
    with pytest.raises(BadInput, match="comes among those of hf000001"):
        path_from([events[0], closed_at_a_take_profit("hf000002")[1]], POSITION.initial)
    with pytest.raises(BadInput, match="there are no events"):
        path_from([], POSITION.initial)


# --- figures --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed() -> list[PositionEvent]:
    """Three positions whose events are mixed, as in a log."""
    logs = [closed_at_a_take_profit(f"hf00000{n}", start_ms=n * 10) for n in (1, 2, 3)]
    merged = [event for log in logs for event in log]
    return sorted(merged, key=lambda event: event.fact.ts_recv_ns)


def test_counts_of_a_log_are_those_of_its_positions(mixed: list[PositionEvent]) -> None:
    counts = counts_from(mixed, POSITION.initial)
    assert (counts.positions, counts.events) == (3, 18)
    assert counts.seen["Protected"] == 3
    assert counts.now_in("Closed") == 3
    assert list(counts.stays["Protected"]) == [60_000 * MS] * 3
    assert list(counts.edges["CancelPending", "MarketExiting"]) == [20 * MS] * 3
    assert sum(counts.facts.values()) == 18


def test_percentiles_are_nearest_rank() -> None:
    dwell = dwell_of([n * MS for n in range(100, 0, -1)])
    assert (dwell.visits, dwell.p50_ns, dwell.p99_ns, dwell.max_ns) == (100, 50 * MS, 99 * MS, 100 * MS)
    assert dwell_of([7]) == (1, 7, 7, 7)
    assert dwell_of([]) == (0, 0, 0, 0)


def test_rows_that_were_used_are_not_among_the_unused(mixed: list[PositionEvent]) -> None:
    unused = unused_rows(POSITION_CHART, counts_from(mixed, POSITION.initial))
    assert not any("PositionRequested" in line for line in unused)
    assert any(line.startswith("New: PositionAdopted") for line in unused)
    assert len(unused_rows(POSITION_CHART, Counts(POSITION.initial))) > len(unused)


def test_rows_of_another_version_of_the_table_are_told_apart(mixed: list[PositionEvent]) -> None:
    old = [msgspec.structs.replace(event, row="position:9999:New:PositionRequested") for event in mixed]
    counts = counts_from(old, POSITION.initial)
    assert foreign_rows(POSITION_CHART, counts) == 18
    assert "18 events name rows that today's table does not have" in counts_markdown(POSITION_CHART, counts)


def test_log_is_drawn_with_the_breadth_of_its_arrows(mixed: list[PositionEvent]) -> None:
    overlay = counts_overlay(POSITION_CHART, counts_from(mixed, POSITION.initial))
    assert {taken.labels for taken in overlay.taken} == {("3 x",)}
    assert {taken.weight for taken in overlay.taken} == {1.0}
    assert overlay.title == "3 positions, 18 events"
    assert [
        a.source for a, b in pairwise(overlay.taken) if POSITION.state_names.index(a.source) > POSITION.state_names.index(b.source)
    ] == []


# --- the command ----------------------------------------------------------------------------------------------------


def test_check_of_the_committed_folder_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagram", "--check", "--out", str(COMMITTED)]) == 0
    assert "are what the tables say" in capsys.readouterr().err


def test_check_of_a_drifted_folder_names_the_files_and_ends_with_6(tmp_path: FilePath, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagram", "trail", "--check", "--out", str(tmp_path)]) == Drifted.exit_code == 6
    said = capsys.readouterr().err
    assert "trail.dot, trail.mmd, trail.md, trail.svg are not what the tables say" in said
    assert "Traceback" not in said


def test_one_format_of_a_machine_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagram", "order", "--format", "dot"]) == 0
    assert capsys.readouterr().out == dot_from(CHARTS["order"])


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nothing"], 4, "machine 'nothing' does not exist; choose one of position, order, trail, link"),
        ([], 2, "no machine is named"),
        (["order", "--format", "sequence"], 2, "there is no sequence of order; choose one of dot, mermaid, md, svg"),
        (["order", "--position", "hf000001"], 2, "--position and --log each stand alone"),
        (["--log", "--check"], 2, "--position and --log each stand alone"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(arguments: list[str], code: int, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagram", *arguments]) == code
    assert sentence in capsys.readouterr().err


def test_position_and_log_are_drawn_from_a_store(
    tmp_path: FilePath, mixed: list[PositionEvent], capsys: pytest.CaptureFixture[str]
) -> None:
    url = str(tmp_path / "events.db")
    with open_store(url) as store:
        lease = store.acquire_lease()
        store.append(mixed)
        lease.release()
    assert main(["diagram", "--position", "hf000002", "--store", url]) == 0
    assert capsys.readouterr().out.startswith("position hf000002: 6 events")
    assert main(["diagram", "--position", "hf000002", "--format", "sequence", "--store", url]) == 0
    assert "sequenceDiagram" in capsys.readouterr().out
    assert main(["diagram", "--log", "--store", url]) == 0
    assert capsys.readouterr().out.startswith("# 3 positions, 18 events")
    assert main(["diagram", "--position", "hf00000z", "--store", url]) == 4
    assert "position 'hf00000z' does not exist" in capsys.readouterr().err
    assert main(["diagram", "--log", "--format", "dot", "--out", str(tmp_path / "out"), "--store", url]) == 0
    assert (tmp_path / "out" / "log.dot").read_text().startswith("// Generated")
