"""What the benchmarks found: tables for people, JSON, and drawings in SVG."""

import datetime
import json
import math
import os
import pathlib
import platform
import shlex
import subprocess
import sys
from xml.sax.saxutils import escape

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def machine() -> dict:
    """Where and when figures were taken, and of what."""
    with open("/proc/cpuinfo") as cpuinfo:
        cpu = next((line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")), "unknown")
    with open("/proc/meminfo") as meminfo:
        memory = next(int(line.split()[1]) * 1024 for line in meminfo if line.startswith("MemTotal"))
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_bytes": memory,
        "kernel": platform.release(),
        "load_before": os.getloadavg()[0],
        "date": datetime.date.today().isoformat(),
        "revision": subprocess.run(git, capture_output=True, text=True).stdout.strip() or "unknown",
        "command": "tools/bench " + shlex.join(sys.argv[3:]),  # without --build BUILD
    }


def table(header: list[str], rows: list[list[str]]) -> str:
    """Columns as wide as their widest cell: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = [cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def write(path: pathlib.Path, text: str) -> None:
    """Beside and renamed into place, so that a file is whole whatever stops the process."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    beside.replace(path)
    print(f"wrote {path}", file=sys.stderr)


def write_json(path: pathlib.Path, what: dict) -> None:
    write(path, json.dumps(what, indent=1) + "\n")


def mib(count: float | None) -> str:
    return "-" if count is None else f"{count / 2**20:.0f}"


class Panel:
    """A part of a drawing with an axis of its own; `mark`: where a line is drawn, of what is compared against."""

    def __init__(self, title: str, low: float, high: float, ticks: list[float], log: bool = False, mark: float = 1):
        self.title, self.low, self.high, self.ticks, self.log, self.mark = title, low, high, ticks, log, mark

    def share(self, value: float) -> float:
        """Where a value lies between the ends: 0 ... 1; what lies beyond is drawn at the end."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


COLORS = ["#4269d0", "#efb118", "#ff725c", "#3ca951", "#a463f2", "#222222"]
LEFT, TOP, ROW, GAP = 236, 104, 19, 28  # pixels
PANELS = 720  # wide together


def head(width: float, height: float, title: str, subtitle: str) -> list[str]:
    """What a drawing begins with."""
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}"'
        f' viewBox="0 0 {width} {height:.0f}" font-size="12"'
        " font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\">",
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        said(16, 26, title, ' font-size="16" font-weight="bold"'),
        said(16, 46, subtitle, ' fill-opacity="0.7"'),
    ]


def said(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="#222222"{more}>{escape(text)}</text>'


def legend(names: list[str]) -> list[str]:
    """Of the colors, in their order."""
    out, x = [], 16.0
    for name, color in zip(names, COLORS):
        out.append(f'<circle cx="{x + 5:.1f}" cy="66" r="5" fill="{color}"/>')
        out.append(said(x + 15, 70, name))
        x += 32 + 7 * len(name)
    return out


def curves(title: str, subtitle: str, lines: dict[str, list[tuple[float, float]]], x: Panel, y: Panel) -> str:
    """A line through the points of each name, in the order of the colors; the last one is the widest."""
    left, top, wide, high = 70, 90, 690, 400
    out = head(left + wide + 30, top + high + 60, title, subtitle) + legend(list(lines))
    for tick in x.ticks:
        at = left + x.share(tick) * wide
        out.append(f'<line x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{top + high}" stroke="#e4e4e4"/>')
        out.append(said(at, top + high + 18, f"{tick:g}", ' text-anchor="middle"'))
    for tick in y.ticks:
        at = top + (1 - y.share(tick)) * high
        out.append(f'<line x1="{left}" y1="{at:.1f}" x2="{left + wide}" y2="{at:.1f}" stroke="#e4e4e4"/>')
        out.append(said(left - 8, at + 4, f"{tick:g}", ' text-anchor="end"'))
    out.append(said(left + wide / 2, top + high + 44, x.title, ' text-anchor="middle" font-weight="bold"'))
    turned = f' text-anchor="middle" font-weight="bold" transform="rotate(-90 20 {top + high / 2:.0f})"'
    out.append(said(20, top + high / 2, y.title, turned))
    for color, (name, points) in zip(COLORS, lines.items()):
        last = name == list(lines)[-1]
        at = [(left + x.share(a) * wide, top + (1 - y.share(b)) * high) for a, b in points]
        drawn = " ".join(f"{a:.1f},{b:.1f}" for a, b in at)
        out.append(f'<polyline points="{drawn}" fill="none" stroke="{color}" stroke-width="{3 if last else 1.5}"/>')
        out += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{5 if last else 3.5}" fill="{color}"/>' for a, b in at]
    return "\n".join([*out, "</svg>"]) + "\n"


Row = tuple[str, list[list[float | None]]]  # its name and, panel by panel, a value of each series or None


def dots(title: str, subtitle: str, series: list[str], panels: list[Panel], groups: list[list[Row]]) -> str:
    """Rows of dots, in groups with a line between."""
    wide = PANELS / len(panels) - GAP
    width = LEFT + PANELS
    height = TOP + sum(len(group) * ROW for group in groups) + (len(groups) - 1) * ROW / 2 + 40
    out = head(width, height, title, subtitle) + legend(series)

    def say(x: float, y: float, text: str, more: str = "") -> None:
        out.append(said(x, y, text, more))

    bottom = height - 40
    for index, panel in enumerate(panels):
        left = LEFT + index * (wide + GAP)
        say(left, TOP - 12, panel.title, ' font-weight="bold"')
        for tick in panel.ticks:
            at = left + panel.share(tick) * wide
            color = "#888888" if tick == panel.mark else "#e4e4e4"
            out.append(f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{bottom:.1f}" stroke="{color}"/>')
            say(at, bottom + 16, f"{tick:g}", ' text-anchor="middle"')
    y = TOP + ROW / 2
    for number, group in enumerate(groups):
        if number > 0:
            at = y - ROW / 4
            out.append(f'<line x1="16" y1="{at:.1f}" x2="{width - GAP}" y2="{at:.1f}" stroke="#bbbbbb"/>')
            y += ROW / 2
        for name, values in group:
            say(LEFT - 12, y + 4, name, ' text-anchor="end"')
            for index, panel in enumerate(panels):
                left = LEFT + index * (wide + GAP)
                out.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + wide}" y2="{y:.1f}" stroke="#f2f2f2"/>')
                for color, value in zip(COLORS, values[index]):
                    if value is not None:
                        at = left + panel.share(value) * wide
                        out.append(f'<circle cx="{at:.1f}" cy="{y:.1f}" r="5" fill="{color}" fill-opacity="0.85"/>')
            y += ROW
    out.append("</svg>")
    return "\n".join(out) + "\n"
