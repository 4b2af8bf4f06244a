"""Goal: the gate fails where it must, and only there; and what the tools print is read as they mean it."""

import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from .. import callgrind, counts, gate, syscalls
from ..systems import Failure

ALLOCATIONS, INSTRUCTIONS = ("fetch", "allocations"), ("fetch", "instructions")

DUMP = """\
events: Ir
fl=(1) net.rs
fn=(1) serve
10 400
cfi=(2) malloc.c
cfn=(2) malloc
calls=3 20
11 90
cfn=(3) handle
calls=2 30
12 200

fn=(3)
13 100
cfn=(2)
calls=4 20
13 80
cfn=(4) posix_memalign
calls=1 20
13 30
cfn=(5) free
calls=8 20
13 100

totals: 1000
"""

TRACE = """\
71 epoll_wait(0x5, 0x7f, 0x400, 0xffffffff) = 0x1
71 read(0x9, 0x7f, 0x2000 <unfinished ...>
80 futex(0x55, 0x80, 0, 0 <unfinished ...>
71 <... read resumed>) = 0x40
71 epoll_wait(0x5, 0x7f, 0x400, 0xffffffff) = 0x1
80 <... futex resumed>) = 0
80 +++ exited with 0 +++
"""


class Judged(unittest.TestCase):
    def judge(self, found, expected, **options):
        (verdict,) = gate.judge({ALLOCATIONS: found}, {ALLOCATIONS: expected}, **options)
        return verdict

    def test_more_than_a_tenth_more_fails(self):
        self.assertTrue(self.judge(4.41, 4.0).failed)
        self.assertTrue(self.judge(4.41, 4.0).grew)
        self.assertFalse(self.judge(4.39, 4.0).failed)

    def test_more_than_a_tenth_less_is_told_and_does_not_fail(self):
        self.assertTrue(self.judge(3.6, 4.0).fell)
        self.assertFalse(self.judge(3.6, 4.0).failed)
        self.assertFalse(self.judge(3.7, 4.0).fell)

    def test_what_is_allocated_now_and_then_is_no_growth(self):
        self.assertFalse(self.judge(0.2, 0.04).failed)
        self.assertFalse(self.judge(0.0, 0.2).fell)
        self.assertTrue(self.judge(1.04, 0.04).failed)

    def test_what_costs_something_where_nothing_was_expected_fails(self):
        self.assertTrue(self.judge(0.5, 0.0).failed)

    def test_what_is_not_counted_any_more_or_not_expected_yet_fails(self):
        for found, expected in (({}, {ALLOCATIONS: 4.0}), ({ALLOCATIONS: 4.0}, {})):
            (verdict,) = gate.judge(found, expected)
            self.assertTrue(verdict.failed)

    def test_what_was_left_out_is_not_judged(self):
        self.assertEqual(gate.judge({}, {ALLOCATIONS: 4.0}, left_out={ALLOCATIONS: "why"}), [])


class LeftOut(unittest.TestCase):
    def test_where_nobody_reads_of_it_it_fails(self):
        with mock.patch.dict(os.environ, {"CI": "true"}):
            with self.assertRaisesRegex(Failure, "too small"):
                counts.refuse_in_ci({ALLOCATIONS: "too small"})
            counts.refuse_in_ci({})
        with mock.patch.dict(os.environ):
            os.environ.pop("CI", None)
            counts.refuse_in_ci({ALLOCATIONS: "too small"})


class Blessed(unittest.TestCase):
    def test_noise_changes_nothing_and_a_change_does(self):
        expected = {ALLOCATIONS: 4.0, INSTRUCTIONS: 1000.0}
        found = {ALLOCATIONS: 4.05, INSTRUCTIONS: 970.0}
        self.assertEqual(gate.blessed(found, expected), {ALLOCATIONS: 4.0, INSTRUCTIONS: 970.0})

    def test_what_was_left_out_stays_and_what_is_gone_goes(self):
        expected = {ALLOCATIONS: 4.0, INSTRUCTIONS: 1000.0}
        self.assertEqual(gate.blessed({}, expected, left_out={ALLOCATIONS: "why"}), {ALLOCATIONS: 4.0})

    def test_the_file_gives_back_what_was_written(self):
        counts = {INSTRUCTIONS: 40_164.3, ALLOCATIONS: 4.048, ("produce", "instructions"): 999_999.0}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "counts.tsv"
            gate.write(path, counts, "x86_64, some compiler")
            expected = gate.read(path)
        self.assertEqual(expected.tools, "x86_64, some compiler")
        rounded = {INSTRUCTIONS: 40_200.0, ALLOCATIONS: 4.05, ("produce", "instructions"): 1_000_000.0}
        self.assertEqual(expected.counts, rounded)

    def test_without_a_file_nothing_is_expected(self):
        self.assertEqual(gate.read(Path("no such file")).counts, {})


class Counted(unittest.TestCase):
    def test_callgrind_counts_calls_of_the_allocator_from_everywhere(self):
        self.assertEqual(callgrind.parse(DUMP), {"instructions": 1000, "allocations": 8})

    def test_a_dump_without_totals_is_no_count(self):
        with self.assertRaises(Failure):
            callgrind.parse(DUMP.split("totals")[0])

    def test_a_node_that_slept_counts_nothing(self):
        self.assertEqual(callgrind.parse("events: Ir\n\ntotals: 0\n"), {"instructions": 0, "allocations": 0})

    def test_strace_counts_a_call_once_however_it_is_cut(self):
        self.assertEqual(syscalls.parse_trace(TRACE), {"epoll_wait": 2, "read": 1, "futex": 1})

    def test_blind_instruments_are_noticed(self):
        good = {(load, what): 10.0 for load in counts.LOADS for what in counts.WHAT}
        good |= {("produce-64k", "instructions"): 30.0, ("produce-1k-burst", "system calls"): 2.0}
        self.assertEqual(counts.doubts(counts.Found(good)), [])
        for key, wrong in (
            (INSTRUCTIONS, 0.0),
            (("produce-64k", "instructions"), 11.0),
            (("produce-1k-burst", "system calls"), 9.0),
        ):
            self.assertEqual(len(counts.doubts(counts.Found(good | {key: wrong}))), 1, key)
        blind = {(load, "allocations"): -0.01 for load in counts.LOADS}
        self.assertEqual(len(counts.doubts(counts.Found(good | blind))), 1)
