"""RFC 3339 times of the wire to UTC nanoseconds and back, in integers.

Written out rather than taken from `datetime`: that one keeps microseconds (Kraken's book sends nanoseconds), and the core
imports nothing that can read a clock.
"""

from functools import lru_cache

NS_PER_S = 1_000_000_000
_DAY_S = 86_400


def ns_from_rfc3339(text: object) -> int:
    """Return the UTC nanoseconds of "2023-09-22T10:33:05.709982Z"; 0 for anything that is not such a text."""
    if type(text) is not str or not 20 <= len(text) <= 40 or text[-1] != "Z" or not text.isascii():
        return 0
    # Frames that follow each other are mostly of the same second.
    second_ns, fraction = _second_ns(text[:19]), text[20:-1]
    if second_ns is None or not fraction:
        return second_ns or 0
    if text[19] != "." or not fraction.isdigit():
        return 0
    return second_ns + (int(fraction) * 1_000 if len(fraction) == 6 else int(fraction[:9].ljust(9, "0")))


def rfc3339_ms_from(ts_ns: int) -> str:
    """Return "2024-07-21T09:53:59.050Z" for UTC nanoseconds, cut to milliseconds."""
    whole_s, rest_ns = divmod(ts_ns, NS_PER_S)
    day, second = divmod(whole_s, _DAY_S)
    year, month, date = _civil_from_day(day)
    clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{rest_ns // 1_000_000:03}"
    return f"{year:04}-{month:02}-{date:02}T{clock}Z"


def rfc3339_ns_from(ts_ns: int) -> str:
    """Return "2024-07-21T09:53:59.050123456Z" for UTC nanoseconds."""
    return f"{rfc3339_ms_from(ts_ns)[:20]}{ts_ns % NS_PER_S:09}Z"


@lru_cache(maxsize=256)
def _second_ns(text: str) -> int | None:
    # "2023-09-22T10:33:05" in nanoseconds since 1970.
    day, hours, minutes, seconds = _epoch_day(text[:10]), text[11:13], text[14:16], text[17:]
    if day is None or text[10] != "T" or text[13] != ":" or text[16] != ":" or not (hours + minutes + seconds).isdigit():
        return None
    return (day * _DAY_S + int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * NS_PER_S


def _epoch_day(text: str) -> int | None:
    # Days since 1970-01-01 by the 400-year cycle of the Gregorian calendar, years counted from March.
    if text[4] != "-" or text[7] != "-" or not (text[:4] + text[5:7] + text[8:]).isdigit():
        return None
    year, month, date = int(text[:4]), int(text[5:7]), int(text[8:])
    if not (1 <= month <= 12 and 1 <= date <= 31):
        return None
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + date - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def _civil_from_day(day: int) -> tuple[int, int, int]:
    era, day_of_era = divmod(day + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    month = month_from_march + (3 if month_from_march < 10 else -9)
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * month_from_march + 2) // 5 + 1
