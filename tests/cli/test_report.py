#!/usr/bin/env python3
"""retort report --runs sets what runs cost beside what they kept."""
import json

from program import INPUT, USAGE, ProgramTest, main


class Report(ProgramTest):
    def run_of(self, name, seconds, kl, teacher="big"):
        """What a finished run leaves for this."""
        stat = {"mean": kl, "stderr": 0.01, "n": 64}
        self.write(f"runs/{name}/run.json", {"name": name, "stages": [{"name": "report", "state": "done"}]})
        self.write(f"runs/{name}/report.json", {
            "name": name, "teacher": {"name": teacher, "sha256": teacher, "parameters": 100}, "cost": {"seconds": seconds},
            "student": {"parameters": 10, "bytes": 40}, "train": {"tokens": 1000}, "collect": {"tokens": 500},
            "models": [{"id": "teacher", "fidelity": {"positions": 64, "perplexity": 8.0}},
                       {"id": "student", "fidelity": {"positions": 64, "perplexity": 10.0, "kl": stat}}]})

    def test_runs_that_no_other_beats_are_the_frontier(self):
        for name, seconds, kl in (("quick", 10, 2), ("near", 30, 0.5), ("beaten", 40, 1)):
            self.run_of(name, seconds, kl)
        self.run_of("elsewhere", 5, 0.1, teacher="other")
        self.write("runs/began/run.json", {"name": "began", "stages": []})
        self.write("runs/broken/run.json", {"name": "broken", "stages": []})
        self.write("runs/broken/report.json", "{")
        self.assertEqual(self.ok("report", "--runs", "runs"), b"report: runs/frontier.html\n")
        frontier = json.loads((self.dir / "runs/frontier.json").read_text())
        self.assertEqual([[(r["name"], r["on_frontier"]) for r in g["runs"]] for g in frontier["groups"]],
                         [[("quick", True), ("near", True), ("beaten", False)], [("elsewhere", True)]])
        self.assertEqual([v["name"] for v in frontier["left_out"]], ["began", "broken"])
        self.assertIn("no report yet", frontier["left_out"][0]["why"])
        self.assertFalse((self.dir / "runs/frontier.md").exists())
        self.ok("report", "--runs", "runs", "--format", "md")
        self.assertIn("| near | 30\u00a0s |", (self.dir / "runs/frontier.md").read_text())
        self.assertIn("<title>beaten</title>", (self.dir / "runs/frontier.html").read_text())

    def test_what_makes_no_sense_is_refused(self):
        self.refused(USAGE, "report", says="--runs")
        self.refused(USAGE, "report", "runs/a", "--runs", "runs", says="--runs")
        self.refused(INPUT, "report", "--runs", "nowhere", says="no runs in 'nowhere'")


if __name__ == "__main__":
    main()
