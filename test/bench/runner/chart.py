"""The ratios as bars: a small SVG that stands by itself, on a card of its own in light and in dark surroundings.

Bars begin at 1, where both need the same, and go as far as the logarithm of the ratio: twice and half are equally far.
"""

import math
from dataclasses import dataclass
from html import escape

WIDTH, LABELS, RIGHT = 800, 290, 56
TOP, ROW, BAR, BOTTOM = 92, 28, 9, 44

STYLE = """
.card{fill:#fff;stroke:#d0d7de}.text{fill:#1f2328}.faint{fill:#59636e}.line{stroke:#d8dee4}.one{stroke:#59636e}
.first{fill:#2f6fb2}.second{fill:#c77d1a}
text{font:12px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif}.head{font-size:15px;font-weight:600}.value{font-size:10px}
@media(prefers-color-scheme:dark){.card{fill:#161b22;stroke:#3d444d}.text{fill:#e6edf3}.faint{fill:#9198a1}.line{stroke:#2c333b}
.one{stroke:#9198a1}.first{fill:#5ea0e6}.second{fill:#e3a03f}}
"""


@dataclass(frozen=True)
class Bars:
    """A row: up to two ratios, none where there is nothing to compare."""

    label: str
    first: float | None
    second: float | None

    def ratios(self):
        return [ratio for ratio in (self.first, self.second) if ratio]


class Scale:
    """From ratios to places on the line."""

    def __init__(self, ratios, left, right):
        self.left, self.right = left, right
        self.least = round_down(min([*ratios, 0.9]))
        self.most = round_up(max([*ratios, 2]))

    def at(self, ratio):
        part = math.log(ratio / self.least) / math.log(self.most / self.least)
        return self.left + part * (self.right - self.left)

    def ticks(self):
        """1, 2, 5 and their multiples by ten, or only those by ten if the others have no room."""
        decades = range(math.floor(math.log10(self.least)), math.ceil(math.log10(self.most)) + 1)
        digits = (1,) if math.log10(self.most / self.least) > 3.5 else (1, 2, 5)
        ticks = [digit * 10.0**decade for decade in decades for digit in digits]
        return [tick for tick in ticks if self.least * 0.999 <= tick <= self.most * 1.001]


def round_down(ratio):
    """The next of …, 0.5, 1, 2, 5, 10, … that is not above."""
    decade = 10.0 ** math.floor(math.log10(ratio) + 1e-9)
    return max(digit * decade for digit in (1, 2, 5) if digit * decade <= ratio * (1 + 1e-9))


def round_up(ratio):
    return 1 / round_down(1 / ratio)


def svg(rows, names, heading, footer):
    """The chart of the rows that have a ratio; `names` says what the first and the second bar are."""
    rows = [row for row in rows if row.ratios()]
    scale = Scale([ratio for row in rows for ratio in row.ratios()], LABELS, WIDTH - RIGHT)
    end = TOP + len(rows) * ROW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {end + BOTTOM}" width="{WIDTH}" role="img">',
        f"<title>{escape(heading)}</title><style>{STYLE.strip()}</style>",
        f'<rect class="card" x=".5" y=".5" width="{WIDTH - 1}" height="{end + BOTTOM - 1}" rx="8"/>',
        text(16, 28, heading, "text head"),
        *legend(names),
        *axis(scale, end),
    ]
    for number, row in enumerate(rows):
        parts += one(row, TOP + number * ROW, scale)
    return "\n".join([*parts, text(16, end + BOTTOM - 12, footer, "faint value"), "</svg>"]) + "\n"


def legend(names):
    first, second = names
    return [
        f'<rect class="first" x="16" y="42" width="12" height="{BAR}"/>',
        text(34, 51, first, "faint"),
        f'<rect class="second" x="{WIDTH // 2}" y="42" width="12" height="{BAR}"/>',
        text(WIDTH // 2 + 18, 51, second, "faint"),
    ]


def axis(scale, end):
    parts = []
    for tick in scale.ticks():
        x, kind = f"{scale.at(tick):.1f}", "one" if tick == 1 else "line"
        parts.append(f'<line class="{kind}" x1="{x}" x2="{x}" y1="{TOP - 8}" y2="{end}"/>')
        parts.append(text(x, TOP - 14, f"{tick:g}×", "faint value", "middle"))
    return parts


def one(row, top, scale):
    parts = [text(LABELS - 10, top + 14, row.label, "text", "end")]
    for kind, ratio, y in (("first", row.first, top), ("second", row.second, top + BAR + 1)):
        if not ratio:
            continue
        start, stop = sorted((scale.at(1), scale.at(ratio)))
        width = max(1.0, stop - start)
        parts.append(f'<rect class="{kind}" x="{start:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" rx="1"/>')
        parts.append(text(f"{start + width + 4:.1f}", y + 8, short(ratio), "faint value"))
    return parts


def text(x, y, content, kind, anchor=""):
    anchor = anchor and f' text-anchor="{anchor}"'
    return f'<text class="{kind}" x="{x}" y="{y}"{anchor}>{escape(content)}</text>'


def short(ratio):
    """Two digits that mean something."""
    return f"{ratio:,.0f}" if ratio >= 9.95 else f"{ratio:.1f}" if ratio >= 0.95 else f"{ratio:.2f}"
