"""Directories in states that no run reaches by chance: both nodes make the same of them.

Dohle makes a directory with a topic for each state; the segments are made by hand, and the directory is
shown to both. Where Dohle on purpose does otherwise `states.DAMAGE` says so.
"""

import re
from base64 import urlsafe_b64encode

from harness.report import expect, expect_equal

from . import files, states
from .complaints import complaints
from .observe import Observer, comparable, differences

# In the quick selection so many of the interrupted states are tried.
QUICK = 40
CHECKPOINTS = {
    "log-start": "log-start-offset-checkpoint",
    "recovery-point": "recovery-point-offset-checkpoint",
}
# A topic that the cluster does not have: its directory is renamed to -stray.
NOBODY = "0123456789ab4def8123456789abcdef"
# Of what is no part of a log any more, and of what both nodes write anew at each start.
NO_MATTER = re.compile(
    r"\.deleted$|leader-epoch-checkpoint$|-checkpoint$|\.kafka_cleanshutdown$|-delete/|^__|^nobody-"
)


class Damaged:
    """One directory, and what both nodes make of it."""

    def __init__(self, it, interrupted, damage, is_clean):
        self.it, self.interrupted, self.damage, self.is_clean = it, interrupted, damage, is_clean

    def make(self):
        """A node that stopped cleanly, then the states in its directory."""
        node = self.it.dohle("written")
        observer = Observer(node)
        count = len(self.interrupted)
        compacted = [{"Name": "cleanup.policy", "Value": "compact"}]
        topics = [{"Name": "interrupted", "NumPartitions": count, "Configs": compacted}] if count else []
        for name in self.damage:
            configs = [{"Name": k, "Value": v} for k, v in states.CONFIGS.get(name, {}).items()]
            topics.append({"Name": name, "NumPartitions": 1, "Configs": configs})
        kept = {"Name": "retention.ms", "Value": "-1"}
        for topic in topics:
            topic["ReplicationFactor"] = 1
            topic["Configs"].append(kept)
        made = observer.ask("CreateTopics", 7, Topics=topics, timeoutMs=30000)
        expect(not any(t["ErrorCode"] for t in made["Topics"]), f"topics: {made['Topics'][:2]}")
        ids = {t["Name"]: t["TopicId"] for t in made["Topics"]}
        node.terminate()
        # once more, so that leader epochs before the current one exist
        node.start()
        node.terminate()
        data = node.folder / "data"
        for index, state in enumerate(self.interrupted):
            states.lay_interrupted(made_for(data / f"interrupted-{index}", ids["interrupted"]), state)
        for name in self.damage:
            folder = made_for(data / f"{name}-0", ids[name])
            states.three(folder)
            states.DAMAGE[name].make(folder)
        states.three(made_for(data / "nobody-0", NOBODY))
        if self.is_clean:
            self.checkpoint(data, "log-start", states.LOG_STARTS)
            self.unreadable(data, "recovery-point")
        else:
            (data / ".kafka_cleanshutdown").unlink()
            self.unreadable(data, "log-start")
            self.checkpoint(data, "recovery-point", states.FLUSHED)
        return node

    @staticmethod
    def checkpoint(data, which, offsets):
        lines = [f"{name} 0 {offset}" for name, offset in offsets.items()]
        (data / CHECKPOINTS[which]).write_text("\n".join(["0", str(len(lines)), *lines]) + "\n")

    @staticmethod
    def unreadable(data, which):
        (data / CHECKPOINTS[which]).write_text("0\n1\nno offset here\n")

    def opened(self, kind, name, source):
        """What a node tells of the directory, which files it leaves, and its log."""
        node = self.it.reopened(kind, name, source)
        seen = Observer(node).all()
        if kind == self.it.dohle:
            # nor does a later start make something else of what the first one refused
            node.kill()
            node.start()
            expect_equal(sorted(Observer(node).all()["offline"]), sorted(seen["offline"]), f"{name}: offline again")
        node.terminate()
        found = files.listing(node.folder / "data")
        expect(any(n.startswith("nobody-0.*-stray/") for n in found), f"{name}: no stray directory")
        return seen, {n: f for n, f in found.items() if not NO_MATTER.search(n)}, node.log.read_text()

    def refused(self):
        """Partitions that Dohle is to keep offline."""
        damaged = [f"{name}-0" for name in self.damage if states.DAMAGE[name].is_refused]
        if self.is_clean:
            return damaged  # segments are not read then
        overlapping = [i for i, state in enumerate(self.interrupted) if states.overlaps(state)]
        return damaged + [f"interrupted-{index}" for index in overlapping]

    def compare(self, source):
        """Both open a copy; returns Kafka's complaints."""
        ours, our_files, _ = self.opened(self.it.dohle, "by-dohle", source)
        theirs, their_files, text = self.opened(self.it.kafka, "by-kafka", source)
        offline = self.refused()
        expect_equal(sorted(theirs.pop("offline")), [], "partitions that Kafka keeps offline")
        refused = set(ours.pop("offline"))
        wrong = {part: ["Dohle keeps it offline"] for part in refused - set(offline)}
        wrong |= {part: ["Dohle serves it"] for part in set(offline) - refused}
        for told in theirs.values():
            for part in refused:
                told.pop(part, None)
        for line in differences(*comparable(ours, theirs)):
            what, part, *_ = line.split(" / ")
            part = part.split(":")[0]
            if not self.is_other(part):
                wrong.setdefault(part, []).append(f"{what}: {line.rpartition(': ')[2]}")
        for line in files.differing(our_files, their_files):
            part, _, file = line.split(":")[0].partition("/")
            if file in self.state(part).files:
                continue
            if part not in offline and not self.is_other(part):
                wrong.setdefault(part, []).append(line.split("/", 1)[-1])
        self.wrong = {self.label(part): lines for part, lines in wrong.items()}
        return complaints(text)

    def is_other(self, part):
        return self.state(part).other != ""

    @staticmethod
    def state(part):
        return states.DAMAGE.get(part.rpartition("-")[0], states.State(states.sound))

    def label(self, part):
        """A partition with what was the matter."""
        match = re.match(r"interrupted-(\d+)$", part)
        return f"{part} ({states.told(self.interrupted[int(match[1])])})" if match else part


def made_for(folder, topic_id):
    """A partition's directory, which says whose it is."""
    folder.mkdir(exist_ok=True)
    text = urlsafe_b64encode(bytes.fromhex(topic_id)).decode().rstrip("=")
    (folder / "partition.metadata").write_text(f"version: 0\ntopic_id: {text}")
    return folder


def damaged(it, leave_clean, quick):
    """Makes a directory, shows it to both, and returns what Kafka complains of."""
    interrupted = states.interrupted()
    if quick:
        interrupted = it.rng.sample(interrupted, QUICK)
    this = Damaged(it, interrupted, states.CLEAN if leave_clean else states.CRASHED, leave_clean)
    found = this.compare(this.make())
    lines = [f"{part}: {'; '.join(what[:4])}" for part, what in this.wrong.items()]
    expect(not lines, f"{len(lines)} partitions differ:\n  " + "\n  ".join(lines[:40]))
    return found
