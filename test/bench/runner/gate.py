"""Which counts grew: those found against those expected, by more than a tenth.

The file of the expected is a table: a line for each load, a column for each thing that is counted, between tabs.
"""

from dataclasses import dataclass, field

GROWN = 1.1
# What a node allocates now and then, for nobody's request: a load may find so much more or less of it.
NOW_AND_THEN = {"allocations": 0.25}
# What stays within this of the expected stays as it is when blessed, so that a bless shows what changed.
NOISE = 0.02

HEAD = """\
# What a request costs, and may cost: `cargo xtask counts` fails where it grows by more than a tenth, and with --bless
# writes this file anew. README.md says how it is counted. Instructions are those of
"""


@dataclass(frozen=True)
class Verdict:
    """On one count. `change` is the share by which it differs, if both sides are there."""

    key: tuple
    found: float | None = None
    expected: float | None = None
    reason: str = ""
    grew: bool = False
    fell: bool = False

    @property
    def failed(self):
        return self.grew or self.reason != ""

    @property
    def change(self):
        return self.found / self.expected - 1 if self.found is not None and self.expected else None


@dataclass
class Expected:
    counts: dict = field(default_factory=dict)
    tools: str = ""


def judge(found, expected, left_out=()):
    """A verdict on each count that is found or expected, but for those left out."""
    keys = [key for key in {**expected, **found} if key not in left_out]
    return [verdict(key, found.get(key), expected.get(key)) for key in keys]


def verdict(key, found, expected):
    if found is None:
        return Verdict(key, found, expected, reason="is expected, but nothing counts it")
    if expected is None:
        return Verdict(key, found, expected, reason="is counted, but nothing is expected yet")
    may_differ = NOW_AND_THEN.get(key[1], 0)
    grew = found > expected * GROWN and found - expected > may_differ
    fell = found * GROWN < expected and expected - found > may_differ
    return Verdict(key, found, expected, grew=grew, fell=fell)


def blessed(found, expected, left_out=()):
    """What to expect from now on, in the order of the old."""
    keys = [key for key in {**expected, **found} if key in found or key in left_out]
    return {key: kept(found.get(key), expected.get(key)) for key in keys}


def kept(found, expected):
    if found is None:
        return expected
    return expected if expected and abs(found - expected) <= expected * NOISE else max(found, 0.0)


def text(value):
    """Three digits: more would be noise."""
    digits = float(f"{value:.3g}")
    return f"{digits:,.0f}" if digits >= 100 else f"{digits:.{2 if digits < 10 else 1}f}"


def read(path):
    """The expected counts, and what their instructions were counted with; nothing if there is no file yet."""
    if not path.exists():
        return Expected()
    lines = path.read_text().splitlines()
    comments = [line for line in lines if line.startswith("#")]
    (_, *columns), *rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    counts = {
        (load, what): float(value.replace(",", ""))
        for load, *values in rows
        for what, value in zip(columns, values, strict=True)
        if value
    }
    return Expected(counts, comments[-1].lstrip("# "))


def write(path, counts, tools):
    loads = list(dict.fromkeys(load for load, _ in counts))
    columns = list(dict.fromkeys(what for _, what in counts))
    cell = lambda key: text(counts[key]) if key in counts else ""
    rows = [["load", *columns]] + [[load, *(cell((load, what)) for what in columns)] for load in loads]
    path.write_text(f"{HEAD}# {tools}\n" + "".join("\t".join(row) + "\n" for row in rows))
