#!/usr/bin/env python3
"""The report page in a real browser: whole, quiet, self-contained and readable at a desk, on a phone, in the dark and on
paper. Pictures of it are left in <build>/report-page/ for a person to look at."""
import copy
import json
import os
import pathlib
import re
import subprocess
import unittest
import xml.etree.ElementTree

import browser

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("RETORT_BUILD", os.getcwd()))
OUT = BUILD / "report-page"
FACTS = json.loads((BUILD / "golden/report/facts.json").read_text(encoding="utf-8"))
SECTIONS = ["summary", "comparison", "gap", "reliability", "curves", "samples", "cost", "provenance", "recipe", "glossary"]
FACTS |= json.loads((HERE / "report_gap.json").read_text(encoding="utf-8"))
COMPLAINTS = ["Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"]
DESK, PHONE = (1280, 800), (390, 844)
PROBE = (HERE / "probe.js").read_text(encoding="utf-8")


def page_of(facts, name):
    source, page = OUT / f"{name}.json", OUT / f"{name}.html"
    source.write_text(json.dumps(facts), encoding="utf-8")
    subprocess.run([BUILD / "test_report_fixture", source, page], check=True, timeout=60)
    return page


def with_long_texts(value):
    """Words without a blank in every place that takes a text."""
    if isinstance(value, dict):
        return {k: v if k in ("id", "use", "verdict", "targets") else with_long_texts(v) for k, v in value.items()}
    if isinstance(value, list):
        return [with_long_texts(v) for v in value]
    return "abcdefghijklmnopqrstuvwxyz" * 12 + "<b>\u202e" if isinstance(value, str) else value


class ReportPage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        binary = browser.find()
        if not binary:
            raise RuntimeError("no chromium: install the packages of packaging/apt-packages-interop.txt")
        OUT.mkdir(parents=True, exist_ok=True)
        cls.golden = page_of(FACTS, "golden")
        cls.browser = cls.enterClassContext(browser.Browser(binary))

    def check_view(self, page, size, **how):
        events = self.browser.show(page, *size, **how)
        said = [e for e in events if e["method"] in COMPLAINTS]
        self.assertEqual(said, [], "the browser complains")
        asked = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
        self.assertLessEqual(asked, {"file://" + str(page)}, "the page fetches something")
        self.assertEqual(self.browser.value("[...document.querySelectorAll('section')].map((s) => s.id)"), SECTIONS)
        for opened in (False, True):
            self.browser.value(f"document.querySelectorAll('details').forEach((d) => d.open = {str(opened).lower()})")
            for fault, where in self.browser.value(PROBE).items():
                self.assertEqual(where[:10], [], f"{fault}, {len(where)} times, at {size} {how}")
        self.browser.value("document.querySelectorAll('details').forEach((d) => d.open = false)")

    def test_the_page_is_well_formed_and_fetches_nothing(self):
        text = self.golden.read_text(encoding="utf-8")
        root = xml.etree.ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
        self.assertEqual([s.get("id") for s in root.iter("section")], SECTIONS)
        self.assertEqual([e for e in root.iter() if e.get("src") or not (e.get("href") or "#").startswith("#")], [])
        self.assertNotRegex(text, re.compile(r"<script|@import|url\(|javascript:", re.I))
        self.assertLess(len(text.encode()), 1_000_000)

    def test_another_process_writes_the_same_bytes(self):
        self.assertEqual(page_of(FACTS, "again").read_bytes(), self.golden.read_bytes())

    def test_it_reads_well_at_a_desk_on_a_phone_and_in_the_dark(self):
        for name, size in (("desk", DESK), ("phone", PHONE)):
            for dark in (False, True):
                with self.subTest(size=name, dark=dark):
                    self.check_view(self.golden, size, dark=dark)
                    self.browser.picture(OUT / f"{name}-{'dark' if dark else 'light'}.png")
                    paper = self.browser.value("getComputedStyle(document.body).backgroundColor")
                    self.assertEqual(max(map(int, re.findall(r"\d+", paper))) < 64, dark)

    def test_it_fits_every_width_between(self):
        for width in (320, 360, 480, 640, 641, 760, 900, 1024, 1120, 1600, 2560):
            with self.subTest(width=width):
                self.check_view(self.golden, (width, 800))

    def test_the_five_sentences_are_on_the_first_screen(self):
        self.browser.show(self.golden, *DESK)
        bottoms = self.browser.value(
            "[...document.querySelectorAll('.five dd')].map((d) => d.getBoundingClientRect().bottom)")
        self.assertEqual(len(bottoms), 5)
        self.assertLessEqual(max(bottoms), DESK[1])

    def test_pages_with_little_or_too_much_to_say_fit_as_well(self):
        absurd = with_long_texts(copy.deepcopy(FACTS))
        incomplete = copy.deepcopy(FACTS) | {"provenance_complete": False, "twin": None, "models": FACTS["models"][:2]}
        for name, facts in (("empty", {}), ("absurd", absurd), ("incomplete", incomplete)):
            page = page_of(facts, name)
            for size in (DESK, PHONE):
                with self.subTest(facts=name, size=size):
                    self.check_view(page, size)
                    self.browser.picture(OUT / f"{name}-{size[0]}.png")

    def test_paper_is_white_whatever_the_screen_was(self):
        self.browser.show(self.golden, *DESK, dark=True, media="print")
        self.assertEqual(self.browser.value("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)")
        self.assertEqual(self.browser.value("getComputedStyle(document.querySelector('nav')).display"), "none")


if __name__ == "__main__":
    unittest.main(verbosity=2)
