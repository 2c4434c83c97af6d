import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from events.record import bytes_from, event_from
from replay.session import Record, SessionWriter, read_session

Change = Callable[[Record], Record | None]


def rewritten(session: Path, path: Path, change: Change, *, close: bool = True) -> SessionWriter:
    """Write a session again with records changed or left out, chained anew."""
    read = read_session(session)
    manifest = {name: value for name, value in read.manifest.items() if name not in ("k", "schema", "chain")}
    writer = SessionWriter.create(path, manifest)
    for record in read:
        kept = change(record) if record.kind != "end" else None
        if kept is not None:
            writer.append(kept.kind, kept.ts_recv_ns, kept.ts_event_ns, kept.source, kept.payload)
    if close:
        writer.close()
    return writer


def event_changed(version: int, **fields: object) -> Change:
    def change(record: Record) -> Record:
        if record.kind != "event":
            return record
        event = event_from(record.payload if isinstance(record.payload, bytes) else record.payload.encode())
        if (event.position_id, event.version) != ("hf000001", version):
            return record
        return msgspec.structs.replace(record, payload=bytes_from(msgspec.structs.replace(event, **fields)))

    return change


def test_a_session_of_a_real_engine_is_identical(holdfast, session: Path) -> None:
    said = holdfast("replay", session)
    assert said.code == 0
    assert said.out.startswith("replay    identical: ")
    assert "frames/s" in said.out
    assert "note" not in said.out


def test_json_has_the_counts(holdfast, session: Path) -> None:
    found = json.loads(holdfast("replay", session, "-o", "json").out)
    assert found["outcome"] == "identical"
    assert found["inputs"] > found["frames"] > 0
    assert found["events"] > 10
    assert found["frames_per_s"] > 0
    assert (found["ending"], found["torn_bytes"], found["divergence"]) == ("end", 0, None)


def test_a_changed_event_is_the_first_divergence_with_both_sides(holdfast, session: Path, tmp_path: Path) -> None:
    path = tmp_path / "changed.session"
    rewritten(session, path, event_changed(3, to="Protected"))
    said = holdfast("replay", path)
    assert said.code == 6
    assert said.out.startswith("replay    diverged: ")
    assert "hf000001:3 OrderAccepted, after record" in said.out
    assert '  to\n    recorded  "Protected"\n    replayed  "ProtectedPendingFill"\n' in said.out
    assert "the tables are those that it was recorded with" in said.out


def test_an_event_that_is_missing_or_too_many_is_shown_whole(holdfast, session: Path, tmp_path: Path) -> None:
    missing = event_changed(3)

    def left_out(record: Record) -> Record | None:
        return None if missing(record) is not record else record

    rewritten(session, tmp_path / "missing.session", left_out)
    said = holdfast("replay", tmp_path / "missing.session")
    assert said.code == 6
    assert "recorded  nothing" in said.out

    added: list[Record] = []

    def doubled(record: Record) -> Record | None:
        if record.kind == "event" and not added:
            added.append(record)
            return record
        if added and record.kind != "event" and len(added) == 1:
            added.append(record)
            return added[0]
        return record

    rewritten(session, tmp_path / "more.session", doubled)
    said = holdfast("replay", tmp_path / "more.session")
    assert said.code == 6
    assert "replayed  nothing" in said.out


def test_a_session_that_is_still_being_written_is_replayed_up_to_where_it_is(holdfast, session: Path, tmp_path: Path) -> None:
    writer = rewritten(session, tmp_path / "live.session", lambda record: record if record.seq < 600 else None, close=False)
    writer.flush()
    said = holdfast("replay", writer.path)
    assert said.code == 0
    assert "identical" in said.out
    assert "it has no end: an engine writes it still, or was killed" in said.out
    writer.close()


def test_a_torn_tail_is_reported_and_what_is_whole_is_replayed(holdfast, session: Path, tmp_path: Path) -> None:
    writer = rewritten(session, tmp_path / "torn.session", lambda record: record if record.seq < 600 else None, close=False)
    writer.flush()
    with writer.path.open("ab") as file:
        file.write(b'{"k":"frame","n":600,"t":17')
    said = holdfast("replay", writer.path)
    assert said.code == 0
    assert "27 bytes of a torn line at its end were left out" in said.out
    assert json.loads(holdfast("replay", writer.path, "-o", "json").out)["torn_bytes"] == 27


def test_a_changed_byte_is_found_before_it_is_replayed(holdfast, session: Path, tmp_path: Path) -> None:
    copy = tmp_path / "changed.session"
    data = bytearray(session.read_bytes())
    data[len(data) // 2] ^= 1
    copy.write_bytes(data)
    said = holdfast("replay", copy)
    assert (said.code, said.out) == (6, "")
    assert "record " in said.err
    assert "byte " in said.err
    assert said.err.count("\n") == 1


def test_each_session_of_a_folder_has_its_verdict(holdfast, session: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sessions"
    folder.mkdir()
    shutil.copy(session, folder / "a.session")
    rewritten(session, folder / "b.session", event_changed(3, to="Protected"))
    (folder / "c.session").write_text("no session\n")
    with gzip.open(folder / "d.session.gz", "wb") as file:
        file.write(session.read_bytes())
    said = holdfast("replay", folder)
    assert said.code == 6
    assert [line.split()[:2] for line in said.out.splitlines() if line[:2] in ("a.", "b.", "c.", "d.")] == [
        ["a.session", "identical"],
        ["b.session", "diverged"],
        ["c.session", "unusable"],
        ["d.session.gz", "identical"],
    ]
    assert "first divergence at record" in said.out
    assert "its first line is no manifest" in said.out
    rows = json.loads(holdfast("replay", folder, "-o", "json").out)
    assert [row["outcome"] for row in rows] == ["identical", "diverged", "unusable", "identical"]
    (folder / "b.session").unlink()
    assert holdfast("replay", folder).code == 3


def test_the_anchors_that_a_shell_names_with_the_sessions_are_left_out(holdfast, session: Path) -> None:
    said = holdfast("replay", *sorted(session.parent.iterdir()), "-o", "json")
    assert len(list(session.parent.glob("*.anchor"))) == 1
    assert said.code == 0
    assert json.loads(said.out)["outcome"] == "identical"


def test_without_a_name_the_sessions_of_the_settings_are_replayed(holdfast, engine_dir: Path) -> None:
    said = holdfast("replay", "--config", engine_dir / "holdfast.toml")
    assert said.code == 0
    assert "identical" in said.out


@pytest.mark.parametrize(
    ("make", "code", "sentence"),
    [
        (lambda path: None, 4, "does not exist"),
        (lambda path: path.write_text(""), 3, "is empty"),
        (lambda path: path.write_text('{"k":"manifest","schema":"holdfast-session.9"}\n'), 3, "holdfast-session.9"),
        (lambda path: path.mkdir(), 4, "name a session file"),
    ],
)
def test_what_cannot_be_replayed_is_one_sentence(
    holdfast, tmp_path: Path, make: Callable[[Path], object], code: int, sentence: str
) -> None:
    path = tmp_path / "given.session"
    make(path)
    said = holdfast("replay", path)
    assert (said.code, said.out) == (code, "")
    assert sentence in said.err
    assert said.err.count("\n") == 1


def test_a_session_without_settings_of_the_pipeline_is_refused(holdfast, session: Path, tmp_path: Path) -> None:
    writer = SessionWriter.create(tmp_path / "bare.session", {"configuration": {}})
    writer.close()
    said = holdfast("replay", writer.path)
    assert said.code == 3
    assert "no usable pipeline settings" in said.err
