"""A recipe whose teacher is larger than the memory it may take, or takes longer than a day."""
import hashlib
import json
import re
import struct

from program import RESOURCE, USAGE, ProgramTest, main, whole_tokenizer

RECIPE = """
teacher: {model: large}
data: {text: [text.jsonl], valid: [valid.jsonl]}
student: {keep: [0]}
train: {tokens: 1k, batch_tokens: 256, sequence: 128}
export: [{type: f32}]
audit: {tokens: 400}
"""


LAYERS = 80


def deepen(folder):
    """The first layer of the model, LAYERS times."""
    config = json.loads((folder / "config.json").read_text())
    whole = (folder / "model.safetensors").read_bytes()
    (n,) = struct.unpack("<Q", whole[:8])
    header, data, tensors = json.loads(whole[8:8 + n]), whole[8 + n:], {}
    meta, body = header.pop("__metadata__", None), b""
    for name, t in header.items():
        if ".layers." in name and ".layers.0." not in name:
            continue
        for layer in range(LAYERS if ".layers." in name else 1):
            begin, end = t["data_offsets"]
            tensors[name.replace(".layers.0.", f".layers.{layer}.")] = {**t, "data_offsets": [len(body), len(body) + end - begin]}
            body += data[begin:end]
    assert not meta or set(meta) == {"format"}, meta
    head = json.dumps(tensors).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + body)
    config["num_hidden_layers"] = LAYERS
    (folder / "config.json").write_text(json.dumps(config))


class LargeRun(ProgramTest):
    def setUp(self):
        super().setUp()
        deepen(self.tiny_model("large", tokenizer=whole_tokenizer()))
        self.texts("text.jsonl", 10)
        self.texts("valid.jsonl", 6)
        self.recipe = self.write("large.yaml", RECIPE)
        r = self.run_program("run", self.recipe, "--dry-run", "--precision", "f32", "--memory", "1M")
        self.least = int(re.search(r"--memory (\d+)M", r.stderr.decode()).group(1))
        # more than the smallest that does, for batches as large as those in memory; less than all of its layers
        self.streamed = ("--precision", "f32", "--memory", f"{self.least + 10}M")

    def digests(self, runs):
        files = ("cache/00000.rtc", "student/init.safetensors", "student/model.safetensors")
        return [hashlib.sha256((self.dir / runs / "large" / f).read_bytes()).hexdigest() for f in files]

    def test_a_run_leaves_the_bits_of_one_with_all_in_memory(self):
        self.ok("run", self.recipe, "--runs", "whole", "--precision", "f32")
        r = self.run_program("run", self.recipe, "--runs", "streamed", *self.streamed)
        self.assertEqual(r.returncode, 0, r.stderr.decode())
        self.assertIn("read layer by layer", r.stderr.decode())
        self.assertEqual(self.digests("whole"), self.digests("streamed"))

    def test_what_the_refusal_at_opening_asks_for_is_enough_to_collect(self):
        collect = ("collect", self.dir / "large", "--text", "text.jsonl", "--sequence", 128, "--precision", "f32", "-o", "cache")
        for targets in ("sample", "hidden"):
            with self.subTest(targets):
                args = (*collect[:-1], targets, "--targets", targets, "--memory")
                least = re.search(r"--memory (\d+)M", self.refused(RESOURCE, *args, "1M", says="largest layer")).group(1)
                self.ok(*args, f"{least}M")

    def test_longer_than_accepted_is_refused_and_the_plan_says_so(self):
        for where in ((), self.streamed):
            with self.subTest(where):
                short = ("--accept-time", "1e-9s", *where)
                plan = self.ok_json("run", self.recipe, "--dry-run", *short)
                self.assertGreater(plan["seconds"]["collect"], plan["accepted_seconds"])
                self.assertIn("--accept-time", self.ok("run", self.recipe, "--dry-run", *short).decode())
                r = self.run_program("run", self.recipe, *short)
                self.assertEqual(r.returncode, USAGE, r.stderr.decode())
                for words in ("--accept-time", "teacher.endpoint"):
                    self.assertIn(words, r.stderr.decode().splitlines()[-1])
                self.assertEqual([f for f in self.files("runs/large/cache") if f.endswith(".rtc")], [])

    def test_a_day_is_accepted_and_so_is_a_longer_budget(self):
        for budget, seconds in ((None, 86400), ("48h", 172800), ("1m", 86400)):
            with self.subTest(budget):
                options = ("--set", f"budget={budget}") if budget else ()
                self.assertEqual(self.ok_json("run", self.recipe, "--dry-run", *options)["accepted_seconds"], seconds)


if __name__ == "__main__":
    main()
