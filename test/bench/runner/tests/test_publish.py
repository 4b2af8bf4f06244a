"""A saved run is a page with its chart, the newest is listed first, and a part of a run is not shown as the whole."""

import tempfile
import unittest
from datetime import date
from pathlib import Path

from runner import publish


class Saved(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.pages = self.root / "docs" / "benchmarks"
        self.pages.mkdir(parents=True)
        (self.pages / "README.md").write_text("before\n" + "".join(publish.PAGES) + "\nafter\n")
        (self.root / "README.md").write_text("top\n" + "".join(publish.NEWEST) + "\nend\n")

    def save(self, whole, chart="<svg/>\n"):
        return publish.save(self.root, "# heading\n\nfacts\n", chart, whole)

    def test_the_page_has_its_chart_below_the_heading(self):
        path, today = self.save(whole=True), date.today().isoformat()
        self.assertEqual(path, self.pages / f"{today}.md")
        self.assertEqual(path.read_text(), f"# heading\n\n![ratios as bars, logarithmic]({today}.svg)\n\nfacts\n")
        self.assertEqual((self.pages / f"{today}.svg").read_text(), "<svg/>\n")

    def test_a_second_one_of_a_day_overwrites_nothing_and_comes_first(self):
        self.save(whole=True)
        (self.pages / "2020-01-01.md").write_text("old")
        (self.pages / "2020-01-01-10.md").write_text("old")
        (self.pages / "2020-01-01-9.md").write_text("old")
        second, today = self.save(whole=True), date.today().isoformat()
        self.assertEqual(second.stem, f"{today}-2")
        names = [f"{today}-2", today, "2020-01-01-10", "2020-01-01-9", "2020-01-01"]
        listed = "".join(f"- [{name}]({name}.md)\n" for name in names)
        start, end = publish.PAGES
        self.assertEqual((self.pages / "README.md").read_text(), f"before\n{start}{listed}{end}\nafter\n")
        shown = (self.root / "README.md").read_text()
        self.assertIn(f"(docs/benchmarks/{today}-2.svg)](docs/benchmarks/{today}-2.md)", shown)
        self.assertEqual((shown[:4], shown[-5:], shown.count(".svg")), ("top\n", "\nend\n", 1))

    def test_a_part_is_listed_but_not_shown(self):
        before = (self.root / "README.md").read_text()
        name = self.save(whole=False).name
        self.assertIn(f"({name})", (self.pages / "README.md").read_text())
        self.assertEqual((self.root / "README.md").read_text(), before)

    def test_a_run_that_compared_nothing_has_no_chart(self):
        path = self.save(whole=False, chart="")
        self.assertEqual(path.read_text(), "# heading\n\nfacts\n")
        self.assertFalse(path.with_suffix(".svg").exists())

    def test_a_file_without_marks_is_left_alone(self):
        (self.root / "README.md").write_text("no marks")
        with self.assertRaises(ValueError):
            self.save(whole=True)
        self.assertEqual((self.root / "README.md").read_text(), "no marks")


class ThisProject(unittest.TestCase):
    def test_its_files_have_the_marks(self):
        root = Path(__file__).resolve().parents[4]
        for path, marks in ((root / "README.md", publish.NEWEST), (root / "docs/benchmarks/README.md", publish.PAGES)):
            text = path.read_text()
            self.assertEqual([text.count(mark) for mark in marks], [1, 1], path)
            self.assertLess(text.index(marks[0]), text.index(marks[1]))


if __name__ == "__main__":
    unittest.main()
