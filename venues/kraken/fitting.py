"""A frame or an answer whose shape is known and one of whose values is of another type than its field: as much of it as can be used.

Kraken has changed types before (numbers as text, a client id as number), and a documentation is no promise: an executions frame
must not be lost, with the fill in it, for a user reference that came as text.

Rules
    What says the same in another type is taken (a number as text, text as number, "true"); nothing is told of it.
    What does not fit costs its field, or its element of a list of fees, and is told.
    An entry without a field that it needs costs itself, where others do without it: a price, a pair. In a frame of the account, or in
    an answer, it costs the frame: what a snapshot does not name counts as absent, and what an answer does not say as refused.
    Of an answer by REST the same holds as of a frame of the account (`value_from`).
"""

from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, get_args, get_origin

import msgspec

from . import codec

# A number as text, or text as a number: beyond that it is neither.
_MAX_INT_CHARS = 18
_PUBLIC = (codec.TickerFrame, codec.TradeFrame, codec.InstrumentFrame)
_SHAPES: dict[str, type[msgspec.Struct]] = {kind.__struct_config__.tag: kind for kind in codec.CHANNEL_FRAMES}  # type: ignore[misc]
_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=str)


class Fitted(NamedTuple):
    """What could be used of a frame, and a sentence for each thing that could not."""

    frame: codec.Frame
    oddities: tuple[str, ...]


def fitted_from(text: str) -> Fitted | None:
    """Return what can be used of a frame that `codec.frame_from` found to have a bad body, None for nothing. Never raises."""
    try:
        fields = _decoder.decode(text)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return None
    channel = fields.get("channel")
    shape = _SHAPES.get(channel) if isinstance(channel, str) else codec.Reply
    if shape is None:
        return None
    fitting = _Fitting()
    frame = fitting.struct(shape, fields, str(channel or "answer"))
    is_whole = not fitting.oddities if shape is codec.Reply else not fitting.has_lost_entry or shape in _PUBLIC
    return Fitted(frame, tuple(fitting.oddities)) if frame is not None and is_whole else None


def value_from(kind: Any, value: Any, place: str) -> tuple[Any, tuple[str, ...]]:
    """Return as much of a decoded value as fits `kind`, and a sentence for each thing that does not. Never raises.

    The first is None where nothing fits, or an entry of a list or mapping does not.
    """
    fitting = _Fitting()
    fitted = fitting.value(kind, value, place)
    return None if fitting.has_lost_entry else fitted, tuple(fitting.oddities)


class _Fitting:
    """One frame on its way: what did not fit so far."""

    def __init__(self) -> None:
        self.oddities: list[str] = []
        self.has_lost_entry = False

    def struct(self, shape: type[msgspec.Struct], fields: dict[str, Any], place: str) -> Any:
        """Return `shape` with what fits of `fields`, None if something that it needs is missing or does not fit."""
        given = {}
        for field in msgspec.structs.fields(shape):
            value = fields.get(field.encode_name)
            fitted = None if value is None else self.value(field.type, value, f"{place}.{field.encode_name}")
            if fitted is not None:
                given[field.name] = fitted
            elif field.required:
                if value is None:
                    self._note(f"{place}: {field.encode_name} is needed")
                if field.type is not Any:
                    return None
                # A number: looked at where it is used.
                given[field.name] = None
        return shape(**given)

    def value(self, kind: Any, value: Any, place: str) -> Any:
        if kind is Any:
            return value
        told = len(self.oddities)
        kinds = [x for x in get_args(kind) if x is not NoneType] if isinstance(kind, UnionType) else [kind]
        for one in kinds:
            fitted = self._one(one, value, place)
            if fitted is not None:
                return fitted
        if len(self.oddities) == told:
            self._note(f"{place}: a value of type {type(value).__name__} does not fit")
        return None

    def _one(self, kind: Any, value: Any, place: str) -> Any:
        if get_origin(kind) is list:
            return self._list(get_args(kind)[0], value, place) if isinstance(value, list) else None
        if get_origin(kind) is dict:
            return self._mapping(get_args(kind)[1], value, place) if isinstance(value, dict) else None
        if get_origin(kind) is Literal:
            return value if value in get_args(kind) else None
        if issubclass(kind, msgspec.Struct):
            return self.struct(kind, value, place) if isinstance(value, dict) else None
        return scalar_from(kind, value)

    def _list(self, kind: Any, values: list[Any], place: str) -> list[Any]:
        out = []
        for value in values:
            fitted = self.value(kind, value, place)
            if fitted is not None:
                out.append(fitted)
            else:
                self.has_lost_entry = self.has_lost_entry or kind is not codec.FeeEntry
        return out

    def _mapping(self, kind: Any, values: dict[str, Any], place: str) -> dict[str, Any]:
        out = {}
        for key, value in values.items():
            fitted = self.value(kind, value, f"{place}.{key[:40]}")
            if fitted is not None:
                out[key] = fitted
            else:
                self.has_lost_entry = True
        return out

    def _note(self, text: str) -> None:
        if len(self.oddities) < codec.ODDITIES_KEPT:
            self.oddities.append(text)


def scalar_from(kind: type, value: Any) -> Any:
    """Return a text, whole number or bool that says the same as `value`, None if there is none."""
    if type(value) is kind:
        return value
    if kind is str and type(value) is int:
        return str(value) if abs(value) < 10**codec.MAX_NUMBER_CHARS else None
    if kind is int and isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) <= _MAX_INT_CHARS else None
    if kind is bool:
        return _BOOLS.get(value) if isinstance(value, str | int) else None
    return None


_BOOLS: dict[Any, bool] = {"true": True, "false": False, 1: True, 0: False}
