"""Small sessions to read, change, cut and forge."""

from pathlib import Path

from replay.session import SessionWriter, manifest_from

KEY = b"0123456789abcdef0123456789abcdef"
FRAME = '{"channel":"ticker","data":[{"symbol":"BTC/USD","bid":61800.3,"note":"ü \\"quoted\\" \\n"}]}'

RECORDS: tuple[tuple[str, int, int, str, str | bytes], ...] = (
    ("link", 10, 0, "kraken.public", b'{"state":"live"}'),
    ("frame", 11, 9, "kraken.public", FRAME),
    ("event", 11, 9, "core", b'{"position_id":"hf000001","version":1,"px":61800.30}'),
    ("frame", 12, 12, "kraken.public", "pong, not JSON\n\r\t\x00\x85\u2028"),
    ("timer", 13, 13, "", b'{"deadline_ns":13}'),
    ("sent", 14, 0, "kraken.private", b'{"ok":true}'),
    ("intent", 15, 15, "operator", b'{"side":"buy"}'),
)


def content() -> dict[str, object]:
    """Return a manifest."""
    return manifest_from(configuration={"symbol": "BTC/USD"}, table_hash="abc", started_ns=10, namespace="hf")


def append_all(writer: SessionWriter) -> None:
    for kind, ts_recv_ns, ts_event_ns, source, payload in RECORDS:
        writer.append(kind, ts_recv_ns, ts_event_ns, source, payload)


def lines_of(path: Path) -> list[bytes]:
    return [line + b"\n" for line in path.read_bytes().split(b"\n")[:-1]]
