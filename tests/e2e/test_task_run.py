"""A recipe with prompts from end to end on a tiny model: answers are written, filtered and trained on with the prompt masked,
and every model is scored on held-out rows that nobody trained on."""
import hashlib
import json
import os
import sys

sys.path.insert(0, os.path.join(os.environ["RETORT_SOURCE"], "tests", "cli"))
from program import INPUT, USAGE, ProgramTest, main, whole_tokenizer  # noqa: E402

HELD_OUT = 5
RECIPE = """
name: tiny
teacher: {model: tiny}
data:    {prompts: [train.jsonl], held_out: [test.jsonl], valid: [valid.jsonl]}
answers: {n: 3, temperature: 1, top_p: 0, new_tokens: 8, filter: {finished: false, repetition: 1, VERIFIER}}
collect: {draws: 4}
student: {keep: [0, 2]}
train:   {tokens: 400, batch_tokens: 200, sequence: 64}
export:  [{type: f32}]
audit:   {tokens: 200, twin: ce}
"""
SHORT = "name: short\nlike: answers\nmax_tokens: 8\n"
# Every third answer is a bad one.
CHECK = "import json, sys\nfor n, line in enumerate(sys.stdin):\n    row = json.loads(line)\n" \
        "    assert row['gold'] is not None and row['id'] and row['prompt']\n    print('false' if n % 3 == 0 else 'true')\n"


class TaskRun(ProgramTest):
    def setUp(self):
        super().setUp()
        self.tiny_model(tokenizer=whole_tokenizer())
        self.write("valid.jsonl", json.dumps({"id": "v", "origin": "made up", "text": "The river bends and the lamp burns. " * 8}) + "\n")
        self.write_lines("train.jsonl", [{"id": f"q{i}", "origin": "made up", "prompt": f"Sum of {i} and {i + 1}: ", "answer": 2 * i + 1}
                                         for i in range(24)])
        self.write_lines("test.jsonl", [{"id": f"t{i}", "prompt": f"Sum of {i} and {i + 2}: ", "answer": str(2 * i + 2)}
                                        for i in range(HELD_OUT)])
        self.write("check.py", CHECK)
        self.recipe()

    def recipe(self, verifier="", name="recipe.yaml", **replace):
        text = RECIPE.replace("VERIFIER", f"verifier: '{verifier}'" if verifier else "distinct: true")
        for old, new in replace.items():
            text = text.replace(old, new)
        return self.write(name, text)

    def rows(self, *path):
        return [json.loads(line) for line in self.dir.joinpath(*path).read_text().splitlines()]

    def facts(self, *path):
        return json.loads(self.dir.joinpath(*path).read_text())

    def test_leaves_what_was_promised(self):
        self.ok("run", "recipe.yaml")
        run = "runs/tiny"
        asked, counts = self.facts(run, "answers/asked.json"), self.facts(run, "answers/filter.json")
        self.assertEqual((asked["given"], asked["asked"], asked["answers"]), (24, 24, 72))
        self.assertEqual(counts["kept"] + sum(counts["dropped"].values()), 72)
        kept = self.rows(run, "answers/kept.jsonl")
        self.assertEqual(len(kept), counts["kept"])
        self.assertTrue(all(row["origin"].startswith("written by tiny") for row in kept))
        self.ok("ledger", "verify", f"{run}/answers/ledger.jsonl")
        # the prompt is masked: targets are the answer's bytes and, where the teacher ended it, the end
        answered = sum(len(row["answer"].encode()) + row["end"] for row in kept)
        self.assertEqual(self.facts(run, "collect.json")["positions"], answered)
        # of what the teacher wrote the twin is made too, and its card says whose that is
        card = self.dir.joinpath(run, "twin/README.md").read_text()
        self.assertIn("what the teacher says", card)
        # every model on every row, with the best constant answer, a twin and the untrained cut beside the student
        held_out = self.facts(run, "audit/answers.json")
        self.assertEqual([m["id"] for m in held_out["models"]], ["constant", "teacher", "student", "twin", "cut"])
        constant, teacher, student = held_out["models"][:3]
        self.assertEqual(constant["metrics"]["exact_match"]["value"], 1 / HELD_OUT)
        self.assertEqual({m["metrics"]["f1"]["n"] for m in held_out["models"]}, {HELD_OUT})
        self.assertEqual(set(student["beside"]), {"teacher", "constant", "twin"})
        self.assertNotIn("teacher", teacher["beside"])
        self.assertEqual({row["metric"]: row["n"] for row in student["beside"]["teacher"]["rows"]}, {"exact_match": HELD_OUT, "f1": HELD_OUT})
        self.assertEqual(set(held_out["examples"][0]["outputs"]), {"teacher", "student", "twin", "cut"})
        for model in self.facts(run, "audit/models.json")["models"]:
            self.assertEqual([d["order"] for d in model["distinct"]], [1, 2, 3][:len(model["distinct"])])
            self.assertTrue(all(0 < d["mean"] <= 1 and d["n"] == 1 for d in model["distinct"]))
        variety = self.facts(run, "report.json")["variety"]
        self.assertEqual([(row["name"], row["margin"], row["verdict"]) for row in variety["rows"]],
                         [(f"distinct-{n}", 0.05, "open") for n in (1, 2, 3)][:len(variety["rows"])])
        page = self.dir.joinpath(run, "report.html").read_text()
        for words in ("The task", "best constant answer", "Beside twin", "cut, not trained", "Left out because held out", "Variety of what is written"):
            self.assertIn(words, page)
        # the same from the command line
        again = self.ok_json("eval", f"{run}/student", "--task", "answers", "--data", f"{run}/answers/held_out.jsonl")
        self.assertEqual(again["chance"], 1 / HELD_OUT)
        self.assertEqual(set(again["metrics"]), {"exact_match", "f1"})

    def test_a_harmful_row_is_nobodys_example(self):
        secret = "Sum of 77 and 79: "
        self.write_lines("test.jsonl", [{"id": "t0", "prompt": secret, "answer": "a secret answer", "harmful": True},
                                        {"id": "t1", "prompt": "Sum of 5 and 7: ", "answer": "12"}])
        self.ok("run", "recipe.yaml")
        self.ok("report", "runs/tiny", "--format", "md")
        first = self.facts("runs/tiny/report.json")["answers"]["held_out"]["examples"][0]
        self.assertEqual(first, {"harmful": True, "outputs": {}})
        for name in ("report.json", "report.html", "report.md"):
            with self.subTest(name):
                text = self.dir.joinpath("runs/tiny", name).read_text()
                self.assertNotIn(secret.strip(), text)
                self.assertNotIn("a secret answer", text)

    def answers_of(self, *args):
        """What a model says to the rows when none of them is harmful; its rows of --items."""
        out = self.dir / "open.jsonl"
        out.unlink(missing_ok=True)
        self.ok("eval", *args, "--items", out)
        return self.rows("open.jsonl")

    def nowhere(self, texts, folder):
        """In no file of the folder, neither as it is nor as JSON spells it."""
        files = [p for p in self.dir.joinpath(folder).rglob("*") if p.is_file()]
        self.assertGreater(len(files), 1)
        for path in files:
            for text in texts:
                for spelled in (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
                    self.assertNotIn(spelled.encode(), path.read_bytes(), path)

    def test_what_is_said_to_a_harmful_row_is_in_no_file(self):
        rows = [{"id": f"t{i}", "prompt": f"Sum of {i} and {i + 2}: ", "answer": str(2 * i + 2)} for i in range(3)]
        self.write_lines("open_rows.jsonl", rows)
        self.write_lines("test.jsonl", [row | {"harmful": True} for row in rows])
        self.write_lines("valid.jsonl", [{"id": f"v{i}", "origin": "made up", "harmful": i == 0, "text": f"{word} bends and the lamp burns. " * 8}
                                         for i, word in enumerate(("Deep river", "Old stone"))])
        self.write("short.yaml", SHORT)
        self.ok("run", "recipe.yaml")
        run = "runs/tiny"
        said = {}
        for name, model in (("teacher", "tiny"), ("student", f"{run}/student")):
            said[name] = self.answers_of(model, "--task", "short.yaml", "--data", "open_rows.jsonl")
            judged = self.facts(run, f"audit/answers-{name}.json")
            for shown, hidden in zip(said[name], judged):
                self.assertEqual(hidden["metrics"], shown["metrics"])
                self.assertEqual(hidden["answer_sha256"], hashlib.sha256(shown["answer"].encode()).hexdigest())
                self.assertEqual(hidden["answer_bytes"], len(shown["answer"].encode()))
                self.assertTrue(hidden["harmful"] and "answer" not in hidden)
        texts = [row["answer"] for rows in said.values() for row in rows]
        self.assertTrue(all(len(text) > 5 for text in texts))
        self.nowhere(texts, run)
        self.assertNotIn("Deep river", self.dir.joinpath(run, "report.json").read_text())
        # files of a command, and what it goes on from
        args = ("eval", "tiny", "--task", "short.yaml", "--data", "test.jsonl", "--items", "out/items.jsonl")
        self.dir.joinpath("out").mkdir()
        first = self.ok_json(*args, "--lm-eval-dir", "out/harness")
        kept = self.dir.joinpath("out/items.jsonl").read_bytes()
        self.assertEqual(self.ok_json(*args)["metrics"], first["metrics"])
        self.assertEqual(self.dir.joinpath("out/items.jsonl").read_bytes(), kept)
        self.ok("audit", "tiny", "--against", "tiny", "--task", "short.yaml=test.jsonl", "--save", "out/saved")
        self.nowhere(texts, "out")
        self.nowhere([row["prompt"].strip() for row in rows], "out/harness")
        self.dir.joinpath("out/items.jsonl").write_bytes(kept.replace(b"answer_sha256", b"answer"))
        self.refused(INPUT, *args, says="worth")
        # what was judged by an answer that has been corrected since
        self.dir.joinpath("out/items.jsonl").write_bytes(kept)
        self.write_lines("test.jsonl", [row | {"harmful": True} for row in rows[:2]] + [rows[2] | {"harmful": True, "answer": "7"}])
        self.refused(INPUT, *args, says="line 3 is an item of another")

    def test_rows_of_a_task_declared_harmful_leave_no_text(self):
        """Nor in the harness's files, which stay whole; a row may say that it is not."""
        rows = [{"id": f"t{i}", "prompt": f"Sum of {i} and {i + 2}: ", "answer": f"that is {2 * i + 2}"} for i in range(3)]
        self.write_lines("rows.jsonl", [row | ({"harmful": False} if i == 1 else {}) for i, row in enumerate(rows)])
        self.write("open.yaml", SHORT)
        self.write("harmful.yaml", SHORT + "harmful: true\n")
        files, said = {}, self.answers_of("tiny", "--task", "open.yaml", "--data", "rows.jsonl")
        for name in ("open", "harmful"):
            self.dir.joinpath(name).mkdir()
            self.ok("eval", "tiny", "--task", f"{name}.yaml", "--data", "rows.jsonl", "--lm-eval-dir", f"{name}/harness", "--items", f"{name}/items.jsonl")
            path, = self.dir.joinpath(name, "harness").glob("samples_*.jsonl")
            files[name] = [json.loads(line) for line in path.read_text().splitlines()]
        shut = [0, 2]
        self.nowhere([rows[i][key].strip() for i in shut for key in ("prompt", "answer")] + [said[i]["answer"] for i in shut], "harmful")
        self.assertEqual(files["harmful"][1], files["open"][1])
        texts = {"doc", "target", "arguments", "resps", "filtered_resps"}
        for i in shut:
            kept, hidden = files["open"][i], files["harmful"][i]
            self.assertEqual({k: v for k, v in hidden.items() if k not in texts}, {k: v for k, v in kept.items() if k not in texts})
            note = hidden["target"]
            self.assertEqual(hidden["doc"], {"id": f"t{i}", "harmful": True})
            self.assertEqual(hidden["arguments"], {"gen_args_0": {"arg_0": note}})
            self.assertEqual((hidden["resps"], hidden["filtered_resps"]), ([[note]], [note]))

    def test_killed_in_any_stage_it_goes_on_to_the_same_bits(self):
        self.ok("run", "recipe.yaml", "--runs", "whole")
        for point in ("write.file:1", "flow.stage:1", "flow.stage:2"):
            with self.subTest(point):
                runs = "killed-" + point.replace(":", "-")
                self.assertEqual(self.run_program("run", "recipe.yaml", "--runs", runs, env={"RETORT_CRASH_AT": point}).returncode, -9)
                self.ok("run", "recipe.yaml", "--runs", runs)
                for name in ("answers/answers.jsonl", "answers/kept.jsonl", "student/model.safetensors"):
                    self.assertEqual(self.dir.joinpath(runs, "tiny", name).read_bytes(), self.dir.joinpath("whole/tiny", name).read_bytes(), name)

    def test_another_filter_does_not_ask_the_teacher_again(self):
        self.ok("run", "recipe.yaml")
        written = self.dir.joinpath("runs/tiny/answers/answers.jsonl")
        before = written.stat().st_mtime_ns
        more = self.ok_json("run", "recipe.yaml", "--set", "answers.filter.max_tokens=7")
        self.assertEqual(written.stat().st_mtime_ns, before)
        self.assertEqual({s["state"] for s in more["stages"]}, {"done"})
        self.ok("run", "recipe.yaml", "--set", "answers.n=2")
        self.assertEqual(len(self.rows("runs/tiny/answers/answers.jsonl")), 48)
        self.ok("ledger", "verify", "runs/tiny/answers/ledger-1.jsonl")  # what it was made to say before stays on record

    def test_the_users_command_judges_and_its_failures_are_named(self):
        bad = {"exit 4": "status 4", "head -n 1 >/dev/null; echo true": "gave 1 verdicts on", "sed s/.*/perhaps/": "not true or false",
               "kill -9 $$": "signal 9", "sed p | sed s/.*/true/": "more than"}
        for command, says in bad.items():
            with self.subTest(command):
                self.recipe(command)
                self.refused(INPUT, "run", "recipe.yaml", says=(command, says))
        self.recipe("sleep 30", **{"finished: false": "finished: false, verifier_time: 0.2s"})
        self.refused(INPUT, "run", "recipe.yaml", says=("sleep 30", "more than 0.2 s"))
        self.recipe("python3 check.py")
        self.ok("run", "recipe.yaml")
        counts = self.facts("runs/tiny/answers/filter.json")
        judged = len(self.rows("runs/tiny/answers/verify.jsonl"))
        self.assertEqual(counts["dropped"]["verifier"], (judged + 2) // 3)

    def test_right_answers_only(self):
        self.recipe("exact")
        self.refused(INPUT, "run", "recipe.yaml", says=("no answer is left", "verifier"))  # it cannot add
        self.write_lines("train.jsonl", [{"prompt": f"Sum of {i} and {i + 1}: "} for i in range(24)])
        self.refused(INPUT, "run", "recipe.yaml", says=("prompts.jsonl:1", "right answer"))

    def test_held_out_rows_are_not_trained_on(self):
        long = "one two three four five six seven eight nine ten eleven twelve"
        train = [{"id": f"q{i}", "prompt": f"Sum of {i} and {i + 1}: "} for i in range(20)]
        train += [{"id": "t0", "prompt": "Another text."}, {"id": "q90", "prompt": "sum of 3  AND 5:"},
                  {"id": "q91", "prompt": f"Say {long} once more: "}]
        test = self.rows("test.jsonl") + [{"id": "t9", "prompt": f"Write it down: say {long}!", "answer": "x"}]
        self.write_lines("train.jsonl", train)
        self.write_lines("test.jsonl", test)
        self.dir.joinpath("more").mkdir()
        self.write_lines("more/train.jsonl", [{"prompt": "Sum of 30 and 31: "}])
        self.write_lines("train.jsonl", [{"prompt": "Sum of 40 and 41: "}] + train[1:])
        self.ok("run", "recipe.yaml", "--set", "answers.n=1", "--set", "data.prompts=[train.jsonl, more/train.jsonl]")
        ids = [row["id"] for row in self.rows("runs/tiny/answers/prompts.jsonl")]
        self.assertEqual((ids[0], ids[-1]), ("train.jsonl:1", "train.jsonl#2:1"))
        asked = self.facts("runs/tiny/answers/asked.json")
        self.assertEqual(asked["excluded"], {"id": 1, "text": 1, "words": 1})
        self.assertEqual((asked["given"], asked["asked"]), (24, 21))
        self.assertNotIn("Another text.", self.dir.joinpath("runs/tiny/answers/prompts.jsonl").read_text())
        self.write_lines("book.jsonl", [{"text": f"And then: say {long}, he said."}])
        r = self.run_program("run", "recipe.yaml", "--set", "answers.n=1", "--set", "data.text=[book.jsonl]",
                             "--set", "data.prompts=[train.jsonl, more/train.jsonl]")
        self.assertEqual(r.returncode, INPUT)
        for words in ("answers: done before, unchanged", "book.jsonl' line 1"):  # the teacher is not asked again
            self.assertIn(words, r.stderr.decode())
        self.write_lines("train.jsonl", test)
        self.refused(INPUT, "run", "recipe.yaml", "--runs", "none", says="no prompt is left")
        self.write_lines("train.jsonl", train)
        self.write_lines("book.jsonl", [{"text": f"And then: say {long}, he said."}])
        self.refused(INPUT, "run", "recipe.yaml", "--runs", "book", "--set", "data.text=[book.jsonl]", says=("book.jsonl' line 1", "held-out"))

    def test_items_that_stand_among_the_prompts_are_counted(self):
        asked = "which of these fourteen words would you say is the one that nobody wrote"
        self.write_lines("train.jsonl", self.rows("train.jsonl") + [{"id": "q99", "prompt": asked}])
        self.write_lines("quiz.jsonl", [{"id": str(i), "question": text, "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"}
                                        for i, text in enumerate((asked, "and what would be a question of many words that no prompt has ever asked"))])
        self.ok("run", "recipe.yaml", "--set", "answers.n=1", "--set", "audit.tasks=[arc_easy=quiz.jsonl]", "--set", "train.sequence=128")
        gap = self.facts("runs/tiny/report.json")["gap"]
        self.assertEqual([(c["items"], c["checked"], c["found"]) for c in gap["contamination"]], [(2, 2, 1)])
        self.assertEqual(gap["trained_for"], [{"task": "arc_easy", "how": "items found"}])
        self.assertIn("Of the kind it was trained on: arc_easy (items found).", self.dir.joinpath("runs/tiny/report.html").read_text())

    def test_benchmarks_of_the_training_s_kind_are_named(self):
        quiz = [{"id": str(i), "question": f"{i}?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"} for i in range(2)]
        self.write_lines("quiz.jsonl", quiz)
        self.write_lines("arc_challenge-train.jsonl", [{"id": f"o{i}", "origin": "made up", "prompt": f"What is {i}? "} for i in range(9)])
        args = ("run", "recipe.yaml", "--set", "answers.n=1", "--set", "data.prompts=[train.jsonl, arc_challenge-train.jsonl]",
                "--set", "audit.tasks=[arc_easy=quiz.jsonl, arc_challenge=quiz.jsonl]")
        self.refused(USAGE, *args, "--set", "audit.seen=[piqa]", says=("'piqa' is none of 'audit.tasks'",))
        for sets, trained_for in (((), [{"task": "arc_challenge", "how": "file name"}]), (("--set", "audit.seen=[]"), []),
                                  (("--set", "audit.seen=[arc_easy]"), [{"task": "arc_easy", "how": "declared"}])):
            with self.subTest(sets):
                self.ok(*args, *sets)
                self.assertEqual(self.facts("runs/tiny/report.json")["gap"]["trained_for"], trained_for)

    def test_own_text_goes_on_from_no_row_that_is_measured_on(self):
        self.write_lines("own.jsonl", [{"prompt": "Another text."}, {"prompt": "sum of 3  AND 5"}])
        self.refused(INPUT, "run", "recipe.yaml", "--set", "train.on_policy.fraction=0.5", "--set", "train.on_policy.prompts=[own.jsonl]",
                     says=("own.jsonl' line 2", "test.jsonl' line 4 (the same text)"))

    def test_the_plan_says_how_long_answers_take(self):
        plan = self.ok_json("run", "recipe.yaml", "--dry-run")
        self.assertEqual(plan["prompts"], 24)
        self.assertGreater(plan["seconds"]["answers"], 0)
        self.assertFalse(self.dir.joinpath("runs").exists())


class Conversation(ProgramTest):
    def test_turns_are_formed_alike_when_written_trained_and_scored(self):
        tokenizer = json.dumps(whole_tokenizer())
        for spare, mark in ("<|spare257|>", "<|im_start|>"), ("<|spare258|>", "<|im_end|>"):
            tokenizer = tokenizer.replace(spare, mark)
        self.tiny_model(tokenizer=tokenizer)
        self.write("valid.jsonl", json.dumps({"id": "v", "text": "The river bends and the lamp burns. " * 8}) + "\n")
        self.write_lines("train.jsonl", [{"id": f"q{i}", "messages": [{"role": "user", "content": f"Sum {i}?"}]} for i in range(12)])
        self.write_lines("test.jsonl", [{"messages": [{"role": "user", "content": f"Add {i}?"}, {"role": "assistant", "content": str(i)}]}
                                        for i in range(3)])
        recipe = RECIPE.replace("VERIFIER", "distinct: true").replace("collect: {", "collect: {template: chatml, ")
        self.write("recipe.yaml", recipe)
        self.ok("run", "recipe.yaml", "--set", "train.sequence=128")
        kept = [json.loads(line) for line in self.dir.joinpath("runs/tiny/answers/kept.jsonl").read_text().splitlines()]
        self.assertEqual([m["role"] for m in kept[0]["messages"]], ["user", "assistant"])
        answered = sum(len(row["messages"][1]["content"].encode()) + 1 for row in kept)  # and the token that ends the turn
        self.assertEqual(json.loads(self.dir.joinpath("runs/tiny/collect.json").read_text())["positions"], answered)
        held_out = json.loads(self.dir.joinpath("runs/tiny/audit/answers.json").read_text())
        self.assertEqual(held_out["examples"][1]["gold"], "1")


if __name__ == "__main__":
    main()
