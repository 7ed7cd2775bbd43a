"""Low-rank students: what is trained, what is written, what the merged model is, and going on after a kill."""
import json

import st
from program import USAGE, ProgramTest, main, whole_tokenizer


class Lora(ProgramTest):
    def setUp(self):
        super().setUp()
        self.tiny_model("teacher", tokenizer=whole_tokenizer())
        self.texts(n=24)
        self.ok("collect", "teacher", "--text", "text.jsonl", "-o", "cache", "--draws", 4)
        self.ok("init", "teacher", "-o", "base", "--keep", "0,2")

    def train(self, run, *options, **more):
        return self.run_program("train", "base", "--cache", "cache", "--steps", 6, "--batch-tokens", 256, "--lr", 0.01, "--lora",
                                "rank=4,alpha=12,targets=q,v,down", "-o", run, *options, **more)

    def test_the_student_is_the_base_with_the_adapter_merged(self):
        r = self.train("run")
        self.assertEqual(r.returncode, 0, r.stderr)
        base, merged = st.load(self.dir / "base/model.safetensors"), st.load(self.dir / "run/student/model.safetensors")
        adapter = st.load(self.dir / "run/adapter/adapter_model.safetensors")
        config = json.loads((self.dir / "run/adapter/adapter_config.json").read_text())
        self.assertEqual((config["r"], config["lora_alpha"], config["target_modules"]), (4, 12, ["q_proj", "v_proj", "down_proj"]))
        self.assertEqual(len(adapter), 2 * 3 * 2)
        for name, (shape, values) in base.items():
            stem = "base_model.model." + name.removesuffix(".weight")
            if stem + ".lora_A.weight" not in adapter:
                self.assertEqual(merged[name][1], values, name)
                continue
            (_, a), (_, b) = adapter[stem + ".lora_A.weight"], adapter[stem + ".lora_B.weight"]
            rows, columns = shape
            self.assertGreater(st.norm(b), 0)
            want = [values[r * columns + c] + 3 * sum(b[r * 4 + k] * a[k * columns + c] for k in range(4))
                    for r in range(rows) for c in range(columns)]
            self.assertLess(st.largest_difference(merged[name][1], want), 1e-6, name)
        self.ok("export", "run/student", "-o", "merged.gguf", "--type", "f32")
        self.assertIn("teacher", (self.dir / "run/adapter/README.md").read_text())
        metrics = [json.loads(line) for line in (self.dir / "run/metrics.jsonl").read_text().splitlines()]
        self.assertEqual(metrics[0]["config"]["parameters"], sum(len(v) for _, v in adapter.values()))

    def test_killed_it_goes_on_with_the_same_bits(self):
        self.assertEqual(self.train("whole", "--checkpoint-steps", 2).returncode, 0)
        self.assertNotEqual(self.train("killed", "--checkpoint-steps", 2, env={"RETORT_CRASH_AT": "train.after_checkpoint:2"}).returncode, 0)
        self.assertEqual(self.train("killed", "--checkpoint-steps", 2, "--threads", 1).returncode, 0)
        for name in ("adapter/adapter_model.safetensors", "student/model.safetensors"):
            self.assertEqual((self.dir / "whole" / name).read_bytes(), (self.dir / "killed" / name).read_bytes())

    def test_a_checkpoint_holds_no_frozen_weights(self):
        self.assertEqual(self.train("run").returncode, 0)
        (newest,) = list((self.dir / "run/checkpoints").glob("step-*6.safetensors"))
        self.assertTrue(all("lora_" in name for name in st.load(newest)))

    def test_a_recipe_trains_an_adapter(self):
        recipe = self.write("lora.yaml", """
teacher: {model: teacher}
data: {text: [text.jsonl], valid: [text.jsonl]}
student: {from: base, init: model, adapter: {rank: 2, targets: [q, up]}}
collect: {draws: 4}
train: {tokens: 1k, batch_tokens: 256, sequence: 128}
export: [{type: f32}]
audit: {tokens: 400}
""")
        self.ok("run", recipe)
        self.assertEqual(len(st.load(self.dir / "runs/lora/student/adapter/adapter_model.safetensors")), 2 * 2 * 2)
        self.refused(USAGE, "run", recipe, "--set", "student.adapter.targets=[head]", says=("student.adapter.targets", "'head'"))

    def own_text(self, run, *options, **more):
        return self.run_program("train", "base", "--teacher", "teacher", "--text", "text.jsonl", "--on-policy", 0.5, "--loss", "reverse_kl",
                                "--steps", 6, "--batch-tokens", 256, "--sequence", 64, "--prompt-tokens", 8, "--new-tokens", 16, "--lr", 0.01,
                                "--lora", "rank=4,targets=q,v,down", "--checkpoint-steps", 2, "-o", run, *options, **more)

    def test_an_adapter_learns_on_what_it_writes_itself(self):
        self.assertEqual(self.own_text("whole").returncode, 0)
        base, merged = (st.load(self.dir / f"{m}/model.safetensors") for m in ("base", "whole/student"))
        moved = {name.split(".")[-2] for name, (_, values) in base.items() if merged[name][1] != values}
        self.assertEqual(moved, {"q_proj", "v_proj", "down_proj"})
        lines = [json.loads(line) for line in (self.dir / "whole/metrics.jsonl").read_text().splitlines()]
        self.assertEqual(sum(line.get("event") == "written" for line in lines), 6)
        ledger = self.ok_json("ledger", "verify", "whole/ledger.jsonl")
        self.assertEqual(ledger["positions"], sum(line["rows"] for line in lines if "loss" in line))
        self.assertEqual(self.own_text("killed", env={"RETORT_CRASH_AT": "train.step:5"}).returncode, -9)
        self.assertEqual(self.own_text("killed", "--threads", 1).returncode, 0)
        for name in ("adapter/adapter_model.safetensors", "student/model.safetensors"):
            self.assertEqual((self.dir / "whole" / name).read_bytes(), (self.dir / "killed" / name).read_bytes())

    def test_a_recipe_trains_an_adapter_on_its_own_text(self):
        recipe = self.write("own.yaml", """
teacher: {model: teacher}
data: {text: [text.jsonl]}
student: {from: base, init: model, adapter: {rank: 2, targets: [q, up]}}
collect: {draws: 4}
train: {tokens: 600, batch_tokens: 256, sequence: 64, precision: f32, on_policy: {fraction: 0.5, tokens: 600, prompt_tokens: 8, new_tokens: 16}}
export: [{type: f32}]
audit: {twin: none, tokens: 300}
""")
        self.ok("run", recipe)
        student = self.dir / "runs/own/student"
        self.assertEqual(len(st.load(student / "adapter/adapter_model.safetensors")), 2 * 2 * 2)
        self.assertGreaterEqual(json.loads((student / "train.json").read_text())["on_policy"]["tokens"], 300)
        base, merged = st.load(self.dir / "base/model.safetensors"), st.load(student / "model.safetensors")
        moved = {name.split(".")[-2] for name, (_, values) in base.items() if merged[name][1] != values}
        self.assertEqual(moved, {"q_proj", "up_proj"})

    def test_what_it_cannot_take_is_refused(self):
        for spec, says in (("rank=none", "rank=1..1024"), ("rank=4,targets=embed", "'embed' is no matrix")):
            self.refused(USAGE, "train", "base", "--cache", "cache", "--steps", 1, "-o", "none", "--lora", spec, says=says)


if __name__ == "__main__":
    main()
