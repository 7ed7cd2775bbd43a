"""Students of every shape: planned, cut, fresh, cut again, and begun with in a recipe."""
import json

from program import INPUT, USAGE, ProgramTest, main, whole_tokenizer


class Init(ProgramTest):
    def setUp(self):
        super().setUp()
        self.tiny_model("teacher", tokenizer=whole_tokenizer())
        self.texts(n=12)

    def config(self, folder):
        config = json.loads((self.dir / folder / "config.json").read_text())
        return [config[k] for k in ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads",
                                    "num_key_value_heads", "head_dim")]

    def weights(self, folder):
        return (self.dir / folder / "model.safetensors").read_bytes()

    def test_a_plan_tells_sizes_and_speeds_and_writes_nothing(self):
        before = self.files()
        plan = self.ok_json("init", "teacher", "--plan", "--hidden", 32, "--kv-heads", 1)
        self.assertEqual(self.files(), before)
        asked = plan["candidates"][0]
        self.assertEqual([asked[k] for k in ("layers", "hidden", "ffn", "kv_heads")], [3, 32, 160, 1])
        made = self.ok_json("init", "teacher", "-o", "s", "--hidden", 32, "--kv-heads", 1, "--text", "text.jsonl")
        self.assertEqual(asked["parameters"], made["parameters"])
        for candidate in plan["candidates"]:
            self.assertEqual(candidate["training_flops_per_token"], 3 * candidate["forward_flops_per_token"])
            self.assertGreater(candidate["training_tokens_per_s"], 0)
            self.assertGreater(candidate["decode_tokens_per_s"], 0)
        self.assertIn("decode tok/s", self.ok("init", "teacher", "--plan").decode())

    def test_measured_once_cut_many_times(self):
        cut = ("init", "teacher", "--layers", 2, "--hidden", 32, "--ffn", 96, "--kv-heads", 1, "--ranking", "r.json", "--importance",
               "i.safetensors")
        self.ok(*cut, "-o", "a", "--text", "text.jsonl")
        self.ok(*cut, "-o", "b", "--threads", 1)
        self.assertEqual(self.weights("a"), self.weights("b"))
        self.assertEqual(self.config("a"), [2, 32, 96, 2, 1, 16])
        self.assertIn("2 of 3 layers, 32 of 64 residual channels, 96 of 160 feed-forward neurons, 1 of 2 key/value heads",
                      (self.dir / "a/README.md").read_text())
        self.refused(3, "init", "a", "-o", "c", "--ffn", 64, "--importance", "i.safetensors", says="another teacher")

    def test_a_trained_student_is_cut_again_and_taught_by_the_same_teacher(self):
        self.ok("init", "teacher", "-o", "first", "--hidden", 32, "--text", "text.jsonl")
        self.ok("collect", "teacher", "--text", "text.jsonl", "-o", "cache", "--draws", 4)
        self.ok("train", "first", "--cache", "cache", "--steps", 2, "--batch-tokens", 256, "-o", "run")
        self.ok("init", "run/student", "-o", "second", "--ffn", 64, "--text", "text.jsonl")
        self.ok("train", "second", "--cache", "cache", "--steps", 2, "--batch-tokens", 256, "-o", "again")
        self.assertEqual(self.config("again/student"), [3, 32, 64, 4, 2, 16])
        self.assertIn("teacher", (self.dir / "again/student/README.md").read_text())

    def test_a_fresh_student_is_a_function_of_its_seed(self):
        for name, seed in (("a", 4), ("b", 4), ("c", 5)):
            self.ok("init", "teacher", "-o", name, "--init", "random", "--layers", 1, "--seed", seed)
        self.assertEqual(self.weights("a"), self.weights("b"))
        self.assertNotEqual(self.weights("a"), self.weights("c"))
        self.assertEqual(self.config("a"), [1, 64, 160, 4, 2, 16])

    def test_what_cannot_be_made_is_refused(self):
        for options, says in (
            ((), "nothing would be cut"),
            (("--layers", 4), "cannot have 4 layers: its teacher has 3"),
            (("--hidden", 40), ("40 residual channels", "multiple of 32", "take 32")),
            (("--hidden", 32), "needs --text"),
            (("--init", "model"), "prune or random"),
            (("--init", "random", "--keep", "0"), "say --layers"),
            (("--layers", 2, "--keep", "0"), "only one of --layers, --keep"),
        ):
            with self.subTest(options):
                self.refused(USAGE, "init", "teacher", "-o", "none", *options, says=says)

    def test_a_student_that_is_there_is_not_replaced_unasked(self):
        cut = ("init", "teacher", "-o", "s", "--keep")
        self.ok(*cut, "0,1")
        before = (self.dir / "s/model.safetensors").read_bytes()
        self.refused(USAGE, *cut, "0", says=("'s/model.safetensors' is there already", "--force"))
        self.assertEqual((self.dir / "s/model.safetensors").read_bytes(), before)
        self.ok(*cut, "0", "--force")
        self.assertLess(len((self.dir / "s/model.safetensors").read_bytes()), len(before))

    def recipe(self, student):
        return self.write("shape.yaml", f"""
teacher: {{model: teacher}}
data: {{text: [text.jsonl], valid: [text.jsonl]}}
student: {{{student}}}
collect: {{draws: 4}}
train: {{tokens: 1k, batch_tokens: 256, sequence: 128}}
export: [{{type: q8_0}}]
audit: {{tokens: 400, twin: none}}
""")

    def shape(self):
        return json.loads((self.dir / "runs/shape/student/init.json").read_text())

    def test_recipes_begin_with_any_of_them(self):
        self.ok("run", self.recipe("hidden: 32, layers: 2"))
        self.assertEqual(self.shape()["shape"], {"layers": 2, "hidden": 32, "ffn": 160, "kv_heads": 2})
        student = self.dir / "runs/shape/student"
        student.rename(self.dir / "first")
        self.ok("run", self.recipe("from: first, ffn: 64"))
        self.assertEqual(self.shape()["shape"], {"layers": 2, "hidden": 32, "ffn": 64, "kv_heads": 2})
        permits = json.loads((self.dir / "runs/shape/run.json").read_text())
        self.assertEqual((permits["permit"]["uses"], permits["weights_permit"]["uses"]), (["train-on-outputs"], ["derive-weights"]))
        self.ok("run", self.recipe("from: first, init: model"))
        self.assertEqual((self.shape()["init"], self.shape()["from"]), ("model", "first"))
        self.ok("run", self.recipe("init: random, layers: 1"))
        self.assertEqual(self.shape()["keep"], [0])

    def test_a_text_that_is_not_there_is_named_by_its_key_before_anything_is_measured(self):
        recipe = self.recipe("layers: 2")
        (self.dir / "text.jsonl").unlink()
        for more in ((), ("--dry-run",)):
            r = self.run_program("run", recipe, *more)
            self.assertEqual(r.returncode, INPUT)
            self.assertIn("'data.text' names 'text.jsonl', which does not exist", r.stderr.decode())
            self.assertNotIn("measuring", r.stderr.decode())

    def test_recipes_that_contradict_themselves_are_refused(self):
        for student, says in (("init: prune", "a width to cut"), ("init: model", "needs 'student.from'"),
                              ("init: model, from: teacher, hidden: 32", "'student.hidden' goes with"),
                              ("init: random, keep: [0]", "say 'layers'"), ("hidden: 48", "multiple of 32"),
                              ("layers: 2, from: elsewhere", "'elsewhere', which does not exist")):
            with self.subTest(student):
                r = self.run_program("run", self.recipe(student))
                self.assertNotEqual(r.returncode, 0)
                self.assertIn(says, r.stderr.decode())


if __name__ == "__main__":
    main()
