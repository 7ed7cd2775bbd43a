"""Texts the engine writes to prompts (retort collect --targets text), and conversations it is asked about."""
import json

from program import INPUT, USAGE, ProgramTest, main, whole_tokenizer


class Answers(ProgramTest):
    def setUp(self):
        super().setUp()
        self.model = self.tiny_model(tokenizer=whole_tokenizer())

    def command(self, out, n=70, things="rivers"):
        prompts = self.write_lines("prompts.jsonl", [{"id": f"q{i}", "prompt": f"Name {i} {things}."} for i in range(n)])
        return ["collect", self.model, "--targets", "text", "--prompts", prompts, "-n", 8, "-o", out]

    def outputs(self, out):
        ledger = (self.dir / out / "ledger.jsonl").read_text().splitlines()
        return sum(json.loads(line)["kind"] == "output" for line in ledger)

    def test_a_killed_run_goes_on_with_the_same_bytes(self):
        self.ok(*self.command("whole"))
        whole = (self.dir / "whole/answers.jsonl").read_bytes()
        self.assertEqual([json.loads(line)["id"] for line in whole.splitlines()], [f"q{i}" for i in range(70)])
        for point in ("write.ledger:1", "write.ledger:2", "write.file:1"):
            with self.subTest(point):
                out = point.replace(".", "-").replace(":", "-")
                self.assertEqual(self.run_program(*self.command(out), env={"RETORT_CRASH_AT": point}).returncode, -9)
                self.assertFalse((self.dir / out / "answers.jsonl").exists())
                self.ok(*self.command(out))
                self.assertEqual((self.dir / out / "answers.jsonl").read_bytes(), whole)
                self.ok("ledger", "verify", f"{out}/ledger.jsonl")
                self.assertEqual(self.outputs(out), 70)

    def test_a_folder_holds_the_answers_to_one_asking(self):
        r = self.run_program(*self.command("half"), env={"RETORT_CRASH_AT": "write.file:2"})
        self.assertEqual(r.returncode, -9)
        self.ok(*self.command("whole", n=10))
        for out, n, file in (("half", 70, "answers.part.jsonl"), ("whole", 10, "answers.jsonl")):
            with self.subTest(out):
                before = {name: (self.dir / out / name).read_bytes() for name in self.files(out)}
                says = (f"{out}/{file}", "asked for otherwise", "another folder")
                self.refused(INPUT, *self.command(out, n=n, things="lakes"), says=says)
                for option in (("--seed", 7), ("--temperature", 0.5), ("-n", 9)):
                    self.refused(INPUT, *self.command(out, n=n), *option, says=says)
                self.refused(INPUT, *self.command(out, n=5), says=(f"{out}/{file}", "these prompts need 5"))
                self.assertEqual({name: (self.dir / out / name).read_bytes() for name in self.files(out)}, before)
                self.ok(*self.command(out, n=n))
                self.assertEqual(self.outputs(out), n)

    def test_a_folder_of_before_that_was_said_goes_on_but_not_beyond_its_end(self):
        self.assertEqual(self.run_program(*self.command("out"), env={"RETORT_CRASH_AT": "write.ledger:2"}).returncode, -9)
        note = json.loads((self.dir / "out/answers.json").read_text())
        del note["asked"]
        self.write("out/answers.json", note)
        self.refused(INPUT, *self.command("out", n=10), says=("holds 32 answers", "need 10"))
        self.ok(*self.command("out"))
        self.assertEqual(self.outputs("out"), 70)

    def test_answers_to_a_prompt_read_it_once(self):
        j = self.ok_json(*self.command("several", n=6), "--answers", 3)
        self.assertEqual((j["answers"], j["written"]), (18, j["tokens"]))
        self.assertEqual(j["prompt_tokens_reused"], 2 * j["prompt_tokens_read"])

    def test_a_row_that_is_no_prompt_is_named(self):
        prompts = self.write_lines("bad.jsonl", [{"prompt": "Why?"}, {"question": "Why?"}])
        self.refused(INPUT, "collect", self.model, "--targets", "text", "--prompts", prompts, "-o", "out",
                     says=("bad.jsonl:2", "'prompt' or 'messages'"))
        talk = self.write_lines("talk.jsonl", [{"messages": [{"role": "assistant", "content": "Because."}]}])
        self.refused(INPUT, "collect", self.model, "--targets", "text", "--prompts", talk, "-o", "out", says=("talk.jsonl:1", "1 to 64 turns"))

    def test_options_of_writing_are_refused_where_the_teacher_reads(self):
        for options in (("--answers", 4), ("--n-predict", 8), ("--top-p", 0.9), ("--prompts", self.write_lines("p.jsonl", [{"prompt": "Why?"}]))):
            with self.subTest(options):
                self.refused(USAGE, "collect", self.model, "--text", self.texts(), "-o", "out", *options, says="go with --targets text")
        self.refused(USAGE, *self.command("out"), "--text", self.texts(), says=("--text", "answers --prompts alone"))
        self.refused(USAGE, *self.command("out"), "--tokens", "10k", says=("--tokens", "about documents"))


class Conversations(ProgramTest):
    """A model without a chat template: the form of the turns is named by whoever knows it."""

    def setUp(self):
        super().setUp()
        tokenizer = json.dumps(whole_tokenizer())
        for spare, mark in ("<|spare257|>", "<|im_start|>"), ("<|spare258|>", "<|im_end|>"):
            tokenizer = tokenizer.replace(spare, mark)
        self.model = self.tiny_model(tokenizer=tokenizer)
        self.talks = self.write_lines("talks.jsonl", [{"messages": [{"role": "user", "content": f"Name {i} rivers."},
                                                                    {"role": "assistant", "content": "The Rhine, at least."}]}
                                                      for i in range(24)])

    def test_collecting_takes_the_form_by_name(self):
        command = ["collect", self.model, "--text", self.talks, "--draws", 4, "-o", "cache"]
        self.refused(INPUT, *command, says=(f"'{self.model}' has no chat template", "chatml"))
        self.refused(USAGE, *command, "--template", "vicuna", says=("vicuna", "chatml"))
        found = self.ok_json(*command, "--template", "chatml")
        self.assertEqual(found["positions"], 24 * len("The Rhine, at least.") + 24)  # and the token that ends the turn

    def test_a_recipe_names_it_too(self):
        self.write("talk.yaml", f"teacher: {{model: {self.model}}}\ndata: {{text: [{self.talks}]}}\nstudent: {{keep: [0, 2]}}\n"
                                "collect: {draws: 4}\ntrain: {tokens: 600, sequence: 128}\n")
        self.refused(INPUT, "run", "talk.yaml", "--dry-run", says="chat template")
        self.ok("run", "talk.yaml", "--dry-run", "--set", "collect.template=chatml")


if __name__ == "__main__":
    main()
