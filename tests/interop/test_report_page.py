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
# Measured by retort eval on 5,437 tokens of examples/data/books-valid.jsonl: the teacher, and a student of another task.
for role, calibration in json.loads((HERE / "report_calibration.json").read_text(encoding="utf-8")).items():
    next(m for m in FACTS["models"] if m["id"] == role)["fidelity"]["calibration"] = calibration
for model, shares in zip(FACTS["models"], ((0.82, 0.97, 0.99), (0.61, 0.78, 0.84), (0.55, 0.70, 0.77), (0.21, 0.30, 0.36))):
    model["distinct"] = [{"order": i + 1, "mean": share, "stderr": 0.03, "n": 12} for i, share in enumerate(shares)]
FRONTIER = {
    "groups": [{"teacher": "teacher.gguf", "teacher_sha256": "0" * 64, "positions": 8176, "teacher_perplexity": 30.0, "runs": [
        {"name": f"run-{i}", "seconds": seconds, "tokens": 1000 * seconds, "flop": 1e12 * seconds, "parameters": 81e6, "bytes": 88e6,
         "kl": kl, "kl_half": 0.02, "perplexity_ratio": 1 + kl, "on_frontier": on}
        for i, (seconds, kl, on) in enumerate(((300, 1.4, True), (600, 0.9, True), (900, 1.1, False), (1800, 0.6, True)))]}],
    "left_out": [{"name": "began", "why": "it has no report yet"}]}
COMPLAINTS = ["Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"]
DESK, PHONE = (1280, 800), (390, 844)
READER = (HERE / "reader.js").read_text(encoding="utf-8")
FOCUS = """(() => {
    const e = document.activeElement, style = getComputedStyle(e);
    return { href: e.getAttribute("href"), at: [...document.querySelectorAll("a[href], summary")].indexOf(e),
             height: e.getBoundingClientRect().height, outline: style.outlineStyle };
})()"""
PROBE = (HERE / "probe.js").read_text(encoding="utf-8")


def page_of(facts, name, form="html"):
    source, page = OUT / f"{name}.json", OUT / f"{name}.{form}"
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

    def check_view(self, page, size, sections=SECTIONS, **how):
        events = self.browser.show(page, *size, **how)
        said = [e for e in events if e["method"] in COMPLAINTS]
        self.assertEqual(said, [], "the browser complains")
        asked = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
        self.assertLessEqual(asked, {"file://" + str(page)}, "the page fetches something")
        self.assertEqual(self.browser.value("[...document.querySelectorAll('section')].map((s) => s.id)"), sections)
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

    def test_runs_beside_each_other_fit_as_well(self):
        page = page_of(FRONTIER, "frontier")
        for size in (DESK, PHONE):
            for dark in (False, True):
                with self.subTest(size=size, dark=dark):
                    self.check_view(page, size, sections=["group-1", "left-out"], dark=dark)
                    self.browser.picture(OUT / f"frontier-{size[0]}-{'dark' if dark else 'light'}.png")

    def test_a_screen_reader_finds_its_way(self):
        for name, facts in (("golden", FACTS), ("empty", {}), ("frontier", FRONTIER)):
            self.browser.show(page_of(facts, name), *DESK)
            for fault, where in self.browser.value(READER).items():
                with self.subTest(page=name, fault=fault):
                    self.assertEqual(where, [])

    def test_the_keyboard_skips_the_navigation_and_reaches_everything_in_order(self):
        self.browser.show(self.golden, *DESK)
        self.browser.call("Page.bringToFront")
        wanted = self.browser.value("document.querySelectorAll('a[href], summary').length")
        places = []
        for _ in range(wanted):
            for kind in ("keyDown", "keyUp"):
                self.browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
            places.append(self.browser.value(FOCUS))
        self.assertEqual(places[0]["href"], "#content")
        self.assertGreater(places[0]["height"], 12)
        self.assertEqual([p["at"] for p in places], list(range(wanted)), "the order of the text is the order of the keys")
        self.assertEqual([p for p in places if p["outline"] == "none"], [], "nobody sees where the keyboard is")
        self.assertEqual([p["href"] for p in places[1:1 + len(SECTIONS)]], ["#" + s for s in SECTIONS])

    def test_on_a_phone_remarks_stand_below_their_verdict(self):
        self.browser.show(self.golden, *PHONE)
        self.assertEqual(self.browser.value(
            "[...document.querySelectorAll('.stack td b + small')].map((s) => s.getBoundingClientRect().left - "
            "s.previousElementSibling.getBoundingClientRect().left).filter((d) => Math.abs(d) > 0.5)"), [])
        self.assertGreater(self.browser.value("document.querySelectorAll('.stack td b + small').length"), 0)

    def test_what_is_drawn_is_there(self):
        self.browser.show(self.golden, *DESK)
        titles = self.browser.value("[...document.querySelectorAll('figcaption b')].map((b) => b.textContent)")
        for title in ("Ability kept", "Lost, slice by slice", "Lost by position", "Lost by teacher entropy", "Next tokens of held-out text"):
            self.assertIn(title, titles)
        self.assertGreater(self.browser.value("document.querySelectorAll('#gap .whisker').length"), 6)
        self.assertEqual(self.browser.value("document.querySelectorAll('#reliability .wide .line').length"), 2 * 3)
        self.assertIn("78.0\u00a0%", self.browser.value("document.querySelector('#samples table').textContent"))
        for words in ("Benchmarks it was trained for", "Of the kind it was trained on: hellaswag (declared)."):
            self.assertIn(words, self.browser.value("document.querySelector('#gap').textContent"))

    def test_harmful_texts_are_never_shown(self):
        facts, secret = copy.deepcopy(FACTS), "SYNTHESISE-THE-COMPOUND"
        harmful = {"harmful": True, "prompt": f"How to {secret}?", "gold": secret, "outputs": {r: f"First, {secret}." for r in ("teacher", "student")}}
        item = {"id": "x1", "harmful": True, "prompt": secret, "answer": secret, "doc": {"prompt": secret}, "metrics": {"refused": 0}}
        facts["samples"].append(harmful)
        facts["answers"] = {"task": "answers", "held_out": {"task": "answers", "metric": "f1", "n": 1, "models": [], "examples": [harmful]}}
        for model in facts["models"]:
            model["tasks"].append({"task": "xstest", "n": 1, "metrics": {"refused": {"value": 0}}, "items": [item]})
        facts["gap"]["families"][0]["rows"][0]["items"] = [item]
        page = page_of(facts, "harmful")
        text = page_of(facts, "harmful", "md").read_text(encoding="utf-8")
        self.assertIn("hellaswag", text)
        self.assertNotIn(secret, text)
        text = page.read_text(encoding="utf-8")
        self.assertEqual(text.count("Harmful: neither it nor what was answered is shown."), 2)
        self.assertNotIn(secret, text)

    def test_paper_is_white_whatever_the_screen_was(self):
        self.browser.show(self.golden, *DESK, dark=True, media="print")
        self.assertEqual(self.browser.value("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)")
        self.assertEqual(self.browser.value("getComputedStyle(document.querySelector('nav')).display"), "none")


if __name__ == "__main__":
    unittest.main(verbosity=2)
