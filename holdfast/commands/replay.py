"""`holdfast replay`: recorded sessions run again, every event compared."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from events.errors import BadInput, Diverged
from holdfast.inquiry.layout import part
from holdfast.inquiry.verdicts import Diverging, Replayed, key_from, replayed, replayed_each, sessions_of
from holdfast.output import print_object, print_rows, table
from holdfast.progress import Progress
from holdfast.words import counted

from .options import KeyOption, Output, Settings

_MOST = 20


def command(
    *session: Path,
    key_env: KeyOption = None,
    output: Output = "table",
    settings: Settings = Settings(),
) -> int:
    """Run recorded sessions again and compare every event, byte for byte.

    Ends with 0 if all are identical, with 6 at a divergence or a changed byte;
    the first difference is shown with both sides. A session that is still being
    written is replayed up to where it is; a torn tail is reported and left out.

    Parameters
    ----------
    session:
        session files, or folders of them; that of the settings if none is named.
    """
    config = settings.load().config
    paths = sessions_of(session, Path(config.session_dir))
    key = key_from(config, key_env)
    if len(paths) == 1 and not (session and session[0].is_dir()):
        with Progress(paths[0].name) as progress:
            found = [replayed(paths[0], key, progress)]
        if output == "table":
            sys.stdout.write(_text(found[0]))
        else:
            print_object(found[0], output)
    else:
        found = _each(paths, key, output)
    if any(one.outcome in ("diverged", "tampered") for one in found):
        return Diverged.exit_code
    return BadInput.exit_code if any(one.outcome == "unusable" for one in found) else 0


def _each(paths: Sequence[Path], key: bytes | None, output: Output) -> list[Replayed]:
    with Progress(counted(len(paths), "session")) as progress:
        found = list(replayed_each(paths, key, progress))
    if output != "table":
        print_rows(found, output)
        return found
    sys.stdout.write(table([_row(one) for one in found]))
    for one in found:
        if one.outcome != "identical":
            sys.stdout.write(f"\n{one.session}\n{_text(one) if one.divergence else _end(one)}")
    return found


def _row(one: Replayed) -> dict[str, object]:
    return {
        "session": Path(one.session).name,
        "replay": one.outcome,
        "inputs": one.inputs,
        "frames": one.frames,
        "events": one.events,
        "frames/s": one.frames_per_s,
        "ending": one.ending,
        "torn bytes": one.torn_bytes or None,
    }


def _text(one: Replayed) -> str:
    lines = part("replay", f"{one.outcome}: {one.inputs} inputs ({one.frames} frames), {one.events} events")
    lines += part("took", f"{one.seconds:.3f} s, {one.frames_per_s:,} frames/s")
    text = "\n".join([*lines, *part("session", one.session)]) + "\n" + _end(one)
    return text + (_shown(one.divergence, one.table_hash) if one.divergence is not None else "")


def _end(one: Replayed) -> str:
    said = [one.problem] if one.problem else []
    if one.ending == "open":
        said.append("it has no end: an engine writes it still, or was killed")
    if one.torn_bytes:
        said.append(f"{one.torn_bytes} bytes of a torn line at its end were left out")
    if not one.is_proven and not one.problem:
        said.append("its chain was read without its key, and so proves nothing: name the variable with --key-env")
    return "".join("\n".join(part("note", text)) + "\n" for text in said)


def _shown(found: Diverging, table_hash: str) -> str:
    """Return the first divergence with both sides."""
    where = f"record {found.record}, {found.position_id}:{found.version} {found.fact}, after {found.input}"
    return "\n".join(["", f"first divergence at {where}", *_sides(found), *_tables(table_hash)]) + "\n"


def _sides(found: Diverging) -> Iterator[str]:
    if not found.recorded or not found.replayed:
        yield f"  recorded  {found.recorded or 'nothing'}"
        yield f"  replayed  {found.replayed or 'nothing'}"
        return
    for difference in found.differences[:_MOST]:
        yield f"  {difference.path}"
        yield f"    recorded  {difference.recorded}"
        yield f"    replayed  {difference.decided}"
    if len(found.differences) > _MOST:
        yield f"  and {len(found.differences) - _MOST} more members; -o json has both events whole"


def _tables(recorded: str) -> Iterator[str]:
    from holdfast.assembly import table_hash

    today = table_hash()
    if recorded == today:
        yield "the tables are those that it was recorded with: something beside them has changed, or the session"
    else:
        yield f"the tables have changed since: it was recorded with {recorded or 'others'}, today's are {today}"
