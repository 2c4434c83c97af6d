"""The generated files of a folder: written, and compared with what the tables say now.

An SVG is compared by the hash of the DOT text that it carries, so that the comparison needs no renderer.
"""

from collections.abc import Iterable
from pathlib import Path

from events.errors import BadInput, HoldfastError

from .chart import Chart
from .dot import dot_from
from .markdown import markdown_from
from .mermaid import mermaid_from
from .svg import sha256_of, stamp_of, svg_from


class Drifted(HoldfastError):
    """Generated files are not what the tables say now."""

    exit_code = 6

    def __init__(self, folder: str, names: tuple[str, ...]) -> None:
        self.folder, self.names = folder, names
        super().__init__(
            f"{folder}: {', '.join(names)} are not what the tables say; "
            f"write them anew with `python3 run.py diagram --out {folder}` and commit them"
        )


def texts_of(chart: Chart) -> dict[str, str]:
    """Return the text files of a machine by their names."""
    name = chart.table.name
    return {f"{name}.dot": dot_from(chart), f"{name}.mmd": mermaid_from(chart), f"{name}.md": markdown_from(chart)}


def drifted(charts: Iterable[Chart], folder: Path) -> tuple[str, ...]:
    """Return the names of the files in `folder` that are missing or not what the tables say."""
    out = []
    for chart in charts:
        texts = texts_of(chart)
        out += [name for name, text in texts.items() if _text_at(folder / name) != text]
        svg = _text_at(folder / f"{chart.table.name}.svg")
        if svg is None or stamp_of(svg) != sha256_of(texts[f"{chart.table.name}.dot"]):
            out.append(f"{chart.table.name}.svg")
    return tuple(out)


def write_all(charts: Iterable[Chart], folder: Path) -> tuple[str, ...]:
    """Write what has drifted in `folder`, which is made if it does not exist, and return the names.

    A picture whose DOT text has not changed is left as it is: renderers differ in fonts. Raises BadInput where a picture
    is to be drawn and no renderer is installed; all texts are written then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    charts = tuple(charts)
    stale = drifted(charts, folder)
    texts = {name: text for chart in charts for name, text in texts_of(chart).items()}
    for name in stale:
        if name in texts:
            (folder / name).write_text(texts[name], encoding="utf-8")
    for name in stale:
        if name not in texts:
            (folder / name).write_text(svg_from(texts[name.replace(".svg", ".dot")]), encoding="utf-8")
    return stale


def _text_at(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise BadInput(str(path), "it is not UTF-8 text", "delete it and write it anew") from None
