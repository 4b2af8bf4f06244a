"""Kafka's data directories, byte for byte: what one node left, the other opens.

Dohle opens what Kafka wrote long ago. Every other run starts from a seed: Kafka writes, stops or is killed; Dohle opens
one copy and Kafka another, and both must tell the same; then Kafka opens what Dohle made of it. The same with Dohle as
the writer. A run is what the seeds say, so that one which fails can be made again.
"""

import itertools
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from harness import install
from harness.report import expect

from . import claims, dump, formats, golden
from .compaction import compaction
from .complaints import CLEAN, COMPLAINTS, complaints, warnings
from .damaged import damaged
from .metadata import shortened
from .nodes import BUSY, Exchange
from .observe import as_found, comparable, differences, observe, surviving
from .shell import metadata_shell
from .workload import Writer, of_release, plan

# So long the cleaner gets before a stop.
CLEANING_SECONDS = 2


def build():
    """Installs Kafka and the client that writes."""
    install.kafka()
    install.kafka_tools()
    install.python()


def run(report, options, work, quick):
    """Both directions for each seed, stopped and killed; then damage, locks and formats."""
    if options.kafka or options.bootstrap:
        report.note("not made: it compares a Dohle of its own with a Kafka of its own")
        return
    executable = Path(options.dohle).resolve()

    def check(name, action, seed=0):
        it = Exchange(work / re.sub(r"\W+", "-", name.lower()), executable, seed)
        try:
            report.check(name, lambda: action(it))
        finally:
            it.end()

    seeds = chosen_seeds(options.first_seed, options.seeds, quick)
    last = seeds[-1]
    repeated = f"test/compat/run disk{' --quick' if quick else ''} --first-seed {last} --seeds 1"
    report.note(f"seeds {' '.join(map(str, seeds))}; the last again: {repeated}")
    said = {}
    steps = checks(seeds, quick, said)
    # Each is mostly waiting: for a node's timers, sessions that end, disks.
    with ThreadPoolExecutor(options.jobs) as pool:
        for done in [pool.submit(check, *step) for step in steps]:
            done.result()
    report.check("every complaint of Kafka's is known by sight", lambda: every_complaint(said))


def chosen_seeds(first, count, quick):
    """Those that the run is told, or the first ones and, last, one that nobody has chosen; a pull request is not
    to fail for what it has not changed, so that one is for whole runs alone.
    """
    if first is None and count is None and not quick:
        return [1, 2, 3, random.SystemRandom().randrange(1000, 1_000_000)]
    first, count = first or 1, count or (2 if quick else 4)
    return list(range(first, first + count))


def checks(seeds, quick, said):
    """Name, action and seed of each, those first that take longest; `said` gets Kafka's complaints."""
    yield "Kafka and Dohle compact alike", compaction
    shortens = "the metadata log is shortened by"
    yield f"{shortens} Dohle, and Kafka goes on", lambda it: shortened(it, it.dohle, it.kafka)
    if not quick:
        yield f"{shortens} Kafka, and Dohle goes on", lambda it: shortened(it, it.kafka, it.dohle)
    for archive in golden.SAMPLES:
        yield f"the golden directory {archive}", partial(golden.golden, archive=archive)
    for seed, is_killed in itertools.product(seeds, (False, True)):
        ending = f"{'killed' if is_killed else 'stopped'}, seed {seed}"
        yield f"Kafka to Dohle, {ending}", partial(kafka_to_dohle, is_killed=is_killed), seed
        yield f"Dohle to Kafka, {ending}", partial(dohle_to_kafka, is_killed=is_killed), seed
    for is_clean in (False, True):
        name = f"damage after a {'stop' if is_clean else 'crash'}, seed {seeds[-1]}"
        yield name, partial(harm, is_clean=is_clean, quick=quick, said=said), seeds[-1]
    yield "one node at a time", claims.locks
    yield "MetadataShell shows the same of both", metadata_shell
    yield "credentials of a directory that Kafka formatted", formats.credentials
    if not quick:
        for how, way in formats.WAYS.items():
            yield f"formatted {how}", partial(formats.formats, way=way)
        for release in (*install.OLDER, install.TOOLS):
            old = partial(kafka_to_dohle, is_killed=False, old=release)
            yield f"Kafka {release} to Dohle, stopped, seed {seeds[0]}", old, seeds[0]


def harm(it, is_clean, quick, said):
    said.update(damaged(it, is_clean, quick))


def kafka_to_dohle(it, is_killed, old=None):
    """Kafka writes; what Dohle finds is what Kafka finds, and Kafka goes on from what Dohle leaves."""
    node = it.old_kafka("written", extra=BUSY, release=old) if old else it.kafka("written", extra=BUSY)
    live = write(it, node, transactions=True, is_killed=is_killed, release=old)
    if old:
        data = node.folder / "data"
        expect(
            (data / "bootstrap.checkpoint").exists(),
            "a directory of the release before has its first records",
        )
        # as releases before 3.8 left it
        (data / ".kafka_cleanshutdown").write_text("")
    since = time.time() * 1000
    ours = it.reopened(it.dohle, "by-dohle", node)
    seen, values = observe(ours)
    promised(live["acknowledged"], values)
    ours.terminate()
    if is_killed:
        wrong = dump.indexes(it.work, ours.folder / "data")
        expect(not wrong, f"{len(wrong)} complaints of recovered indexes: {wrong[:3]}")
    theirs = it.reopened(it.kafka, "by-kafka", node)
    wanted, _ = observe(theirs)
    theirs.terminate()
    same(*as_found(since, seen, wanted))
    if not is_killed:
        same(seen, surviving(live["seen"]))
    back = it.reopened(it.kafka, "back", ours)
    again, _ = observe(back)
    text = back.log.read_text()
    quiet(text)
    back.terminate()
    same(*as_found(since, again, wanted))


def dohle_to_kafka(it, is_killed):
    """Dohle writes; Kafka finds what Dohle finds, has nothing to repair after a stop, and leaves the same."""
    node = it.dohle("written")
    live = write(it, node, transactions=False, is_killed=is_killed)
    if is_killed:
        ours = it.reopened(it.dohle, "by-dohle", node)
        wanted, _ = observe(ours)
        ours.terminate()
    else:
        dumped(it, node.folder / "data")
        wanted = surviving(live["seen"])
    theirs = it.reopened(it.kafka, "by-kafka", node)
    seen, values = observe(theirs)
    promised(live["acknowledged"], values)
    text = theirs.log.read_text()
    if not is_killed:
        quiet(text)
    theirs.terminate()
    same(seen, wanted)


def dumped(it, data):
    """DumpLogSegments finds nothing wrong with what Dohle leaves, and would."""
    wrong = dump.everything(it.work, data)
    expect(not wrong, f"{len(wrong)} complaints: {wrong[:3]}")
    index = next(file for file in sorted(data.glob("codec-*/*.index")) if file.stat().st_size > 8)
    log = index.with_suffix(".log")
    for file, option, at in ((log, "--deep-iteration", -1), (index, "--verify-index-only", 7)):
        content = file.read_bytes()
        changed = bytearray(content)
        changed[at] ^= 1
        file.write_bytes(changed)
        lines = dump.dump(it.work, [file], option)[1]
        file.write_bytes(content)
        expect(lines, f"{option} does not see a changed byte in {file}")


def every_complaint(said):
    """What the clean directories are searched for did come up in the damaged ones."""
    missing = set(COMPLAINTS) - set(said)
    expect(not missing, f"Kafka never said: {sorted(missing)}")


def write(it, node, transactions, is_killed, release=None):
    """Lets a writer write, then stops or kills the node; what was seen before, what was promised."""
    writer = Writer(node, it.work, of_release(plan(it.seed, transactions), release))
    seen = None
    try:
        writer.wait()
        if is_killed:
            writer.go_on(it.rng.uniform(0.2, 2.5))
            node.kill()
        else:
            time.sleep(CLEANING_SECONDS)
            seen, _ = observe(node)
            node.terminate()
    finally:
        writer.stop()
    return {"seen": seen, "acknowledged": writer.acknowledged()}


def promised(acknowledged, values):
    """Every record that was acknowledged is there."""
    for part, records in acknowledged.items():
        lost = [o for o, crc in records.items() if values.get(part, {}).get(o) != crc]
        expect(not lost, f"{part}: {len(lost)} acknowledged records are not there, the first at {lost[:3]}")


def quiet(text):
    """Kafka had nothing to say against a directory that was left clean."""
    found = complaints(text)
    expect(not found, f"Kafka complains: {found}")
    said = warnings(text)
    expect(not said, f"Kafka warns: {said[:3]}")
    expect(re.search(CLEAN, text), "Kafka did not find the directory clean")


def same(seen, wanted):
    found = list(differences(*comparable(seen, wanted)))
    expect(not found, f"{len(found)} differences: " + "; ".join(found[:12]))
