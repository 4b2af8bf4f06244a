"""Bars are as long as their ratios say, and stay on the card."""

import unittest
from xml.etree import ElementTree

from runner.chart import LABELS, RIGHT, WIDTH, Bars, Scale, round_down, round_up, short, svg

SPACE = "{http://www.w3.org/2000/svg}"


def drawn(*rows):
    return ElementTree.fromstring(svg(rows, ("first", "second"), "a < b", "foot"))


def bars(root, kind):
    """Without the one of the legend."""
    found = [rect for rect in root.iter(f"{SPACE}rect") if rect.get("class") == kind]
    return [(float(rect.get("x")), float(rect.get("width"))) for rect in found[1:]]


class TheScale(unittest.TestCase):
    def test_ends_are_round_and_hold_every_ratio(self):
        for ratio, below, above in ((3, 2, 5), (1, 1, 1), (0.3, 0.2, 0.5), (50, 50, 50), (99, 50, 100), (0.07, 0.05, 0.1)):
            self.assertAlmostEqual(round_down(ratio), below)
            self.assertAlmostEqual(round_up(ratio), above)

    def test_twice_and_half_are_equally_far_from_one(self):
        scale = Scale([0.05, 400], 0, 1000)
        self.assertAlmostEqual(scale.at(2) - scale.at(1), scale.at(1) - scale.at(0.5))

    def test_one_is_always_marked_and_no_mark_is_outside(self):
        for ratios in ([1.1], [0.01, 20_000], [300, 2], [0.4, 0.6]):
            scale = Scale(ratios, 10, 500)
            ticks = scale.ticks()
            self.assertTrue(any(abs(tick - 1) < 1e-9 for tick in ticks), ratios)
            self.assertTrue(all(10 <= scale.at(tick) <= 500.1 for tick in ticks), ratios)
            self.assertLess(len(ticks), 14)


class TheBars(unittest.TestCase):
    def test_a_bar_goes_from_one_to_its_ratio_on_either_side(self):
        root = drawn(Bars("more", 100, None), Bars("less", 0.1, 1))
        (start, long), (left, back) = bars(root, "first")
        self.assertAlmostEqual(left + back, start, delta=0.2)
        self.assertAlmostEqual(long, 2 * back, delta=0.3)
        ((_, width),) = bars(root, "second")
        self.assertEqual(width, 1)

    def test_all_stays_on_the_card(self):
        root = drawn(Bars("extreme", 19_999, 0.011))
        for rect in [*bars(root, "first"), *bars(root, "second")]:
            self.assertGreaterEqual(rect[0], LABELS)
            self.assertLessEqual(sum(rect), WIDTH - RIGHT + 0.2)

    def test_a_row_without_ratios_has_no_place(self):
        texts = [text.text for text in drawn(Bars("there", 2, None), Bars("absent", None, None)).iter(f"{SPACE}text")]
        self.assertIn("there", texts)
        self.assertNotIn("absent", texts)

    def test_it_is_small(self):
        self.assertLess(len(svg([Bars(f"row {n}", n + 1, n + 2) for n in range(40)], ("a", "b"), "", "")), 20_000)

    def test_numbers_are_short(self):
        for ratio, shown in (
            (0.044, "0.04"),
            (0.5, "0.50"),
            (0.96, "1.0"),
            (9.94, "9.9"),
            (9.96, "10"),
            (366.2, "366"),
            (1104.2, "1,104"),
        ):
            self.assertEqual(short(ratio), shown)


if __name__ == "__main__":
    unittest.main()
