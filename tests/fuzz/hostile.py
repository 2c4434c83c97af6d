"""What somebody hostile would send: numbers that stall, texts that do not end, nesting that overflows; as tokens and as inputs."""

import json
from collections.abc import Callable, Iterator

KB, MB = 1 << 10, 1 << 20

# Put in the place of a JSON value, as they stand.
VALUES = (
    "1e500000",
    "-1e500000",
    "1e-500000",
    "1_000",
    '"1_000"',
    '"٣"',
    '"１２"',
    '"²"',
    "NaN",
    "Infinity",
    "-Infinity",
    '"NaN"',
    '"Infinity"',
    '"sNaN123"',
    "1e999999999999999999",
    '"1e500000"',
    "0",
    "-0",
    "-0.0",
    "0e0",
    "-1",
    "0.1",
    "1e-18",
    "1e18",
    "1e19",
    "9" * 40,
    "9" * 400,
    "9" * 5000,
    "0." + "1" * 60,
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "-9223372036854775809",
    "1.7976931348623157e308",
    "5e-324",
    '""',
    '" "',
    '"\\u0000"',
    '"\\ud800"',
    '"\\udfff\\ud800"',
    '"\\ud83d\\ude00"',
    '"' + "A" * 5000 + '"',
    '"\\\\\\""',
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "[" * 40 + "]" * 40,
    '{"a":' * 40 + "1" + "}" * 40,
    '"buy"',
    '"sell"',
    '"trade"',
    '"filled"',
    '"canceled"',
    '"snapshot"',
    '"update"',
    '"BTC/USD"',
    '"hf000003100010"',
    '"hf000003100040"',
    '"9999-12-31T23:59:59.999999Z"',
    '"0000-00-00T00:00:00Z"',
    '"2023-11-14T22:13:20Z"',
    '"2023-11-14T22:13:20.' + "9" * 18 + 'Z"',
    '"[redacted]"',
    '"@token@"',
    "1.0",
    "1.",
    ".5",
    "+1",
    "01",
    "0x10",
    '"0x10"',
    '"1e5"',
    '"+1"',
    '" 1"',
    '"1 "',
)
# Put anywhere into bytes.
BYTES = (
    b"\x00",
    b"\xff",
    b"\xfe\xff",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x80\xa8",
    b"\r",
    b"\n",
    b"\r\n",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\u0000",
    b"\\ud800",
    b"1e500000",
    b"NaN",
    b"nan",
    b"inf",
    b"=",
    b"[[",
    b"]]",
    b"'''",
    b'"""',
    b"__",
    b"../",
    b"%s",
    b"\x1f\x8b\x08",
    b"PAR1",
    b"BZh",
    b"@trade",
)


def _executions(entry: str, count: int) -> str:
    return '{"channel":"executions","type":"update","data":[' + ",".join([entry] * count) + '],"sequence":1}'


def _filled(start: str, piece: str, end: str, size: int) -> str:
    return start + piece * max(1, (size - len(start) - len(end)) // len(piece)) + end


# Frames of any size, each bad in its own way.
_SHAPES: dict[str, Callable[[int], str]] = {
    "nested lists": lambda size: "[" * (size // 2) + "]" * (size // 2),
    "nested objects": lambda size: _filled("", '{"a":', "1", size),
    "nested in a field": lambda size: _filled('{"channel":"executions","type":"update","data":[{"order_id":', "[", "", size),
    "brackets in a text": lambda size: _filled('{"channel":"status","x":"', "[{", '","data":[{"system":"online"}]}', size),
    "escaped quotes": lambda size: _filled('{"channel":"status","x":"', '\\"[', '","data":[]}', size),
    "backslashes": lambda size: _filled('{"channel":"status","x":"', "\\\\", '[","data":[]}', size),
    "quotes alone": lambda size: _filled("", '"', "", size),
    "one long text": lambda size: _filled('{"channel":"status","type":"update","data":[{"system":"', "A", '"}]}', size),
    "one long error": lambda size: _filled('{"method":"add_order","req_id":1,"success":false,"error":"', "E", '"}', size),
    "long order id": lambda size: _executions(json.dumps({"order_id": "O" * size, "exec_type": "new", "cl_ord_id": "hf000003100010"}), 1),
    "long client id": lambda size: _executions(json.dumps({"order_id": "O", "exec_type": "new", "cl_ord_id": "hf" * (size // 2)}), 1),
    "a number of digits": lambda size: _filled(
        '{"channel":"trade","data":[{"symbol":"BTC/USD","qty":1,"trade_id":1,"price":', "9", "}]}", size
    ),
    "a request id of digits": lambda size: _filled('{"method":"pong","req_id":', "9", "}", size),
    "an exponent": lambda size: _filled('{"channel":"trade","data":[{"symbol":"BTC/USD","qty":1,"trade_id":1,"price":1e', "9", "}]}", size),
    "many executions": lambda size: _executions(
        '{"order_id":"O1","exec_type":"trade","exec_id":"T1","last_qty":1,"last_price":1}', size // 74
    ),
    "many orders": lambda size: (
        '{"channel":"executions","type":"snapshot","data":['
        + ",".join(f'{{"order_id":"O{n}","exec_type":"new","cl_ord_id":"hf{n:06}100010","order_qty":1}}' for n in range(size // 78))
        + '],"sequence":1}'
    ),
    "many bad numbers": lambda size: _executions('{"order_id":"O1","cum_qty":"x","order_qty":"NaN","last_qty":1e500000}', size // 70),
    "many trades": lambda size: _filled(
        '{"channel":"trade","type":"update","data":[', '{"symbol":"BTC/USD","price":1,"qty":1,"trade_id":1},', "]}", size
    ),
    "trades": lambda size: (
        '{"channel":"trade","type":"update","data":['
        + ",".join(f'{{"symbol":"BTC/USD","price":{60_000 + n % 7}.1,"qty":1.5,"trade_id":{n}}}' for n in range(size // 64))
        + "]}"
    ),
    "many pairs": lambda size: (
        '{"channel":"instrument","type":"snapshot","data":{"assets":[],"pairs":['
        + ",".join(
            f'{{"symbol":"A{n}/USD","base":"A{n}","quote":"USD","qty_increment":1e-8,"qty_min":1,"price_increment":0.1}}'
            for n in range(size // 105)
        )
        + "]}}"
    ),
    "many keys": lambda size: '{"channel":"heartbeat",' + ",".join(f'"k{n}":1' for n in range(size // 12)) + "}",
    "one key many times": lambda size: _filled('{"channel":"heartbeat"', ',"channel":"heartbeat"', "}", size),
    "secrets by name": lambda size: _filled('{"channel":"heartbeat","x":[', '{"token":"x"},', "1]}", size),
    "names of secrets": lambda size: _filled('{"channel":"heartbeat","x":"', "token", '"}', size),
    "open secrets": lambda size: _filled('{"channel":"heartbeat"', ',"token":"', "", size),
    "escaped secrets": lambda size: _filled('{"channel":"heartbeat","x":"', '\\"token\\":', '"}', size),
    "white space": lambda size: _filled('{"channel":"heartbeat"', " ", "}", size),
    "control characters": lambda size: _filled('{"channel":"heartbeat","x":"', "\x01", '"}', size),
    "emoji": lambda size: _filled('{"channel":"status","data":[{"system":"', "😀", '"}]}', size // 4),
    "escaped surrogates": lambda size: _filled('{"channel":"status","data":[{"system":"', "\\ud800", '"}]}', size),
    "commas": lambda size: _filled('{"channel":"executions","data":[', ",", "]}", size),
    "lines": lambda size: _filled("", "\n", "", size),
    "nothing": lambda size: "\x00" * size,
}


def frames(size: int) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of bad frames of about `size` characters."""
    for name, shape in _SHAPES.items():
        yield name, shape(size)


def small() -> Iterator[bytes]:
    """Yield the same, small and with every value in the place of an execution's numbers: what any decoder may get."""
    for _, text in frames(2 * KB):
        yield text.encode("utf-8", "surrogatepass")
    for value in VALUES:
        for field in ("cum_qty", "last_price", "exec_id", "order_id", "timestamp", "fees", "sequence"):
            yield f'{{"channel":"executions","type":"update","data":[{{"order_id":"O","exec_type":"trade","{field}":{value}}}]}}'.encode()
        yield value.encode()
        yield f"value = {value}".encode()
    yield from BYTES
    yield b""
