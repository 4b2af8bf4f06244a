"""Whether a machine gives free memory back, as the system tells it."""

import tempfile
import unittest
from pathlib import Path

from runner import page_cache


class GoesBack(unittest.TestCase):
    def told(self, features, order):
        with tempfile.TemporaryDirectory() as folder:
            balloons, file = Path(folder, "balloons"), Path(folder, "order")
            for number, bits in enumerate(features):
                balloon = balloons / f"virtio{number}"
                balloon.mkdir(parents=True)
                (balloon / "features").write_text(bits)
            if order is not None:
                file.write_text(f"{order}\n")
            return page_cache.goes_back(balloons, file)

    def test_it_does_with_a_balloon_that_reports_blocks_that_there_are(self):
        self.assertTrue(self.told(["0110010100\n"], 9))
        self.assertTrue(self.told(["0110010100\n"], 10))
        self.assertTrue(self.told(["0000000000\n", "0000010000\n"], 9))

    def test_it_does_not_where_no_block_is_as_large_or_no_balloon_reports(self):
        self.assertFalse(self.told(["0110010100\n"], 11))
        self.assertFalse(self.told(["0110000100\n"], 9))
        self.assertFalse(self.told(["0110"], 9))
        self.assertFalse(self.told([], 9))

    def test_it_does_not_where_the_system_knows_nothing_of_it(self):
        self.assertFalse(self.told([], None))
        self.assertFalse(self.told(["0110010100\n"], None))
        self.assertFalse(self.told(["0110010100\n"], ""))
