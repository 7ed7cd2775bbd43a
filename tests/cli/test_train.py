"""What `train` minimises and by which rule, as it is asked for and as it is recorded."""
import json

from program import INPUT, USAGE, ProgramTest, main, whole_tokenizer


class Train(ProgramTest):
    def collected(self, *options):
        self.teacher = self.tiny_model("teacher")
        self.ok("collect", self.teacher, "--text", self.texts(n=24), "-o", "cache", *options)

    def train(self, run, *options):
        self.ok("train", self.teacher, "--cache", "cache", "--steps", 3, "--batch-tokens", 256, "-o", run, *options)
        with open(self.dir / run / "metrics.jsonl", encoding="utf-8") as lines:
            return json.loads(lines.readline())

    def weights(self, run):
        return (self.dir / run / "student/model.safetensors").read_bytes()

    def test_terms_are_recorded_with_their_weights(self):
        self.collected("--targets", "topk", "--k", 8)
        header = self.train("run", "--loss", "lk,jsd:0.5:mix=0.3,ce:0.1:to=0:over=2")
        for part in ("1 (w KL(p|q) + (1-w)", "0.5 ([b KL(p|m)", "b = 0.3", "0.1->0 (-log q[y], T = 1)"):
            self.assertIn(part, header["formula"])
        terms = header["config"]["loss"]
        self.assertEqual([t["name"] for t in terms], ["lk", "jsd", "ce"])
        self.assertEqual((terms[1]["mix"], terms[2]["weight"], terms[2]["to"], terms[2]["over"]), (0.3, 0.1, 0, 2))

    def test_states_teach_through_a_map_that_the_student_does_not_keep(self):
        self.collected("--targets", "hidden")
        plain = self.train("plain", "--teacher", self.teacher)
        header = self.train("states", "--teacher", self.teacher, "--loss", "forward_kl,hidden_cosine:0.5:project=1")
        self.assertNotIn("1 - y.t", plain["formula"])
        self.assertIn("0.5 (1 - y.t / (|y| |t|), y = W x student's", header["formula"])
        self.assertEqual(header["config"]["loss"][1]["project"], True)
        self.assertNotEqual(self.weights("states"), self.weights("plain"))
        self.assertEqual(len(self.weights("states")), len(self.weights("plain")))
        with open(self.dir / "states/metrics.jsonl", encoding="utf-8") as lines:
            steps = [line for line in map(json.loads, lines) if "loss" in line]
        self.assertGreater(steps[0]["state"], 0)
        newest = sorted((self.dir / "states/checkpoints").glob("step-*.safetensors"))[-1].read_bytes()
        for name in (b'"projection.1"', b'"optimizer.m.projection.1"', b'"optimizer.v.projection.1"'):
            self.assertIn(name, newest)

    def test_a_loss_between_layers_runs_the_teacher_beside_any_cache(self):
        self.collected("--draws", 4)
        plain = self.train("plain")
        loss = ("--loss", "forward_kl,hidden_cosine:0.5:layers=1")
        self.refused(USAGE, "train", self.teacher, "--cache", "cache", "--steps", 3, "-o", "none", *loss,
                     says="--teacher MODEL is needed beside 'cache'")
        self.refused(USAGE, "train", self.teacher, "--cache", "cache", "--teacher", self.teacher, "--steps", 3, "-o",
                     "none", "--layer-map", "0,1,2,3,4,5,6,7", *loss, says="option '--layer-map' names 8 layers")
        header = self.train("layers", "--teacher", self.teacher, *loss)
        self.assertIn("teacher's input of each layer", header["formula"])
        self.assertEqual(header["config"]["loss"][1]["layers"], True)
        self.assertEqual(header["config"]["layer_map"], list(range(len(header["config"]["layer_map"]))))
        self.assertNotIn("layer_map", plain["config"])
        self.refused(USAGE, "train", self.teacher, "--cache", "cache", "--steps", 3, "-o", "none", "--layer-map", "0,1",
                     says="--layer-map says nothing about this loss")
        self.assertNotEqual(self.weights("layers"), self.weights("plain"))
        with open(self.dir / "layers/metrics.jsonl", encoding="utf-8") as lines:
            steps = [line for line in map(json.loads, lines) if "loss" in line]
        self.assertGreater(steps[-1]["state"], 0)

    def test_a_recipe_compares_the_layers_it_kept(self):
        self.tiny_model("tiny", tokenizer=whole_tokenizer())
        self.texts("text.jsonl", 30)
        self.texts("valid.jsonl", 6)
        recipe = """
            teacher: {model: tiny}
            data: {text: [text.jsonl], valid: [valid.jsonl]}
            student: {keep: [0, 2]}
            train: {tokens: 1k, batch_tokens: 256, sequence: 128,
                    loss: [{kind: forward_kl}, {kind: hidden_cosine, layers: true}]}
            export: [{type: f32}]
            audit: {tokens: 400, twin: none}
            """
        self.ok("run", self.write("deep.yaml", recipe))
        with open(self.dir / "runs/deep/metrics.jsonl", encoding="utf-8") as lines:
            header, *rest = map(json.loads, lines)
        self.assertEqual(header["config"]["layer_map"], [0, 2])
        self.assertGreater([line for line in rest if "loss" in line][0]["state"], 0)

    def test_muon_moves_the_student_elsewhere_and_is_recorded(self):
        self.collected("--draws", 4)
        self.assertNotIn("optimizer", self.train("adamw")["config"])
        self.assertEqual(self.train("muon", "--optimizer", "muon")["config"]["optimizer"], "muon")
        self.train("again", "--optimizer", "muon", "--threads", 1)
        self.assertNotEqual(self.weights("muon"), self.weights("adamw"))
        self.assertEqual(self.weights("muon"), self.weights("again"))

    def beside(self, run, *options):
        self.ok("train", self.teacher, "--teacher", self.teacher, "--text", self.texts(n=24), "--steps", 3,
                "--batch-tokens", 256, "--sequence", 64, "--prompt-tokens", 8, "--new-tokens", 16, "-o", run, *options)
        with open(self.dir / run / "metrics.jsonl", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    def test_a_teacher_answers_while_the_student_trains(self):
        self.teacher = self.tiny_model("teacher")
        header, *lines = self.beside("run")
        self.assertNotIn("text", header)
        self.assertEqual([line["step"] for line in lines if "loss" in line], [1, 2, 3])
        self.assertTrue((self.dir / "run/student/README.md").exists())
        ledger = self.ok_json("ledger", "verify", "run/ledger.jsonl")
        self.assertEqual(ledger["positions"], sum(line["rows"] for line in lines if "loss" in line))

    def test_the_student_writes_its_share_and_the_run_says_so(self):
        self.teacher = self.tiny_model("teacher")
        header, *lines = self.beside("run", "--on-policy", 0.5, "--loss", "reverse_kl", "--refresh", 2)
        for part in ("0.5 of a step's tokens written by the student", "the rest from the corpus"):
            self.assertIn(part, header["text"])
        self.assertEqual(header["config"]["on_policy"]["refresh"], 2)
        self.assertEqual([line["step"] for line in lines if line.get("event") == "written"], [0, 2])
        origins = [json.loads(line).get("origin") for line in (self.dir / "run/ledger.jsonl").read_text().splitlines()]
        self.assertIn("written by the student", origins)

    def test_a_student_can_learn_on_prompts_alone(self):
        tokenizer = json.dumps(whole_tokenizer())
        for spare, mark in ("<|spare257|>", "<|im_start|>"), ("<|spare258|>", "<|im_end|>"):
            tokenizer = tokenizer.replace(spare, mark)
        self.teacher = self.tiny_model("teacher", tokenizer=tokenizer)
        prompts = self.write_lines("prompts.jsonl", [{"prompt": f"What is {i} and {i}?"} for i in range(9)])
        self.ok("train", self.teacher, "--teacher", self.teacher, "--prompts", prompts, "--on-policy", 1, "--loss", "jsd", "--template", "chatml",
                "--steps", 2, "--batch-tokens", 256, "--new-tokens", 16, "-o", "run")

    def test_an_online_run_that_cannot_be_is_refused(self):
        self.teacher = self.tiny_model("teacher")
        texts = ("--text", self.texts(n=24))
        beside = ("--teacher", self.teacher, *texts)
        for options, says in (
            (texts, "go with --teacher MODEL"),
            ((*beside, "--cache", "cache"), "without --cache"),
            ((*beside, "--on-policy", 2), "0 to 1 of a step's tokens"),
            ((*beside, "--on-policy", 0.5, "--loss", "ce"), "its own words"),
            ((*beside, "--prompts", "p.jsonl"), "say with --on-policy how much"),
            (("--teacher", self.teacher, "--on-policy", 0.5), "texts are needed"),
            (("--teacher", self.teacher), "--teacher MODEL with --text FILE"),
        ):
            with self.subTest(options):
                self.refused(USAGE, "train", self.teacher, "--steps", 3, "-o", "none", *options, says=says)

    def metrics(self, folder):
        return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]

    def recipe(self, own=None):
        self.texts(n=24)
        own = f", on_policy: {{fraction: 0.5, {own}}}" if own else ""
        return self.write("own.yaml", f"""
teacher: {{model: teacher}}
data: {{text: [text.jsonl]}}
collect: {{draws: 8}}
student: {{keep: [0, 2]}}
train: {{tokens: 800, batch_tokens: 256, sequence: 64, precision: f32{own}}}
export: [{{type: f32}}]
audit: {{twin: none, tokens: 300}}
""")

    def test_a_recipe_has_a_phase_on_the_students_own_text(self):
        self.teacher = self.tiny_model("teacher", tokenizer=whole_tokenizer())
        own = "tokens: 600, prompt_tokens: 8, new_tokens: 16"
        self.ok("run", self.recipe(own), "--runs", "whole")
        run = self.dir / "whole/own"
        phase = json.loads((run / "student/train.json").read_text())["on_policy"]
        self.assertEqual(phase["loss"].split(":")[0], "jsd")
        self.assertGreaterEqual(phase["tokens"], 300)
        whole = self.ok_json("ledger", "verify", run)
        self.assertEqual([(j["ledger"], j["matches_run"]) for j in (whole, *whole["others"])],
                         [(str(run / name), True) for name in ("ledger.jsonl", "on_policy/ledger.jsonl")])
        self.assertEqual(whole["others"][0]["positions"], sum(line.get("rows", 0) for line in self.metrics(run / "on_policy")))
        ledger = run / "on_policy/ledger.jsonl"
        lines = ledger.read_bytes().splitlines(keepends=True)
        ledger.write_bytes(b"".join(lines[:-1]))
        self.refused(INPUT, "ledger", "verify", run, says=("on_policy/ledger.jsonl", "cut or exchanged"))
        ledger.unlink()
        self.refused(INPUT, "ledger", "verify", run, says=("on_policy/ledger.jsonl", "is not there"))
        r = self.run_program("run", self.recipe(own), "--runs", "killed", env={"RETORT_CRASH_AT": "train.step:6"})
        self.assertEqual(r.returncode, -9)
        self.ok("run", self.recipe(own), "--runs", "killed")
        model = "student/model.safetensors"
        self.assertEqual((run / model).read_bytes(), (self.dir / "killed/own" / model).read_bytes())
        positions = self.ok_json("ledger", "verify", "killed/own")["others"][0]["positions"]
        self.ok("run", self.recipe(own.replace("600", "400")), "--runs", "killed")
        changed = self.ok_json("ledger", "verify", "killed/own")
        self.assertEqual([(j["ledger"].rsplit("/", 1)[1], j["matches_run"]) for j in changed["others"]], [("ledger-1.jsonl", False), ("ledger.jsonl", True)])
        self.assertEqual(changed["others"][0]["positions"], positions)

    def test_a_budget_leaves_lengths_that_the_recipe_gives(self):
        self.teacher = self.tiny_model("teacher", tokenizer=whole_tokenizer())
        self.ok("run", self.recipe("tokens: 600, prompt_tokens: 8, new_tokens: 16"), "--set", "budget=1m")
        run = self.dir / "runs/own"
        self.assertGreater(json.loads((run / "run.json").read_text())["plan"]["own_token_seconds"], 0)
        config = [self.metrics(folder)[0]["config"] for folder in (run, run / "on_policy")]
        self.assertEqual([(c["tokens"], c["budget"]) for c in config], [(800, 0), (600, 0)])

    def test_the_dry_run_counts_the_phase(self):
        self.teacher = self.tiny_model("teacher", tokenizer=whole_tokenizer())
        dry = ("run", self.recipe("tokens: 600, prompt_tokens: 8, new_tokens: 16"), "--dry-run")
        plan = self.ok_json(*dry)
        self.assertEqual((plan["train_tokens"], plan["on_policy_tokens"]), (800, 600))
        pace = plan["pace"]
        self.assertAlmostEqual(plan["seconds"]["on_policy"], 600 * pace["own_token_seconds"], places=9)
        self.assertGreater(pace["own_token_seconds"], 1 / pace["step_tokens_per_s"] + 1 / pace["teacher_tokens_per_s"])
        self.assertIn("own text: about 600 tokens", self.ok(*dry).decode())
        self.assertNotIn("on_policy_tokens", self.ok_json("run", self.recipe(), "--dry-run"))

    def test_a_recipe_without_it_has_no_such_phase(self):
        self.teacher = self.tiny_model("teacher", tokenizer=whole_tokenizer())
        self.ok("run", self.recipe(), "--runs", "plain")
        self.assertFalse((self.dir / "plain/own/on_policy").exists())
        self.assertNotIn("on_policy", json.loads((self.dir / "plain/own/student/train.json").read_text()))

    def test_a_phase_that_cannot_be_is_refused(self):
        self.teacher = self.tiny_model("teacher", tokenizer=whole_tokenizer())
        for own, says in (("loss: ce", "its own words"), ("temperature: 99", "temperature"), ("refresh: 0", "refresh"), ("loss: kl", "'kl' is no loss")):
            with self.subTest(own):
                self.refused(USAGE, "run", self.recipe(own), "--dry-run", says=says)

    def test_what_cannot_be_minimised_is_refused(self):
        self.collected("--draws", 4)
        for code, options, says in (
            (INPUT, ("--loss", "reverse_kl"), ("'reverse_kl'", "'sample' targets hold draws", "collect 'topk'")),
            (INPUT, ("--loss", "forward_kl", "--temperature", 2), "made at temperature 1"),
            (USAGE, ("--loss", "kl"), ("option '--loss'", "'kl' is no loss", "forward_kl")),
            (USAGE, ("--loss", "ce:0.1:mix=2"), "'mix=2' says nothing about loss 'ce'"),
            (USAGE, ("--loss", "forward_kl,hidden_mse"), ("'hidden_mse' needs the teacher's states", "collect 'hidden'")),
            (USAGE, ("--sequence", 64), "'cache' was cut when it was collected"),
            (USAGE, ("--optimizer", "sgd"), ("option '--optimizer'", "'sgd' is not one of adamw, muon")),
        ):
            with self.subTest(options):
                self.refused(code, "train", self.teacher, "--cache", "cache", "--steps", 3, "-o", "none", *options, says=says)


if __name__ == "__main__":
    main()
