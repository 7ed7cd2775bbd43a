"""llama-server as the teacher, on loopback: what it says about text is what the engine says of the same weights."""
import json
import unittest
from pathlib import Path

from interop import SOURCE, TEACHER, LlamaServer, retort, scratch


class RealServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = scratch()
        cls.dir = Path(cls.folder.name)
        cls.model = cls.dir / "teacher-f32.gguf"  # llama.cpp rounds activations where weights are quantised
        retort("export", TEACHER, "-o", cls.model, "--type", "f32")
        cls.server = LlamaServer(cls.model, cls.dir)
        cls.server.__enter__()
        cls.command = ["collect", f"http://127.0.0.1:{cls.server.port}", "--model", "SmolLM2-135M-Instruct", "--teacher-licence",
                       "apache-2.0", "--json"]

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()
        cls.folder.cleanup()

    def test_log_probabilities_of_given_text_are_the_engines(self):
        cache, own = self.dir / "served", self.dir / "own"
        text = ["--text", SOURCE / "examples/data/books-valid.jsonl", "--tokens", 100, "--sequence", 64, "--targets", "topk", "--k", 20]
        served = json.loads(retort(*self.command, *text, "--tokenizer", TEACHER, "-o", cache))
        engine = json.loads(retort("collect", self.model, *text, "-o", own, "--precision", "f32", "--json"))
        self.assertEqual((served["tokens"], served["positions"]), (engine["tokens"], engine["positions"]))
        self.assertAlmostEqual(served["teacher_nll"], engine["teacher_nll"], delta=1e-3)
        verdict = json.loads(retort("collect", self.model, "--verify", cache, "--precision", "f32", "--json"))
        self.assertTrue(verdict["ok"], verdict)
        print(f"KL of the engine to the server: {verdict['kl']:.2e} nats over {verdict['positions']} positions", flush=True)
        identity = json.loads((cache / "endpoint.json").read_text())
        self.assertEqual((identity["server"], identity["meta"]["n_vocab"]), ("llama-server", 49152))
        self.assertEqual(Path(identity["model_path"]).name, self.model.name)

    def test_texts_are_the_servers_own(self):
        out, prompts = self.dir / "texts", self.dir / "prompts.jsonl"
        asked = ["Name three rivers.", "What is a harbour?"]
        prompts.write_text("".join(json.dumps({"prompt": p}) + "\n" for p in asked))
        retort(*self.command, "--targets", "text", "--prompts", prompts, "-n", 12, "--temperature", 0, "-o", out)
        for prompt, line in zip(asked, (out / "answers.jsonl").read_text().splitlines(), strict=True):
            own = self.server.ask("/v1/chat/completions", messages=[{"role": "user", "content": prompt}], max_tokens=12, temperature=0)
            self.assertEqual(json.loads(line)["answer"], own["choices"][0]["message"]["content"])
        retort("ledger", "verify", out / "ledger.jsonl")


if __name__ == "__main__":
    unittest.main()
