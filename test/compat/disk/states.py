"""Partitions in states that no run reaches by chance, each in a directory of its own.

Replacing segments by others (the cleaner merges, the splitter splits) is a protocol of renames: files are
written as `.cleaned`, renamed to `.swap`, what they replace to `.deleted`, then they lose the suffix; of each
segment the log first. A crash leaves any prefix of that, and a disk that loses renames any mixture.
"""

import itertools
import struct
from dataclasses import dataclass, field
from typing import Callable

from . import segments
from .segments import name, plain, put

# What a file of the output can be called: log, then its indexes, which are renamed behind it.
NEW = [None, (".cleaned", ".cleaned"), (".swap", ".cleaned"), (".swap", ".swap"), ("", ".swap"), ("", "")]
# What a file of the input can be called.
OLD = [("", ""), (".deleted", ""), (".deleted", ".deleted"), None]


def staged(folder, base, data, stages):
    """A segment whose log and indexes bear suffixes; none at all leaves it out."""
    if stages is not None:
        log, index = stages
        put(folder, base, data, kind_stages={"log": log, "index": index, "timeindex": index})


def clash(new, old):
    """Whether a file of both would bear the same name."""
    return new is not None and old is not None and any(a == b == "" for a, b in zip(new, old))


def merges():
    """One segment takes the place of two: every mixture of names."""
    for new, first, second in itertools.product(NEW, OLD, OLD):
        if not clash(new, first) and not (new is None and first is None):
            yield {"kind": "merge", "new": [new], "old": [first, second]}


def splits():
    """Two segments take the place of one."""
    for first, second, old in itertools.product(NEW, NEW, OLD):
        if not clash(first, old) and not (first is None and old is None):
            yield {"kind": "split", "new": [first, second], "old": [old]}


def interrupted():
    """All of them."""
    return [*merges(), *splits()]


def overlaps(state):
    """Whether input and output are both there, which no crash leaves: outputs get their last names when the
    inputs have lost theirs. Kafka serves both at once; Dohle keeps the partition offline.
    """
    first, second = state["new"][0], (state["new"] + [None])[1]
    is_final = lambda stages: stages is not None and stages[0] == ""
    is_swap = lambda stages: stages == (".swap", ".swap")
    if state["kind"] == "merge":
        return is_final(first) and is_final(state["old"][1])
    # an output that is alone gets its last name when the directory is opened
    becomes_final = is_final(second) or (is_swap(second) and first is None)
    return becomes_final and is_final(state["old"][0]) and not is_swap(first)


def lay_interrupted(folder, state):
    """Segments from 0 and 10 (or one from 0), their replacement, and two that are not concerned."""
    clear(folder)
    halves = [plain(0) + plain(5), plain(10) + plain(15)]
    if state["kind"] == "merge":
        # the cleaner has dropped one batch in each
        staged(folder, 0, plain(0) + plain(15), state["new"][0])
        for base, data, stages in zip((0, 10), halves, state["old"]):
            staged(folder, base, data, stages)
    else:
        for base, data, stages in zip((0, 10), halves, state["new"]):
            staged(folder, base, data, stages)
        staged(folder, 0, b"".join(halves), state["old"][0])
    put(folder, 20, plain(20) + plain(25))
    put(folder, 30, plain(30))
    (folder / "leader-epoch-checkpoint").write_text("0\n1\n0 0\n")
    for base in (10, 20, 30):
        (folder / name(base, "snapshot")).write_bytes(segments.EMPTY_SNAPSHOT)


def clear(folder):
    """Removes the segments that are there; what names the topic stays."""
    for file in folder.iterdir():
        if file.name[:20].isdigit():
            file.unlink()


def told(state):
    """A state as one reads it."""
    show = lambda stages: "none" if stages is None else "/".join(stage or "final" for stage in stages)
    return f"{state['kind']} new {' '.join(map(show, state['new']))}, old {' '.join(map(show, state['old']))}"


# -- damage


def three(folder):
    """Three segments: from 0, from 10, and the last from 20, which goes to 25."""
    clear(folder)
    put(folder, 0, plain(0) + plain(5))
    put(folder, 10, plain(10) + plain(15))
    put(folder, 20, plain(20))
    (folder / "leader-epoch-checkpoint").write_text("0\n1\n0 0\n")


def log(folder, base):
    return folder / name(base, "log")


def append(folder, base, data):
    with open(log(folder, base), "ab") as file:
        file.write(data)


def flip(folder, base, at):
    data = bytearray(log(folder, base).read_bytes())
    data[at] ^= 1
    log(folder, base).write_bytes(data)


def half_a_batch(folder):
    append(folder, 20, plain(25)[:-7])


def rubbish(folder):
    append(folder, 20, b"\xa5" * 100)


def zeros(folder):
    append(folder, 20, bytes(4096))


def wrong_checksum(folder):
    append(folder, 20, plain(25))
    flip(folder, 20, -1)


def in_the_middle(folder):
    append(folder, 20, plain(25))
    flip(folder, 20, 70)


def cut_before_others(folder):
    log(folder, 10).write_bytes(plain(10) + plain(15)[:40])


def out_of_order(folder):
    append(folder, 20, plain(25) + plain(22))


def no_index(folder):
    (folder / name(0, "index")).unlink()


def no_indexes(folder):
    for base in (0, 10, 20):
        (folder / name(base, "index")).unlink()
        (folder / name(base, "timeindex")).unlink()


def no_log(folder):
    put(folder, 40, b"", kinds=("index", "timeindex"))


def odd_txnindex(folder):
    (folder / name(10, "txnindex")).write_bytes(b"\0" * 13)


def bad_txnindex(folder):
    """A transaction that ended before the segment began."""
    entry = struct.pack(">hqqqq", 0, 1, 1, 3, 4)
    (folder / name(10, "txnindex")).write_bytes(entry)


def bad_snapshot(folder):
    (folder / name(20, "snapshot")).write_bytes(b"\0\1rubbish")


def left_over(folder):
    put(folder, 0, plain(0), ".deleted")
    put(folder, 30, plain(30), ".deleted")


def empty_last(folder):
    put(folder, 25, b"")


def missing_segment(folder):
    for kind in ("log", "index", "timeindex"):
        (folder / name(10, kind)).unlink()


def nothing_left(folder):
    clear(folder)


def too_far(folder):
    """A segment of an older version: an offset more than 31 bits behind its name."""
    clear(folder)
    far = 1 << 31
    put(folder, 0, plain(0) + plain(5) + plain(far + 10) + plain(far + 15))
    put(folder, far + 100, plain(far + 100))


def too_far_twice(folder):
    clear(folder)
    far = 1 << 31
    put(folder, 0, plain(0) + plain(far + 10) + plain(2 * far + 20))


def format_0(folder):
    clear(folder)
    put(folder, 0, b"".join(segments.old(i, 0) for i in range(5)) + segments.wrapped(5, 0, 5))
    put(folder, 10, plain(10))


def format_1(folder):
    clear(folder)
    put(folder, 0, b"".join(segments.old(i, 1) for i in range(5)) + segments.wrapped(5, 1, 5))
    put(folder, 10, plain(10))


def format_1_torn(folder):
    clear(folder)
    put(folder, 0, b"".join(segments.old(i, 1) for i in range(5)) + segments.old(5, 1)[:-3])


def later_epochs(folder):
    """A leader epoch that the checkpoint does not know: it says that epoch 0 begins at 0."""
    clear(folder)
    (folder / "leader-epoch-checkpoint").write_text("0\n1\n0 0\n")
    put(folder, 0, plain(0) + plain(5, epoch=1))
    put(folder, 10, plain(10, epoch=1) + plain(15, epoch=1))


def sound(folder):
    pass


def beyond_the_end(folder):
    """Its log start is said to be 100, see `log_starts`."""


@dataclass(frozen=True)
class State:
    """How a state comes about, and where Dohle on purpose does otherwise than Kafka.

    Where batches that were acknowledged may lie behind the damage, Kafka cuts them off; Dohle keeps such a
    partition offline and its files as they are: `is_refused`. `other` says why nothing else is the same,
    `files` why single files are not.
    """

    make: Callable
    is_refused: bool = False
    other: str = ""
    files: dict = field(default_factory=dict)


DAMAGE = {
    "sound": State(sound),
    "half-a-batch": State(half_a_batch),
    "rubbish": State(rubbish),
    "zeros": State(zeros),
    "wrong-checksum": State(wrong_checksum),
    "in-the-middle": State(in_the_middle, is_refused=True),
    "cut-before-others": State(cut_before_others, is_refused=True),
    "out-of-order": State(out_of_order, is_refused=True),
    "no-index": State(
        no_index,
        files={"00000000000000000010.snapshot": "Dohle makes the index anew and no producer state with it"},
    ),
    "no-indexes": State(no_indexes),
    "no-log": State(no_log),
    "odd-txnindex": State(
        odd_txnindex,
        files={"00000000000000000010.txnindex": "Kafka overlooks the bytes, Dohle makes the index anew"},
    ),
    "bad-txnindex": State(
        bad_txnindex, files={"00000000000000000010.txnindex": "Kafka leaves an empty file, Dohle none"}
    ),
    "bad-snapshot": State(bad_snapshot),
    "left-over": State(left_over),
    "empty-last": State(empty_last),
    "missing-segment": State(missing_segment, is_refused=True),
    "nothing-left": State(
        nothing_left,
        files={f"{0:020}.{kind}": "Dohle makes files with the first record" for kind in ("log", "index", "timeindex")},
    ),
    "too-far": State(too_far),
    "too-far-twice": State(too_far_twice),
    "format-0": State(format_0),
    "format-1": State(format_1),
    "format-1-torn": State(format_1_torn),
    "later-epochs": State(later_epochs),
    # one number in a file without a checksum, and Kafka removes all that is there
    "beyond-the-end": State(beyond_the_end, is_refused=True),
}
# What Kafka can open after a clean stop, and Dohle too.
CLEAN = [
    "sound",
    "no-index",
    "no-log",
    "odd-txnindex",
    "bad-txnindex",
    "bad-snapshot",
    "left-over",
    "empty-last",
    "format-0",
    "format-1",
    "beyond-the-end",
]
# An index of every batch for one, or Kafka would not notice the order.
CONFIGS = {
    "out-of-order": {"index.interval.bytes": "0"},
    # only the cleaner leaves such gaps
    "too-far": {"cleanup.policy": "compact"},
    "too-far-twice": {"cleanup.policy": "compact"},
}
# Recovery points: what is amiss lies in what is durable.
FLUSHED = {"no-index": 20, "odd-txnindex": 20, "bad-txnindex": 20}
# Log starts of the checkpoint, which can be read after a clean stop only.
LOG_STARTS = {"beyond-the-end": 100}
CRASHED = [name for name in DAMAGE if name not in LOG_STARTS]
