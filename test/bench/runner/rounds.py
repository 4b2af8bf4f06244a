"""The order of things: A B C, B C A, C A B, …, each system from nothing in each round, and each first in its turn.

Loads that are to have all cores have a start of their own.

In a round a system first lives and dies (start, idle, kill -9, start again) with all cores, more than once if it
is to do so with much data and with many partitions, then starts anew, pinned, for the loads, and once more for what
is more than one command of the generator, or none: loads beside others, foreign tools. What fails is noted and left
out; the rest goes on.
"""

import os
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from . import beside, drivers, page_cache, pairs, soak, syscalls, systems
from .cases import FLUSHED
from .systems import KEPT_SHORT, KINDS, SWEEP_SECONDS, Failure


def flags(options):
    """Options as the generator takes them; one that has several values comes as often, yes is one without a value, no is none."""
    several = lambda value: value if isinstance(value, tuple) else (value,)
    parts = []
    for key, values in options.items():
        for value in several(values):
            if value is not False:
                parts += [f"--{key.replace('_', '-')}"] + [value] * (value is not True)
    return parts


@dataclass
class Results:
    """Reports by case and system, one a round; None where there is none."""

    names: list
    cases: list
    rounds: int
    # So many rounds at the beginning are there for the machine to settle, and are not told of.
    settling: int = 0
    reports: dict = field(default_factory=lambda: defaultdict(dict))
    failures: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    # CPU s/GB of writing to fresh and to known pages, before each system's loads.
    page_cache: list = field(default_factory=list)
    seconds: float = 0.0

    @contextmanager
    def told(self, title):
        """Says how long something took; a failure in it is noted and ends it."""
        began = time.monotonic()
        try:
            yield
            outcome = ""
        except Failure as failure:
            self.failures.append(str(failure))
            outcome = f", failed: {failure}"
        print(f"  {title}: {time.monotonic() - began:.0f} s{outcome}", file=sys.stderr, flush=True)

    def put(self, case, name, number, report):
        self.reports[case, name][number] = report

    def values(self, case, row, name):
        """The row's number in each round that counts."""
        return [None if report is None else row.value(report) for report in self.counted(case, name)]

    def pairs(self, case, row, above, below):
        """How many times more the one system needs than the other."""
        disturbed = [
            any(report is not None and pairs.disturbed(report) for report in both)
            for both in zip(self.counted(case, above), self.counted(case, below))
        ]
        return pairs.of(row, self.values(case, row, above), self.values(case, row, below), disturbed)

    def counted(self, case, name):
        """The report of each round that counts, or None."""
        found = self.reports[case.key, name]
        return [found.get(number) for number in range(self.settling, self.rounds)]

    def foreign(self):
        """The share of a core that neither broker nor client used, of each load."""
        return self.shares("foreign_cpu_seconds")

    def stolen(self):
        """The share of a core that this machine was to have and did not get, of each load."""
        return self.shares("steal_seconds")

    def shares(self, key):
        reports = [report for of_case in self.reports.values() for report in of_case.values()]
        return [pairs.share(report, key) for report in reports if key in report]


def run(names, chosen, count, setting, long):
    settling = 1 if long and count > 1 else 0
    results = Results(names, chosen, count, settling)
    began = time.monotonic()
    for number in range(count):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            print(f"round {number + 1} of {count}: {name}", file=sys.stderr, flush=True)
            one = Round(KINDS[name](setting), chosen, number, results, long)
            for title, stage in one.stages():
                with results.told(title):
                    try:
                        stage()
                    finally:
                        one.system.kill()
                        one.system.clear()
    results.seconds = time.monotonic() - began
    systems.take_away_aside(setting)
    return results


class Round:
    """One system in one round."""

    def __init__(self, system, chosen, number, results, long):
        self.system, self.number, self.results, self.long = system, number, results, long
        of_kind = lambda case: case.in_files if system.kind == "files" else system.kind not in case.without
        here = lambda case: of_kind(case) and (number == 0 or not case.once)
        self.cases = [case for case in chosen if here(case)]
        self.keys = {case.key for case in self.cases}

    def note(self, key, report):
        if key in self.keys:
            self.results.put(key, self.system.kind, self.number, report)

    def stages(self):
        """Titles and what to do, each from an empty directory and at its end without a broker."""
        of = lambda *kinds: [case for case in self.cases if case.kind in kinds]
        stages = [("life", self.life)] if of("life") else []
        stages += [(case.key, lambda case=case: self.recovery(case)) for case in of("recovery")]
        stages += [(case.key, lambda case=case: self.partitions(case)) for case in of("partitions")]
        pinned = [case for case in of("load", "syscalls") if not case.free]
        stages += [("loads", self.loads)] if pinned else []
        stages += [("unpinned", self.unpinned)] if any(case.free for case in self.cases) else []
        return stages + ([("others", self.others)] if of("many", "connections", "backlog", "soak", "driver") else [])

    def life(self):
        system = self.system
        system.format()
        self.note("start", {"first_ack_ms": system.start("first", create=True, pinned=False)})
        if "idle" in self.keys:
            self.note("idle", system.load("idle", "--seconds", 10 if self.long else 3))
        if "kill" in self.keys:
            options = ["--topic", "kept", "--keep", "--partitions", 4, "--warm-up-requests", 0]
            system.load("produce", *options, "--requests", 4_096, "--seconds", 60)
            system.kill()
            self.note("kill", {"first_ack_ms": system.start("kept", create=False, pinned=False)})

    def recovery(self, case):
        """So much data, and what is there again after kill -9."""
        system = self.system
        if system.kind == "kafka" and (known := self.results.reports[case.kafka_as, "kafka"].get(self.number)):
            self.note(case.key, known)
            return
        system.format()
        system.start("first", create=True, pinned=False)
        options = dict(case.options)
        if system.kind == "kafka":
            options.pop("topic_config", None)
        partitions = options["partitions"]
        fill = ["--topic", "kept", "--keep", "--connections", partitions, "--warm-up-requests", 0, "--seconds", 600]
        system.load("produce", *fill, *flags(options))
        system.kill()
        first, each = system.start_swept(["--topic", "kept", "--partitions", partitions])
        self.note(case.key, {"first_ms": first * 1_000, "each_ms": each * 1_000})

    def partitions(self, case):
        system, which = self.system, ["--topic", "many", *flags(case.options)]
        system.format()
        system.start("first", create=True, pinned=False)
        report = system.load("sweep", *which, "--create", "--give-up-seconds", SWEEP_SECONDS)
        self.note(case.key, report)
        report["stop_seconds"] = system.stop()
        report["clean_first_seconds"], report["clean_each_seconds"] = system.start_swept(which)
        system.kill()
        report["kill_first_seconds"], report["kill_each_seconds"] = system.start_swept(which)
        system.kill()
        system.lay_aside()

    def loads(self):
        """What the generator does alone, and what the broker is after it."""
        self.results.page_cache.append(page_cache.probe(self.system.setting.folder))
        report = {}

        def load(case):
            nonlocal report
            report = self.load(case)
            return report

        kinds = {"load": load, "memory": lambda case: report or None, "syscalls": self.syscalls}
        self.pinned(kinds, KEPT_SHORT)

    def others(self):
        """What needs more than one command of the generator, or none, or a broker as by its defaults."""
        times = (10 if self.long else 3, self.warm_up_seconds())
        self.pinned(
            {
                "many": self.load,
                "connections": lambda case: beside.connections(self.system, *times),
                "backlog": lambda case: self.kept_up(case, beside.backlog(self.system, *times, **case.options)),
                "soak": lambda case: self.kept_up(case, soak.run(self.system, warm_up=times[1], **case.options)),
                "driver": self.driver,
            }
        )

    def unpinned(self):
        """Loads for which broker and client have all cores."""
        pins = self.system.setting
        self.system.setting = replace(pins, free=True)
        try:
            self.pinned({"load": self.load}, KEPT_SHORT, free=True)
        finally:
            self.system.setting = pins

    def pinned(self, kinds, settings=(), free=False):
        """Starts the system on its core and runs the cases of these kinds; each gives a report, or nothing."""
        cases = [case for case in self.cases if case.kind in kinds and case.free == free]
        self.system.format(settings)
        self.system.start("first", create=True, pinned=True)
        self.warm_up(cases)
        for case in cases:
            with self.results.told(case.key):
                if report := kinds[case.kind](case):
                    self.note(case.key, report)
            if self.system.process.poll() is not None:
                raise Failure(f"{self.system.kind}: the broker has ended")

    def warm_up(self, cases):
        """Lets Kafka's compiler see each kind of load before any of them counts."""
        if self.system.kind != "kafka" or all(case.options.get("topic_config") == FLUSHED for case in cases):
            return
        seconds = 20 if self.long else 3
        for size in (1_024, 65_536):
            self.system.load("produce", "--topic", f"warm-{size}", "--size", size, "--warm-up-seconds", 0, "--seconds", seconds)
        self.system.load("fetch", "--topic", "warm-fetch", "--warm-up-seconds", 0, "--seconds", seconds)

    def warm_up_seconds(self):
        """Of one load."""
        if self.system.kind != "kafka":
            return 1
        return 20 if self.long else 4

    def load(self, case):
        options = {"warm-up-seconds": self.warm_up_seconds(), "seconds": 2, **case.options}
        if self.long:
            options["seconds"] = max(10, options["seconds"])
            options["requests"] = options.get("requests", 0) * 2
        if case.command == "e2e":
            options.pop("requests", None)
        else:
            options["warm-up-requests"] = options["requests"]
        report = self.system.load(case.command, "--topic", case.key, *flags(options))
        self.doubt(case, report)
        time.sleep(0.3)  # What was deleted goes away.
        return report

    def doubt(self, case, report):
        """Refuses what cannot be and notes what is not the load that was asked for."""
        if report["broker_cpu_seconds"] > report["seconds"] * os.cpu_count() * 1.05:
            raise Failure(f"{self.system.kind}: {case.key}: more CPU than there is: {report}")
        if case.command == "e2e":
            self.kept_up(case, report)

    def kept_up(self, case, report):
        """The same for messages on a schedule; gives the report."""
        share = report["messages"] / (case.options["rate"] * report["seconds"])
        if share > 1.1:
            raise Failure(f"{self.system.kind}: {case.key}: {share:.0%} of the messages that were sent came back")
        if share < 0.98:
            self.results.notes.append(
                f"{self.system.title}, round {self.number + 1}, {case.key}: did not keep up, {share:.0%} of the schedule"
            )
        if never_back := report["never_back"]:
            self.results.notes.append(
                f"{self.system.title}, round {self.number + 1}, {case.key}: {never_back:,} messages did not come back within "
                "seconds of the load's end, and count as if they had come then"
            )
        return report

    def syscalls(self, case):
        if not syscalls.available(self.results.notes):
            return None
        report = syscalls.count(self.system)
        if self.number == 0:
            self.results.notes.append(f"{self.system.title}, calls a request: {report['by_name']}")
        return report

    def driver(self, case):
        if why := drivers.missing(case.command):
            note = f"{case.key} is left out: {why}"
            if note not in self.results.notes:
                self.results.notes.append(note)
            return None
        return drivers.run(self.system, case, self.long)
