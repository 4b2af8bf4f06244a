"""The results as a page of Markdown: medians, spreads, and ratios within a round."""

import os
import platform
import statistics
import subprocess
from datetime import date

from . import chart, page_cache
from .pairs import FOREIGN, STEAL
from .systems import KINDS

# Behind a ratio for which no round was quiet.
DOUBT = "†"

BUSY = (
    "Trust ratios with care, absolute numbers not at all; Kafka looks worse than it is, for its compiler gets less done while it "
    "warms up."
)

GOES_BACK = (
    "This machine gives free memory back to its host (free page reporting): a page that is new costs what the host takes to find it, and "
    "produce of large requests is most of all that. See *Memory* in test/bench/README.md."
)
STAYS = "The system tells of no free page reporting: what memory was in use once is not new to a host, unless that takes it in another way."


def markdown(results, setting, long, named, root):
    """The whole page; `named` says that the cases were asked for by their names."""
    where = ", on all cores" if setting.free else ""
    lines = [f"# Dohle, Apache Kafka and the floor, {date.today().isoformat()}{where}", ""]
    lines += [facts(setting, results, long, named, root), ""]
    lines += rows(results)
    lines += ["", *remarks(results)]
    return "\n".join(lines) + "\n"


def rows(results):
    """One line a row, with two ratios if those that they compare ran."""
    ratios = compared(results)
    titles = [KINDS[name].title for name in results.names] + [f"{KINDS[a].short} / {KINDS[b].short}" for a, b in ratios]
    lines = ["| case | unit | " + " | ".join(titles) + " |", "|---|---|" + "---|" * len(titles)]
    for case in results.cases:
        for row in case.rows:
            values = {name: results.values(case, row, name) for name in results.names}
            cells = [spread(values[name]) for name in results.names]
            cells += [ratio(results.pairs(case, row, a, b)) if row.compared else "" for a, b in ratios]
            unit = f"{row.unit} ↑" if row.more_is_better else row.unit
            lines.append(f"| {row.title} | {unit} | " + " | ".join(cells) + " |")
    return lines


def compared(results):
    """Which systems are set against which."""
    ratios = [pair for pair in (("kafka", "dohle"), ("dohle", "floor"), ("dohle", "files")) if set(pair) <= set(results.names)]
    if not ratios and len(results.names) == 2:
        ratios = [tuple(results.names)]
    return ratios


def spread(values):
    """Median, and least and greatest if there are several."""
    there = [value for value in values if value is not None]
    if not there:
        return "–"
    middle = number(statistics.median(there))
    return middle if len(there) == 1 else f"{middle} ({number(min(there))}–{number(max(there))})"


def ratio(pairs):
    """Median, and least and greatest if there are several; a mark if no round was quiet, and of how many it is if some were not."""
    found = pairs.quotients
    if not found:
        return "–"
    middle = f"**{number(statistics.median(found))}**" + (DOUBT if pairs.doubted else "")
    several = [f"{number(min(found))}–{number(max(found))}"] if len(found) > 1 else []
    fewer = [f"{len(found)} of {len(found) + pairs.rejected} rounds"] if pairs.rejected else []
    return f"{middle} ({'; '.join(several + fewer)})" if several or fewer else middle


def drawing(results, root):
    """The rows that stand for all as a chart, or nothing if none was compared."""
    rows = []
    for case in results.cases:
        for row in case.rows:
            middles = []
            for pair in (("kafka", "dohle"), ("dohle", "floor")):
                found = results.pairs(case, row, *pair).quotients
                middles.append(statistics.median(found) if found else None)
            if row.chart and row.compared and any(middles):
                rows.append(chart.Bars(row.chart, *middles))
    if not rows:
        return ""
    heading = "How many times more is needed? 1 is equal, the scale is logarithmic"
    names = ("Apache Kafka 4.4.0 than Dohle", "Dohle than the floor, which is what the machine needs")
    footer = f"{date.today().isoformat()}, commit {commit(root)}, {machine()}; rounds: {rounds(results)}"
    return chart.svg(rows, names, heading, footer)


def number(value):
    """Three digits that mean something."""
    if value == 0:
        return "0"
    exponent = int(f"{value:.2e}".split("e")[1])
    return f"{value:,.{max(0, 2 - exponent)}f}"


def facts(setting, results, long, named, root):
    """Where and how; no paths, no host names."""
    cores = setting.cores()
    pins = f"loads: broker on core {cores[0]}, client on core {cores[1]}" if cores else "loads: all cores for both"
    pins += "; rows that say unpinned: all cores for both" if cores and any(case.free for case in results.cases) else ""
    if long:
        form = "long form"
    elif named:
        form = "chosen cases, each in all rounds, for which Kafka is warm but not at its very best"
    else:
        form = "short form, in which Kafka is warm but not at its very best and some rows are of the first round only"
    return (
        f"{machine()}; {java()}; "
        f"commit {commit(root)}. Rounds in turn: {rounds(results)} ({', '.join(results.names)}), {results.seconds / 60:.0f} min, "
        f"{form}; {pins}; life-cycle rows: all cores. Rows that are not called durable: dohle.durability=os, which is what Kafka's default does. "
        "Median (min–max); ratios are of each round."
    )


def rounds(results):
    """Those that count, and those that were there for the machine to settle."""
    settled = f" after {results.settling} that does not count" if results.settling else ""
    return f"{results.rounds - results.settling}{settled}"


def remarks(results):
    """What a reader must know before believing a number."""
    lines = []
    if shares := results.foreign():
        disturbed = sum(share > FOREIGN for share in shares)
        middle, most = statistics.median(shares), max(shares)
        lines.append(
            f"- CPU of others during the loads: median {middle:.0%} of a core, at most {most:.0%}; above {FOREIGN:.0%} in {disturbed} of "
            f"{len(shares)} phases. " + (BUSY if disturbed else "")
        )
        lines += rejections(results)
    if stolen := results.stolen():
        lines.append(f"- The host gave time to others than this machine: at most {max(stolen):.1%} of a core during a load.")
    if results.page_cache:
        fresh, again = zip(*results.page_cache)
        lines.append(
            f"- Writing a file costs {spread(fresh)} CPU s/GB just now if its pages are new and {spread(again)} if they are known: the "
            "brokers append to new files, the floor does not."
        )
        lines.append(f"- {GOES_BACK if page_cache.goes_back() else STAYS}")
    lines += [f"- {note}" for note in results.notes]
    lines += [f"- FAILED: {failure}" for failure in results.failures]
    return lines


def rejections(results):
    """How many ratios do not count, and what the mark means."""
    found = [
        results.pairs(case, row, *pair)
        for case in results.cases
        for row in case.rows
        for pair in compared(results)
        if row.compared
    ]
    lines = []
    why = f"others had more than {FOREIGN:.0%} of a core, or the host took more than {STEAL:.0%}, during either's load"
    if rejected := sum(pairs.rejected for pairs in found):
        total = rejected + sum(len(pairs.quotients) for pairs in found)
        lines.append(f"- Of {total} ratios of a round {rejected} are left out, and the ratio says of how many rounds it is then: {why}.")
    if any(pairs.doubted for pairs in found):
        lines.append(f"- {DOUBT} So it was in every round that has both, so all of them count: {why}.")
    return lines


def machine():
    return f"{cpu_model()}, {os.cpu_count()} cores, {memory_gib():.0f} GiB, Linux {platform.release()}"


def cpu_model():
    with open("/proc/cpuinfo") as info:
        models = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    return models[0] if models else platform.machine()


def memory_gib():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def java():
    done = subprocess.run(["java", "-version"], capture_output=True, text=True)
    words = done.stderr.split('"')
    return f"Java {words[1]}" if len(words) > 1 else "no Java"


def commit(root):
    def git(*args):
        return subprocess.run(["git", *args], cwd=root, capture_output=True, text=True).stdout.strip()

    # Pages that this run or the one before has saved are no part of what is measured.
    measured = [".", ":!docs/benchmarks"]
    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no", "--", *measured) else ""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + changed
