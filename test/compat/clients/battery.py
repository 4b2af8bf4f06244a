"""The client battery: one client, every check."""

import random
import shutil

from harness.install import TARGET

from .checks import BULK_SIZE, CODECS, checks

# Of the topic that is read back by checksum: all of it, and what fits a pull request.
BULK_BYTES = 100 << 20
BULK_BYTES_QUICK = 20 << 20


def bulk_file(size):
    """A file of lines of BULK_SIZE bytes with their newlines, the same in every run."""
    path = TARGET / f"bulk-{size}.txt"
    if not path.exists():
        partial = path.with_suffix(".part")
        source = random.Random(11)
        with open(partial, "wb") as out:
            for _ in range(size // BULK_SIZE):
                out.write(source.randbytes(BULK_SIZE // 2).hex().encode()[: BULK_SIZE - 1] + b"\n")
        shutil.move(partial, path)
    return path


def run(report, node, work, quick, client):
    """Makes a client prove everything that it can."""
    bulk = bulk_file(BULK_BYTES_QUICK if quick else BULK_BYTES)
    with checks(client, node, work, bulk) as it:
        report.note(
            f"{client} {it.driver.hello['version']}; cannot: {' '.join(it.driver.hello['cannot']) or 'nothing'}"
        )
        for codec in CODECS:
            report.check(f"records in {codec}", lambda: it.codec(codec))
        report.check("offsets for times", it.offsets_for_times)
        report.check("log append time", it.append_time)
        report.check("partitions by key", it.partitions_by_key)
        report.check("large messages", it.large_messages)
        report.check("idempotent producer", it.idempotent)
        report.check("checksum of a large topic", it.bulk_checksum)
        report.check("topics and configs", it.admin)
        report.check("group with members that join, leave and die", it.group)
        report.check("restart after SIGTERM", lambda: it.restart("term"))
        report.check("restart after SIGKILL", lambda: it.restart("kill"))
