"""Saves a run: docs/benchmarks/DATE.md with its chart DATE.svg, and who points to it.

Pages stay as they were written; only the list in docs/benchmarks/README.md and, for a run of everything, the chart in
the project's README.md are changed, each between two marks.
"""

import re
from datetime import date

PAGES = ("<!-- pages -->\n", "<!-- end of pages -->")
NEWEST = ("<!-- newest benchmark -->\n", "<!-- end of newest benchmark -->")
NAME = re.compile(r"(\d{4}-\d{2}-\d{2})(?:-(\d+))?")


def save(root, page, chart, whole):
    """Writes the page and its chart, if it has one, under today's date, with a number if there is one already; gives the page's path.

    `whole` says that nothing was left out of the run, so that it is the one to show first.
    """
    folder = root / "docs" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    today = date.today().isoformat()
    names = [today] + [f"{today}-{number}" for number in range(2, 100)]
    name = next(name for name in names if not (folder / f"{name}.md").exists())
    path = folder / f"{name}.md"
    if chart:
        heading, rest = page.split("\n", 1)
        (folder / f"{name}.svg").write_text(chart)
        page = f"{heading}\n\n![ratios as bars, logarithmic]({name}.svg)\n{rest}"
    path.write_text(page)
    put_between(folder / "README.md", PAGES, listing(folder))
    if whole:
        shown = f"[![how many times more Kafka needs, and Dohle than the floor](docs/benchmarks/{name}.svg)](docs/benchmarks/{name}.md)\n"
        put_between(root / "README.md", NEWEST, shown)
    return path


def listing(folder):
    """A line a page, newest first."""
    names = [found for path in folder.glob("*.md") if (found := NAME.fullmatch(path.stem))]
    names.sort(key=lambda found: (found[1], int(found[2] or 1)), reverse=True)
    return "".join(f"- [{found[0]}]({found[0]}.md)\n" for found in names)


def put_between(path, marks, content):
    """Puts `content` between the two marks of a file, in place of what is there."""
    start, end = marks
    text = path.read_text()
    before, begun, rest = text.partition(start)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"{path.name} has no {start.strip()} … {end}")
    path.write_text(before + start + content + end + after)
