"""`holdfast verify`: the log decided again, or the chains of session files checked."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from events.errors import BadInput, Diverged
from holdfast.inquiry.audit import Audit, audit, lines_of
from holdfast.inquiry.layout import part
from holdfast.inquiry.verdicts import Checked, checked_each, key_from, sessions_of
from holdfast.output import print_object, print_rows
from holdfast.progress import Progress
from holdfast.words import counted, number

from .options import KeyOption, Output, Settings, StoreOption, open_log


def command(
    *session: Path,
    store: StoreOption = None,
    key_env: KeyOption = None,
    anchor: Annotated[Path | None, Parameter(name="--anchor", help="Anchor file or its folder; else the one beside the session.")] = None,
    most: Annotated[int, Parameter(name="--most", help="Disagreements that are shown; all are counted.")] = 20,
    output: Output = "table",
    settings: Settings = Settings(),
) -> int:
    """Decide the whole log again, or check the chain of session files.

    Without a session: every event of the store is decided again with today's
    tables, each on the position that the log gives; versions must have no
    holes, invariants must hold, the ledger must balance. With sessions: chain,
    checks and anchors of each file. Ends with 0, or with 6 if something is
    wrong. Runs beside a live engine.

    Parameters
    ----------
    session:
        session files, or folders of them.
    """
    return _sessions(session, key_env, anchor, output, settings) if session else _log(store, most, output, settings)


def _log(store: str | None, most: int, output: Output, settings: Settings) -> int:
    with open_log(store, settings) as log, Progress("deciding again") as progress:
        total = log.last_notification_id()
        found = audit(log, most, lambda done: progress(done, total))
    if output == "table":
        sys.stdout.write(_text(found))
    else:
        print_object({**{name: getattr(found, name) for name in found.__struct_fields__}, "sound": found.is_sound}, output)
    return 0 if found.is_sound else Diverged.exit_code


def _text(found: Audit) -> str:
    alike = found.events - found.disagreed
    renamed = f"; {found.renamed} of them under another row's name: the table was edited since" if found.renamed else ""
    sums = ", ".join(f"{asset} sums to {number(amount)}" for asset, amount in sorted(found.totals.items())) or "empty"
    whole = "NOT WHOLE" if found.hole else "versions without holes"
    lines = [
        *part("store", found.store),
        *part("events", f"{found.events} of {counted(found.positions, 'position')}, {whole}"),
        *part("decided", f"{alike} alike, {found.disagreed} otherwise{renamed}"),
        *part("promises", f"{found.broken_count} broken (I1, I2, I3, I5 at every step)"),
        *part("ledger", f"{'balanced' if found.is_balanced else 'NOT BALANCED'}: {sums}"),
        *lines_of(found),
    ]
    return "\n".join(lines) + "\n"


def _sessions(session: tuple[Path, ...], key_env: str | None, anchor: Path | None, output: Output, settings: Settings) -> int:
    config = settings.load().config
    found = list(checked_each(sessions_of(session, Path(config.session_dir)), key_from(config, key_env), anchor))
    if output != "table":
        print_rows(found, output)
    else:
        sys.stdout.write("\n".join(_session_text(one) for one in found))
    if any(one.outcome == "tampered" for one in found):
        return Diverged.exit_code
    return BadInput.exit_code if any(one.outcome == "unusable" for one in found) else 0


_ENDINGS = {
    "end": "closed by its engine",
    "repaired": "cut and ended after a crash",
    "open": "without an end: an engine writes it still, or was killed",
}


def _session_text(one: Checked) -> str:
    report = one.report
    if report is None:
        return "\n".join([*part("session", one.session), *part("chain", f"{one.outcome}: {one.problem}")]) + "\n"
    chain = "every byte matches"
    if report.keyed:
        chain += ", made with this key" if report.key_checked else "; keyed, but read without the key: name its variable with --key-env"
    anchored = "none found" if report.anchored is None else f"up to record {report.anchored}"
    lines = [
        *part("session", report.path),
        *part("chain", f"{chain}; head {report.head}"),
        *part("records", f"{report.records}, {report.unsealed} behind the last seal; {_ENDINGS[report.ending]}"),
        *part("anchors", anchored),
    ]
    if report.torn_bytes:
        lines += part("torn", f"{report.torn_bytes} bytes of an unfinished line at the end")
    return "\n".join(lines) + "\n"
