"""Write the table and the picture of docs/benchmarks.md anew, from the raw output in docs/measurements.md.

`python -m tools.page_of_benchmarks`
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parent.parent / "docs"
PAGE, RAW, PICTURE = DOCS / "benchmarks.md", DOCS / "measurements.md", DOCS / "images" / "benchmarks.svg"
MARKED = re.compile(r"(<!-- figures: .*? -->\n).*?(<!-- figures end -->)", re.S)
JOBS = "1000 waiting jobs, "

# As the benchmark calls them, and as the page does.
NAMES = {
    "ours: MagicHourProjectTrigger": "this provider's trigger",
    "dbt Cloud's trigger": "dbt Cloud's trigger",
    "HTTP provider's sensor trigger": "HTTP provider's sensor trigger",
    "vendor's SDK, one async client": "vendor's SDK",
    "floor: keep-alive by hand": "keep-alive by hand, the floor of Python",
}


class Line(NamedTuple):
    """What the raw output says of one client."""

    name: str
    polls: float
    cpu: float
    connections: int
    lag: float


def lines(raw: str) -> list[Line]:
    """Return the first table for so many jobs in the raw output."""
    table = raw.split(JOBS, 1)[1].split("\n\n", 1)[0]
    found = {}
    for row in table.splitlines():
        name, *figures = re.split(r"\s{2,}", row.strip())
        if name in NAMES and len(figures) == 9:
            _, polls, cpu, _, _, connections, _, lag, _ = figures
            found[name] = Line(NAMES[name], float(polls), float(cpu), int(connections), float(lag))
    return [found[name] for name in NAMES]


def with_figures(page: str, raw: str) -> str:
    """Return the page with the table of the raw output between its marks."""
    ours = lines(raw)[0]
    rows = "".join(
        f"| {line.name} | {line.cpu:.2f} ms | {line.cpu / ours.cpu:.1f} | {line.polls:.0f} | {line.connections} "
        f"| {line.lag:,.0f} ms |\n"
        for line in lines(raw)
    )
    head = "| | CPU for each poll | times ours | polls a second | open connections | event loop late by (p99) |\n"
    return MARKED.sub(lambda found: f"{found[1]}\n{head}| --- |{' --- |' * 5}\n{rows}\n{found[2]}", page)


def picture(raw: str) -> str:
    """Return bars for CPU and connections; what is longer than the others by far is cut."""
    clients = lines(raw)
    height = 58 + 34 * len(clients)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 {height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="15" role="img" aria-labelledby="title">',
        '  <title id="title">CPU for each poll and open connections with 1,000 waiting jobs</title>',
        f'  <rect width="960" height="{height}" fill="#fff"/>',
    ]
    for left, title, unit, values in (
        (290, "CPU for each poll", " ms", [line.cpu for line in clients]),
        (650, "Open connections", "", [float(line.connections) for line in clients]),
    ):
        longest = max(value for value in values if value < 10 * sorted(values)[-2])
        parts.append(f'  <text x="{left}" y="32" font-weight="bold" fill="#222">{title}</text>')
        for number, value in enumerate(values):
            top, width = 48 + 34 * number, 200 * min(value / longest, 1.15)
            color = "#5b4bb7" if number == 0 else "#b9b4c9"
            shown = f"{value:.2f}" if unit else f"{value:.0f}"
            parts.append(f'  <rect x="{left}" y="{top}" width="{width:.0f}" height="22" rx="3" fill="{color}"/>')
            if value > longest:
                parts.append(f'  <path d="M{left + 190} {top - 3}l8 28h8l-8-28z" fill="#fff"/>')
            parts.append(f'  <text x="{left + width + 8:.0f}" y="{top + 16}" fill="#222">{shown}{unit}</text>')
    for number, line in enumerate(clients):
        weight = ' font-weight="bold"' if number == 0 else ""
        name = line.name.partition(",")[0]
        parts.append(f'  <text x="278" y="{64 + 34 * number}" text-anchor="end" fill="#222"{weight}>{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    raw = RAW.read_text()
    PAGE.write_text(with_figures(PAGE.read_text(), raw))
    PICTURE.write_text(picture(raw))
    print(PAGE, PICTURE, sep="\n")
