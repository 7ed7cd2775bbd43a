"""Whatever is wrong: one line that names file, place and cause, the exit code of its kind, and nothing half-written."""
import json
import os
import shutil
import subprocess

from program import GOLDEN, INPUT, LICENCE, RESOURCE, RETORT, TEACHER, USAGE, ProgramTest, main

TINY = GOLDEN / "models/llama"


class BadModels(ProgramTest):
    """Every command that takes a model refuses what is none, in the same words."""

    def commands(self, model):
        ids, text = self.write_lines("ids.jsonl", [{"ids": [1, 2]}]), self.texts()
        return [("inspect", model), ("generate", model, "-p", "a"), ("logits", model, "--ids", ids, "-o", "out"), ("eval", model, "--text", text),
                ("export", model, "-o", "out"), ("init", model, "-o", "out", "--layers", 1), ("collect", model, "--text", text, "-o", "out"),
                ("train", model, "--cache", "cache", "--tokens", 10, "-o", "out"), ("bench", model)]

    def refused_by_all(self, model, says, but=()):
        for command in self.commands(model):
            if command[0] not in but:
                with self.subTest(command[0]):
                    self.refused(INPUT, *command, says=says)
                    self.assertFalse((self.dir / "out").exists(), "nothing is left behind")

    def test_a_missing_file(self):
        self.refused_by_all("none.gguf", ("'none.gguf'", "does not exist"))
        self.refused(INPUT, "tokenize", "none.gguf", says="none.gguf")

    def test_a_wrong_magic(self):
        with TEACHER.open("rb") as f:
            self.write("wrong.gguf", b"GGUX" + f.read(1000)[4:])
        self.refused_by_all("wrong.gguf", ("'wrong.gguf'", "neither a GGUF file"))
        self.refused(INPUT, "tokenize", "wrong.gguf", says=("'wrong.gguf'", "neither a GGUF file"))

    def test_a_file_cut_short(self):
        """At any place: in the header, in the metadata, in the directory, in the weights."""
        with TEACHER.open("rb") as f:
            whole = f.read(3_000_000)
        for size in (4, 20, 1000, 1_700_000, 1_780_000, 3_000_000):
            with self.subTest(size):
                self.write("cut.gguf", whole[:size])
                self.refused(INPUT, "inspect", "cut.gguf", says="'cut.gguf'")
        self.refused_by_all("cut.gguf", ("'cut.gguf'", "truncated?", "byte"), but=("train",))
        folder = self.tiny_model()
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:5000])
        self.refused(INPUT, "inspect", folder, says=("model.safetensors", "truncated?"))

    def test_a_folder_without_a_model(self):
        (self.dir / "empty").mkdir()
        self.refused_by_all("empty", ("'empty'", "config.json"))

    def test_a_folder_of_a_run_names_its_student(self):
        shutil.copytree(TINY, self.dir / "run/student")
        self.refused(INPUT, "export", "run", "-o", "out", says=("'run'", "config.json", "its student is 'run/student'"))

    def test_the_model_that_is_read_is_not_written_over(self):
        folder = self.tiny_model()
        before = (folder / "model.safetensors").read_bytes()
        weights = folder / "model.safetensors"
        for command in (("export", folder, "--type", "safetensors", "-o", folder), ("init", folder, "--keep", "0", "-o", f"{folder}/."),
                        ("export", weights, "--type", "safetensors", "-o", folder), ("export", folder, "-o", weights)):
            with self.subTest(command):
                self.refused(USAGE, *command, says=("would be overwritten", "another with -o"))
        self.assertEqual((folder / "model.safetensors").read_bytes(), before)

    def test_weights_without_their_configuration(self):
        shutil.copy(TINY / "model.safetensors", self.dir / "alone.safetensors")
        self.refused_by_all("alone.safetensors", ("'alone.safetensors'", "config.json"))

    def test_a_tensor_of_another_shape_is_named(self):
        folder = self.tiny_model()
        config = (folder / "config.json").read_text()
        self.write("tiny/config.json", config.replace('"intermediate_size": 160', '"intermediate_size": 192'))
        self.refused(INPUT, "logits", folder, "--ids", self.write_lines("ids.jsonl", [{"ids": [1]}]), "-o", "out",
                     says=("mlp", "160", "192"))

    def test_more_experts_a_token_than_any_model_has(self):
        folder = self.tiny_model(source="qwen3_moe")
        config = json.loads((folder / "config.json").read_text())
        self.write("tiny/config.json", {**config, "num_experts": 128, "num_experts_per_tok": 65})
        self.refused(INPUT, "inspect", folder, says=("experts used is 65", "expected 1 to 64"))

    def test_a_student_with_a_shorter_context_than_the_data(self):
        folder, text = self.tiny_model(), self.texts()
        self.ok("collect", folder, "--text", text, "-o", "cache", "--draws", 4, "--sequence", 128)
        short = self.tiny_model("short")
        config = json.loads((short / "config.json").read_text())
        self.write("short/config.json", {**config, "max_position_embeddings": 100})
        self.refused(INPUT, "train", short, "--cache", "cache", "--tokens", 1000, "-o", "run",
                     says=("sequences of 128 tokens", "student's context is 100"))
        self.assertFalse((self.dir / "run").exists())

    def test_a_model_with_another_vocabulary_is_no_teacher(self):
        """The reference over other tokens: probabilities cannot be compared."""
        folder, text = self.tiny_model(), self.texts()
        self.refused(INPUT, "eval", folder, "--text", text, "--against", TEACHER, says=("another tokenizer", TEACHER))
        self.ok("collect", folder, "--text", text, "-o", "cache", "--targets", "sample", "--draws", 4)
        other = self.tiny_model("other", source="qwen3")
        self.refused(INPUT, "train", other, "--cache", "cache", "--tokens", 1000, "-o", "run", says="vocabulary")
        self.assertEqual([f for f in self.files() if f.startswith("run/") and f.endswith(".safetensors")], [])


class Usage(ProgramTest):
    def test_an_unknown_command_names_the_nearest(self):
        self.refused(USAGE, "inspct", says=("'inspct'", "'inspect'"))
        self.refused(USAGE, "frobnicate", says=("'frobnicate'", "--help"))

    def test_no_command_shows_what_there_is(self):
        r = self.run_program()
        self.assertEqual((r.returncode, r.stdout), (USAGE, b""))
        self.assertIn(b"inspect", r.stderr)

    def test_an_unknown_option_names_the_nearest(self):
        self.refused(USAGE, "inspect", "x", "--tensor-s", says="did you mean '--tensors'?")
        self.refused(USAGE, "inspect", "x", "-z", says="'-z'")
        self.refused(USAGE, "inspect", "x", "--frobnicate", says="--help")
        self.refused(USAGE, "inspect", "x", "--json=yes", says="'--json' takes no value")
        self.refused(USAGE, "generate", "x", "-p", says="needs a value")

    def test_values_of_the_wrong_kind_are_quoted(self):
        self.refused(USAGE, "generate", "x", "-n", "many", says=("--n-predict", "'many'", "whole number"))
        self.refused(USAGE, "generate", "x", "--temp", "hot", says=("--temp", "'hot'", "number"))
        self.refused(USAGE, "train", "x", "--budget", "soon", says=("--budget", "'soon'", "8m"))
        self.refused(USAGE, "inspect", "x", "--threads", 9999, says=("--threads", "9999"))
        self.refused(USAGE, "inspect", "x", "--precision", "f8", says=("--precision", "'f8'"))

    def test_too_many_operands(self):
        self.refused(USAGE, "inspect", "a", "b", says="usage: retort inspect MODEL")
        self.refused(USAGE, "ledger", "sing", "a", says="'sing'")


class Licences(ProgramTest):
    def test_an_unknown_licence_refuses_until_someone_decides(self):
        folder, text = self.tiny_model(licence=None), self.texts()
        message = self.refused(LICENCE, "collect", folder, "--text", text, "-o", "cache", "--draws", 4, says=(folder, "unknown"))
        self.assertFalse((self.dir / "cache").exists())
        self.assertIn("missing", message)
        self.refused(LICENCE, "init", folder, "-o", "student", "--keep", "0,1", says="unknown")
        self.assertFalse((self.dir / "student").exists())
        self.ok("init", folder, "-o", "student", "--keep", "0,1", "--accept-licence", "missing", "--reason", "our own model")
        self.assertIn("our own model", (self.dir / "student/decisions.jsonl").read_text())

    def test_a_denial_is_not_overridden_by_a_decision(self):
        folder = self.tiny_model(licence="llama3")
        self.refused(LICENCE, "collect", folder, "--text", self.texts(), "-o", "cache", "--accept-licence", "llama3", "--reason", "please",
                     says=("denied", "--grant"))
        self.assertFalse((self.dir / "cache").exists())


class Recipes(ProgramTest):
    def recipe(self, text):
        return self.write("recipe.yaml", text)

    def test_an_unknown_key_is_named_with_its_place_and_the_nearest(self):
        path = self.recipe("name: x\nteacher: {model: tiny}\ndata: {text: [t.jsonl]}\nstudent:\n  layers: 2\ntrain:\n  lrr: 1e-3\n")
        self.refused(USAGE, "run", path, says=(f"{path}:7:3", "'lrr'", "'lr'"))
        self.assertEqual(self.files(), ["recipe.yaml"])

    def test_impossible_values_are_named_with_their_place(self):
        for line, words in [("  lr: fast", "'fast'"), ("  lr: 7", "7"), ("  schedule: wavy", "wsd"), ("  sequence: 1.5", "1.5")]:
            path = self.recipe(f"teacher: {{model: tiny}}\ndata: {{text: [t.jsonl]}}\nstudent: {{layers: 2}}\ntrain:\n{line}\n")
            with self.subTest(line):
                self.refused(USAGE, "run", path, says=(f"{path}:5:", words))

    def test_a_task_is_asked_once(self):
        rows = self.write_lines("q.jsonl", [{"question": "a", "passage": "b", "label": 1}])
        path = self.recipe(f"teacher: {{model: tiny}}\ndata: {{text: [{self.texts()}]}}\nstudent: {{layers: 2}}\n"
                           f"audit: {{tasks: [boolq={rows}, boolq={rows}]}}\n")
        self.refused(USAGE, "run", path, says=("'audit.tasks'", "'boolq' is given twice"))

    def test_an_argument_that_json_cannot_repeat(self):
        r = subprocess.run([RETORT, "export", self.tiny_model(), "-o", b"caf\xe9.gguf", "--json"], cwd=self.dir, capture_output=True)
        self.assertEqual(r.returncode, USAGE)
        self.assertIn(b"argument 3 is no UTF-8 text", r.stderr)
        self.assertEqual(list(self.dir.glob("*.gguf")), [])

    def test_required_keys_are_named(self):
        self.refused(USAGE, "run", self.recipe("name: x\n"), says="teacher")
        self.refused(INPUT, "run", "none.yaml", says="none.yaml")

    def test_broken_yaml_is_named_with_its_place(self):
        self.refused(USAGE, "run", self.recipe("a: [1, 2\nb: 3\n"), says="recipe.yaml:")

    def test_a_loss_the_targets_cannot_give_is_refused_before_collecting(self):
        text = "teacher: {model: tiny}\ndata: {text: [t.jsonl]}\nstudent: {layers: 2}\n"
        for train, collect, says in (
            ("loss: reverse_kl", "targets: sample", "'train.loss': loss 'reverse_kl' needs the teacher's probabilities"),
            ("loss: forward_kl, temperature: 2", "targets: sample", "made at temperature 1"),
            ("loss: forward_kl, temperature: 2", "targets: topk", "collect again at 2"),
            ("loss: [{kind: forward_kl, weight: 0}]", "targets: topk", "weight 0, expected a positive number"),
            ("loss: [{kind: lk}, {kind: ce, mix: 0.1}]", "targets: topk", "'mix' says nothing about loss 'ce'"),
            ("loss: [{kind: ce, smoothing: 0.1}, {kind: jsd, smoothing: 0.1}]", "targets: topk", "does not apply"),
            ("loss: [{kind: forward_kl}, {kind: hidden_mse}]", "targets: topk", "'hidden_mse' needs the teacher's states"),
            ("loss: [{kind: forward_kl, layers: true}]", "targets: topk", "'layers' says nothing about loss"),
            ("loss: [{kind: forward_kl, project: true}]", "targets: hidden", "'project' says nothing about loss"),
        ):
            path = self.recipe(f"{text}collect: {{{collect}}}\ntrain: {{{train}}}\n")
            self.refused(USAGE, "run", path, says=says)

    def test_set_takes_one_value_so_that_the_recipe_may_follow(self):
        path = self.recipe("teacher: {model: tiny}\ndata: {text: [t.jsonl]}\nstudent: {layers: 2}\n")
        self.refused(USAGE, "run", "--set", "train.lrr=1", path, says=("--set 'train.lrr=1'", "'lr'"))


class Texts(ProgramTest):
    def refused_text(self, name, content, says):
        self.write(name, content)
        self.refused(INPUT, "collect", "tiny", "--text", name, "-o", "cache", "--draws", 4, says=says)
        self.assertFalse((self.dir / "cache").exists())

    def test_texts_without_documents(self):
        self.tiny_model()
        self.refused_text("empty.jsonl", "", says="empty.jsonl")
        self.refused_text("blank.txt", "\n\n", says="blank.txt")
        self.refused_text("rows.jsonl", '{"id": "a"}\n', says="rows.jsonl")
        self.refused_text("broken.jsonl", '{"text": "a"}\n{"text": \n', says="broken.jsonl")
        self.refused(INPUT, "collect", "tiny", "--text", "none.jsonl", "-o", "cache", says="none.jsonl")
        self.refused(INPUT, "eval", "tiny", "--text", "empty.jsonl", says="empty.jsonl")


class Disks(ProgramTest):
    def outputs(self, out):
        ids, text = self.write_lines("ids.jsonl", [{"ids": list(range(100))}]), self.texts()
        if not (self.dir / "tiny").exists():
            self.tiny_model()
        return [("logits", "tiny", "--ids", ids, "-o", out), ("export", "tiny", "-o", out, "--type", "f32"),
                ("init", "tiny", "-o", out, "--keep", "0,1"), ("collect", "tiny", "--text", text, "-o", out, "--targets", "hidden")]

    def test_a_full_disk(self):
        """No file may grow beyond 4 kB. What is there afterwards is whole: no model, no temporary."""
        for command in self.outputs("out"):
            with self.subTest(command[0]):
                shutil.rmtree(self.dir / "out", ignore_errors=True)
                self.refused(RESOURCE, *command, file_size=4096, says="File too large")
                self.assertEqual([f for f in self.files() if ".tmp." in f or f.startswith("out/") and f.endswith((".safetensors", ".rtc"))], [])
                self.assertFalse((self.dir / "out").is_file())

    def test_a_full_standard_output(self):
        with open("/dev/full", "wb") as full:
            r = subprocess.run([RETORT, "inspect", TINY], stdout=full, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(r.returncode, RESOURCE)
        self.assertIn(b"writing standard output", r.stderr)

    def test_a_directory_that_may_not_be_written(self):
        commands = self.outputs("closed/out")
        (self.dir / "closed").mkdir()
        for path in [self.dir, *self.dir.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        self.addCleanup(lambda: [p.chmod(0o755) for p in [self.dir, *self.dir.rglob("*")] if p.is_dir()])
        for command in commands:
            with self.subTest(command[0]):
                self.refused(RESOURCE, *command, powerless=True, says=("closed", "Permission denied"))

    def test_a_directory_that_nobody_can_write(self):
        for command in self.outputs("/proc/out"):
            with self.subTest(command[0]):
                self.refused(RESOURCE, *command, says="/proc/out")

    def test_a_directory_that_is_not_there(self):
        ids = self.write_lines("ids.jsonl", [{"ids": [1]}])
        self.refused(RESOURCE, "logits", TINY, "--ids", ids, "-o", "none/out", says="none/out")

    def test_a_device_is_not_replaced_by_a_file(self):
        os.mkfifo(self.dir / "pipe")
        for target in ("/dev/null", "pipe"):
            for command in self.outputs(target):
                with self.subTest(f"{command[0]} {target}"):
                    self.refused(RESOURCE, *command, says=f"'{target}'")
        self.assertTrue((self.dir / "pipe").is_fifo())

    def test_what_was_there_stays_when_writing_fails(self):
        ids = self.write_lines("ids.jsonl", [{"ids": list(range(100))}])
        self.write("out", "precious")
        self.refused(RESOURCE, "logits", TINY, "--ids", ids, "-o", "out", file_size=4096)
        self.assertEqual((self.dir / "out").read_text(), "precious")


class Ledgers(ProgramTest):
    def test_a_changed_or_shortened_ledger_is_found_out(self):
        self.tiny_model()
        self.ok("collect", "tiny", "--text", self.texts(), "-o", "cache", "--draws", 4)
        ledger = self.dir / "cache/ledger.jsonl"
        j = self.ok_json("ledger", "verify", "cache")
        self.assertEqual((j["valid"], j["closed"], j["has_salts"], j["without_origin"]), (True, True, True, 0))
        self.assertGreater(j["outputs"], 0)
        lines = ledger.read_bytes().splitlines(keepends=True)
        ledger.write_bytes(b"".join(lines).replace(b'"positions":', b'"positions": ', 1))
        self.refused(INPUT, "ledger", "verify", ledger, says=("hash does not fit", "line"))
        ledger.write_bytes(b"".join(lines[:1] + lines[2:]))
        self.refused(INPUT, "ledger", "verify", ledger, says="line 2")
        ledger.write_bytes(b"".join(lines[:-1]))
        self.write("cache/run.json", {"ledger": {k: j[k] for k in ("entries", "outputs", "positions", "head")}})
        self.assertEqual(self.ok_json("ledger", "verify", ledger)["closed"], False)
        self.refused(INPUT, "ledger", "verify", "cache", says="cut or exchanged")

    def test_a_ledger_that_is_not_there(self):
        self.refused(INPUT, "ledger", "verify", "none", says="none")


if __name__ == "__main__":
    main()
