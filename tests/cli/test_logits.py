"""`retort logits` gives the reference's logits and gradients for models whose parameters are known to the bit."""
import st
from program import GOLDEN, INPUT, USAGE, ProgramTest, main

MODELS = [("llama", "models/llama"), ("qwen3", "models/qwen3"), ("qwen3_moe", "models/qwen3_moe"), ("gemma3_text", "models/gemma3_text"),
          ("llama3_rope", "gguf/llama3_rope.gguf")]
WITH_GRADIENTS = [model for model in MODELS if model[0] in ("llama", "qwen3_moe", "gemma3_text")]


class Logits(ProgramTest):
    def golden(self, name):
        g = st.load(GOLDEN / "models" / name / "golden.safetensors")
        (n, length), ids = g["input_ids"]
        return g, [list(ids[i * length:(i + 1) * length]) for i in range(n)]

    def run_logits(self, model, sequences, *options):
        ids = self.write_lines("ids.jsonl", [{"ids": s} for s in sequences])
        self.ok("logits", model, "--ids", ids, "-o", "logits.st", "--precision", "f32", *options)
        return st.load(self.dir / "logits.st")

    def test_logits_are_those_of_the_reference(self):
        for name, path in MODELS:
            with self.subTest(name):
                g, sequences = self.golden(name)
                got = self.run_logits(GOLDEN / path, sequences)
                (_, length, vocabulary), expected = g["logits"]
                for i in range(len(sequences)):
                    shape, values = got[f"seq{i}"]
                    self.assertEqual(shape, [length, vocabulary])
                    size = length * vocabulary
                    self.assertLessEqual(st.largest_difference(values, expected[i * size:(i + 1) * size]), 1e-4)

    def test_gradients_are_those_of_the_reference(self):
        for name, path in WITH_GRADIENTS:
            with self.subTest(name):
                g, sequences = self.golden(name)
                self.run_logits(GOLDEN / path, sequences, "--grad", "grad.st")
                got = st.load(self.dir / "grad.st")
                expected = st.load(GOLDEN / "models" / name / "grads_ce.safetensors")
                self.assertLessEqual(abs(got.pop("loss")[1][0] - g["loss_ce"][1][0]), 2e-5)
                self.assertEqual(sorted(got), sorted(expected))
                for parameter, (shape, values) in got.items():
                    self.assertEqual(shape, expected[parameter][0], parameter)
                    reference = expected[parameter][1]
                    self.assertLessEqual(st.distance(values, reference), 1e-3 * st.norm(reference) + 1e-12, parameter)
                    peak = max(map(abs, reference))
                    # 2^-11 of it is what half precision keeps of the reference
                    self.assertLessEqual(st.largest_difference(values, reference), 1e-4 * max(1.0, peak) + peak * 2 ** -11, parameter)

    def test_the_number_of_threads_changes_no_bit(self):
        _, sequences = self.golden("llama")
        bits = []
        for threads in (1, 2):
            self.run_logits(GOLDEN / "models/llama", sequences, "--threads", threads, "--grad", "grad.st")
            bits.append([(self.dir / name).read_bytes() for name in ("logits.st", "grad.st")])
        self.assertEqual(bits[0], bits[1])

    def test_json_says_what_was_written(self):
        ids = self.write_lines("ids.jsonl", [{"ids": [1, 2, 3]}])
        out = self.ok_json("logits", GOLDEN / "models/llama", "--ids", ids, "-o", "logits.st")
        self.assertEqual(out, {"logits": "logits.st", "grad": None, "sequences": 1})

    def test_bad_ids_are_refused_before_anything_is_written(self):
        for rows, words in [([], "holds no sequences"), ([{"ids": []}], "sequence 0"), ([{"ids": [331]}], "331"), ([{"ids": [-1]}], "line 1"),
                            ([{"ids": [1] * 9999}], "9999"), ([{"id": [1]}], "ids"), ([{"ids": [1.5]}], "token id")]:
            ids = self.write_lines("ids.jsonl", rows)
            self.refused(INPUT, "logits", GOLDEN / "models/llama", "--ids", ids, "-o", "logits.st", says=words)
            self.assertEqual(self.files(), ["ids.jsonl"])

    def test_options_that_are_needed_are_named(self):
        self.refused(USAGE, "logits", GOLDEN / "models/llama", "-o", "x", says="--ids")
        self.refused(USAGE, "logits", GOLDEN / "models/llama", "--ids", "y", "-o", "x", "--grad", "x", says="one file: 'x'")


if __name__ == "__main__":
    main()
