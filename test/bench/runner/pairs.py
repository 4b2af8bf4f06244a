"""Ratios of two systems within a round, and which of them are believed.

Load that comes and goes hits both sides of a round alike, so ratios are of rounds, not of medians. What hits one side alone
makes the ratio wrong: a round in which others had the machine during either's load gives none, as long as another round does.
"""

from dataclasses import dataclass

# Of a core, during a load: what neither broker nor client used, and what the host gave to other machines.
FOREIGN = 0.10
STEAL = 0.03
DISTURBS = {"foreign_cpu_seconds": FOREIGN, "steal_seconds": STEAL}


@dataclass(frozen=True)
class Pairs:
    """The ratios that count."""

    quotients: list
    # So many more were left out.
    rejected: int = 0
    # Every round was disturbed, so all of them count.
    doubted: bool = False


def share(report, key):
    """Seconds of a report as a part of how long it took."""
    return report[key] / report["seconds"]


def apart(report, other):
    """The report of a load of which a part of what others used was the other load's client, which belongs to it."""
    own = share(other, "client_cpu_seconds") * report["seconds"]
    return report | {"foreign_cpu_seconds": max(0.0, report["foreign_cpu_seconds"] - own)}


def worst(*reports):
    """What tells of others, of the load of several that was disturbed most, as if it had been so long as the last."""
    seconds = reports[-1]["seconds"]
    most = lambda key: max(share(report, key) for report in reports if key in report) * seconds
    return {key: most(key) for key in DISTURBS if any(key in report for report in reports)}


def disturbed(report):
    """Whether others had the machine during this load; of what is no load nobody knows."""
    return any(key in report and share(report, key) > most for key, most in DISTURBS.items())


def of(row, above, below, disturbed):
    """How many times more the first needs than the second, in each round that has both."""
    if row.more_is_better:
        above, below = below, above
    found = [(a / b, doubt) for a, b, doubt in zip(above, below, disturbed) if a is not None and b]
    kept = [quotient for quotient, doubt in found if not doubt]
    if found and not kept:
        return Pairs([quotient for quotient, _ in found], doubted=True)
    return Pairs(kept, rejected=len(found) - len(kept))
