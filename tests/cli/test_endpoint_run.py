"""A recipe whose teacher is behind a server: the same stages, permit, ledger, card and report."""
import json

from fake_server import FakeServer
from program import LICENCE, REMOTE, USAGE, ProgramTest, main, whole_tokenizer


class Recipe(ProgramTest):
    def setUp(self):
        super().setUp()
        self.server = FakeServer()
        self.server.__enter__()
        self.addCleanup(self.server.__exit__, None, None, None)
        self.tiny_model("small", licence="mit", tokenizer=whole_tokenizer())
        self.texts("text.jsonl", 10)
        self.texts("valid.jsonl", 6)

    def recipe(self, teacher="", student="from: small, keep: [0, 1]", collect="targets: topk, k: 8", train="", url=None, head=""):
        return self.write("served.yaml", f"""
{head}
teacher: {{endpoint: "{url or self.server.url}", model: org/toy-1, licence: apache-2.0, wait: 0.01, attempts: 2{teacher}}}
data: {{text: [text.jsonl], valid: [valid.jsonl]}}
student: {{{student}}}
collect: {{{collect}}}
train: {{tokens: 2k, batch_tokens: 256, sequence: 128{train}}}
export: [{{type: f32}}, {{type: safetensors}}]
audit: {{tokens: 400}}
""")

    def test_a_recipe_runs_end_to_end_and_asks_nothing_again(self):
        recipe = self.recipe()
        self.ok("run", recipe)
        run = self.dir / "runs/served"
        permit = json.loads((run / "run.json").read_text())["permit"]
        self.assertEqual((permit["declared"], permit["model"]), (True, "org/toy-1"))
        self.assertEqual({licence["id"] for licence in permit["licences"]}, {"apache-2.0", "mit"})
        self.assertEqual(permit["uses"], ["train-on-outputs", "derive-weights"])
        self.ok("ledger", "verify", run / "ledger.jsonl")
        card = (run / "export/README.md").read_text()
        for words in ("base_model: small", "Teacher: toy-1", "declared, not observed", "taken from that model", "distance to the teacher"):
            self.assertIn(words, card.replace("org/", "").replace("\\", "").replace('"', ""))
        page = (run / "report.html").read_text()
        for words in ("Declared, not observed", "cut out of small and taught by", "distance to the teacher: a server keeps its weights"):
            self.assertIn(words, page)
        self.assertNotIn("KL to the teacher", card)
        asked = len(self.server.requests)
        self.ok("run", recipe)
        self.assertEqual(len(self.server.requests), asked)

    def test_a_plan_asks_nothing_of_the_server(self):
        plan = self.ok_json("run", self.recipe(), "--dry-run")
        self.assertEqual((plan["licence"]["id"], plan["seconds"]["collect"]), ("apache-2.0", None))
        duties = ("--dry-run", "--set", "teacher.licence=gemma", "--accept-licence", "gemma")
        self.assertEqual(self.ok_json("run", self.recipe(), *duties)["licence"]["id"], "gemma")
        self.assertEqual(self.server.requests, [])
        self.assertFalse((self.dir / "runs").exists())

    def test_the_gate_judges_both_models_before_anything_is_sent(self):
        self.refused(LICENCE, "run", self.recipe(url="https://api.openai.com"), says=("openai-terms", "denied"))
        self.tiny_model("nameless", licence=None)
        self.refused(LICENCE, "run", self.recipe(student="from: nameless, keep: [0]"), says=("nameless", "unknown"))
        self.refused(LICENCE, "run", self.recipe(), "--set", "teacher.licence=gemma", says=("org/toy-1", "permit-with-duties"))
        self.assertEqual(self.server.requests, [])

    def test_a_server_that_fails_ends_the_run_and_the_same_command_goes_on(self):
        self.server.most_log_probs = 3
        recipe = self.recipe()
        self.assertEqual(self.run_program("run", recipe).returncode, REMOTE)
        self.server.most_log_probs = 1000
        self.ok("run", recipe)

    def test_what_a_server_cannot_do_is_refused_in_the_recipe(self):
        for settings, words in [({"student": "keep: [0]"}, "'student.from' is needed"), ({"collect": "targets: sample"}, "topk"),
                                ({"train": ", eval_every: 2"}, "eval_every"), ({"head": "budget: 1m"}, "collect.tokens"),
                                ({"url": "http://a:b@c"}, "credentials")]:
            with self.subTest(words):
                self.refused(USAGE, "run", self.recipe(**settings), says=words)
        self.refused(USAGE, "run", self.write("own.yaml", "teacher: {model: small, licence: mit}\ndata: {text: [text.jsonl]}\n"
                                              "student: {keep: [0]}\n"), says="goes with 'teacher.endpoint'")

    def test_another_tokenizer_is_refused(self):
        self.write("other.json", whole_tokenizer("<|stop|>"))
        r = self.run_program("run", self.recipe(teacher=", tokenizer: other.json"))
        self.assertIn("wrong vocabulary", r.stderr.decode())
        self.assertEqual(self.server.requests, [])


if __name__ == "__main__":
    main()
