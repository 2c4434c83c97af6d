"""What a line of a session file looks like, and how records become lines and lines records.

    {"k":"manifest","schema":"holdfast-session.1",...}
    {"k":"seal","n":0,"h":"<64 hex>"}
    {"k":"frame","n":1,"t":<received>,"e":<event>,"s":"kraken.public","d":"{\\"channel\\":...}","h":"<16 hex>"}
    {"k":"event","n":2,"t":<received>,"e":<event>,"s":"core","d":{...},"h":"<16 hex>"}
    {"k":"seal","n":2,"h":"<64 hex>","m":"<64 hex, where a key is configured>"}

A record line is its body, then its check `h`, always at the same distance from the end of the line. `k` comes first, so that
a line's kind is known from its first bytes, to this module and to grep. What `h` and the seals prove is told in `chain.py`.
"""

import msgspec

SCHEMA = "holdfast-session.1"
PLAIN, KEYED = "sha256", "hmac-sha256"
SEAL_START = b'{"k":"seal",'

# A websockets frame is at most 1 MiB; JSON makes six bytes of a control character. More is no record but an attack on memory.
MAX_LINE_BYTES = 16 << 20

CHECK_HEX = 16
_CHECK_START = b',"h":"'
_CHECK_END = b'"}\n'
_AFTER_BODY = len(_CHECK_START) + CHECK_HEX + len(_CHECK_END)


class Record(msgspec.Struct, frozen=True, gc=False):
    """One recorded input, or what was made of it.

    `seq` counts from 1 without gaps. `payload` is the frame's text as it arrived (secrets aside), or canonical JSON bytes for
    every other kind. `ts_recv_ns` and `ts_event_ns` are UTC nanoseconds as the caller gave them.
    """

    seq: int
    kind: str
    ts_recv_ns: int
    ts_event_ns: int
    source: str
    payload: str | bytes


class _Line(msgspec.Struct, gc=False, tag_field="k"):
    n: int
    t: int
    e: int
    s: str


class _Frame(_Line, tag="frame", gc=False):
    d: str


class _Json(_Line, gc=False):
    d: msgspec.Raw


class _Intent(_Json, tag="intent", gc=False): ...


class _Timer(_Json, tag="timer", gc=False): ...


class _Link(_Json, tag="link", gc=False): ...


class _Sent(_Json, tag="sent", gc=False): ...


class _Answer(_Json, tag="answer", gc=False): ...


class _Event(_Json, tag="event", gc=False): ...


class _End(_Json, tag="end", gc=False): ...


class _Repaired(_Json, tag="repaired", gc=False): ...


_JSON_LINES: dict[str, type[_Json]] = {
    "intent": _Intent,
    "timer": _Timer,
    "link": _Link,
    "sent": _Sent,
    "answer": _Answer,
    "event": _Event,
    "end": _End,
    "repaired": _Repaired,
}
_KIND_OF: dict[type, str] = {line: kind for kind, line in _JSON_LINES.items()}
KINDS = ("frame", *_JSON_LINES)
LAST_KINDS = ("end", "repaired")

_encode = msgspec.json.Encoder().encode
_AnyLine = _Frame | _Intent | _Timer | _Link | _Sent | _Answer | _Event | _End | _Repaired
_decoder: msgspec.json.Decoder[_AnyLine] = msgspec.json.Decoder(_AnyLine)


def body_from(seq: int, kind: str, ts_recv_ns: int, ts_event_ns: int, source: str, payload: str | bytes) -> bytes:
    """Return a record's line up to its check.

    Raises:
        ValueError, TypeError, KeyError, OverflowError: not a record (unknown kind, a frame that is no text, text that is no
            Unicode, JSON that is not on one line).
    """
    if kind == "frame":
        if type(payload) is not str:
            raise TypeError("the payload of a frame is text")
        return _encode(_Frame(seq, ts_recv_ns, ts_event_ns, source, payload))[:-1]
    if type(payload) is str:
        payload = payload.encode()
    if b"\n" in payload or not payload:
        raise ValueError(f"the payload of {kind!r} is not JSON on one line")
    return _encode(_JSON_LINES[kind](seq, ts_recv_ns, ts_event_ns, source, msgspec.Raw(payload)))[:-1]


def line_from(body: bytes, check: bytes) -> bytes:
    """Return the whole line of a body and its check (`CHECK_HEX` hexadecimal digits)."""
    return b'%b,"h":"%b"}\n' % (body, check)


def parts_of(line: bytes) -> tuple[bytes, bytes] | None:
    """Return body and check of a whole record line, None if it does not end like one."""
    start = len(line) - _AFTER_BODY
    if start <= 0 or line[start : start + len(_CHECK_START)] != _CHECK_START or not line.endswith(_CHECK_END):
        return None
    return line[:start], line[start + len(_CHECK_START) : -len(_CHECK_END)]


def records_from(lines: bytes) -> list[Record]:
    """Return the records of whole lines, in order. Raises msgspec.MsgspecError or UnicodeDecodeError for what is no record."""
    return [
        Record(line.n, "frame", line.t, line.e, line.s, line.d)
        if type(line) is _Frame
        else Record(line.n, _KIND_OF[type(line)], line.t, line.e, line.s, bytes(line.d))  # type: ignore[arg-type]
        for line in _decoder.decode_lines(lines)
    ]


def manifest_line(content: dict[str, object], is_keyed: bool) -> bytes:
    """Return the first line of a session. Raises TypeError if `content` is no JSON object."""
    own = {"k": "manifest", "schema": SCHEMA, "chain": KEYED if is_keyed else PLAIN}
    return _encode({**own, **content, **own}) + b"\n"
