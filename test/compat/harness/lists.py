"""Frozen lists: which tests of a foreign suite a node must pass.

`lists/<suite>.txt` names every test that passes on Apache Kafka 4.4.0; it may only grow. A suite is judged
by that list, never by its exit code: tests outside of it may do what they like.

`lists/needs-later.tsv` takes tests away that need a feature Dohle does not have yet, each with the feature.
It may only shrink: a test on it that passes is named in the report, so that somebody removes the line. It
does not hold for Kafka. A row can also name a property that a suite's properties file sets and a node
without the feature would rightly refuse.
"""

from .install import HERE

LISTS = HERE / "lists"


def frozen(suite):
    """The tests of a suite's frozen list, in its order."""
    lines = (LISTS / f"{suite}.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def later(suite):
    """What of a suite needs a later feature: test (or property) to feature."""
    rows = (line.split("\t") for line in (LISTS / "needs-later.tsv").read_text().splitlines())
    return {row[1]: row[2] for row in rows if len(row) == 3 and row[0] == suite}


def judge(report, suite, wanted, passed, excused, detail):
    """Turns a suite's outcome into verdicts.

    `wanted` are the names that this run was to prove, `passed` those that passed, `excused` the rows of
    needs-later that hold for this node; `detail(name)` says in a line what is known of a failure.
    """
    for name in wanted:
        if name in passed and name in excused:
            report.succeed(name, detail="is in needs-later.tsv: remove the line")
            report.note(f"passes and can leave needs-later.tsv: {suite} {name}")
        elif name in passed:
            report.succeed(name)
        elif name not in excused:
            report.fail(name, detail(name))
    waiting = [name for name in wanted if name in excused and name not in passed]
    if waiting:
        report.note(f"{len(waiting)} of {len(wanted)} tests wait for a later feature")
