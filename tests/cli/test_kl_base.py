"""llama.cpp's logits file: written, measured against, and taken as a teacher."""
import math
import os
import threading

from program import INPUT, USAGE, VOCABULARY, ProgramTest, main

CONTEXT = 32
LABELS = ["Mean PPL(Q)", "Mean PPL(base)", "Cor(ln(PPL(Q)), ln(PPL(base)))", "Mean ln(PPL(Q)/PPL(base))",
          "Mean PPL(Q)/PPL(base)", "Mean PPL(Q)-PPL(base)", "Mean    KLD", "Maximum KLD", "99.9%   KLD", "99.0%   KLD",
          "95.0%   KLD", "90.0%   KLD", "Median  KLD", "10.0%   KLD", " 5.0%   KLD", " 1.0%   KLD", " 0.1%   KLD",
          "Minimum KLD", "Mean    Δp", "Maximum Δp", "75.0%   Δp", "Median  Δp", "25.0%   Δp", "Minimum Δp", "RMS Δp",
          "Same top p"]


class KlBase(ProgramTest):
    def setUp(self):
        super().setUp()
        self.model = self.tiny_model("model")
        text = self.write("text.txt", " ".join(f"The river bends and the lamp burns {i} times." for i in range(40)))
        said = self.ok_json("logits", self.model, "--text", text, "--kl-base", "base.kl", "--sequence", CONTEXT,
                            "--precision", "f32")
        self.chunks = said["n_chunk"]
        self.base = self.dir / "base.kl"

    def collect(self, file, out, *options, ok=True):
        command = ("collect", "--import", file, "--model", "made-up", "--teacher-licence", "apache-2.0", "--tokenizer",
                   self.model, "-o", out, *options)
        return self.ok_json(*command) if ok else self.run_program(*command)

    def test_a_model_is_itself_beside_its_own_logits(self):
        figures = self.ok_json("eval", self.model, "--kl-base", self.base, "--precision", "f32")
        self.assertEqual(figures["positions"], self.chunks * (CONTEXT - 1 - CONTEXT // 2))
        self.assertLess(abs(figures["kld"]["mean"]), 1e-6)
        self.assertLess(abs(figures["ln_perplexity_ratio"]["mean"]), 1e-4)
        self.assertGreater(figures["same_top"]["mean"], 0.99)

    def test_the_blocks_have_llama_cpps_labels(self):
        printed = self.ok("eval", self.model, "--kl-base", self.base).decode()
        for label in LABELS:
            self.assertIn(label, printed)
        self.assertEqual(printed.count("======"), 6)

    def test_a_cache_comes_from_the_file(self):
        for targets, options in (("topk", ("--k", 4)), ("sample", ("--draws", 8))):
            with self.subTest(targets):
                said = self.collect(self.base, targets, "--targets", targets, *options)
                self.assertEqual(said["positions"], self.chunks * (CONTEXT - 1 - CONTEXT // 2))
                self.assertIn(b"declared, not observed", (self.dir / targets / "ledger.jsonl").read_bytes())
                own = self.ok_json("eval", self.model, "--kl-base", self.base)
                self.assertAlmostEqual(said["teacher_nll"], math.log(own["perplexity_base"]["mean"]), 3)

    def test_a_pipe_gives_the_cache_of_the_file(self):
        self.collect(self.base, "whole", "--targets", "topk", "--k", 4)
        pipe = self.dir / "pipe"
        os.mkfifo(pipe)
        writer = threading.Thread(target=lambda: pipe.write_bytes(self.base.read_bytes()))
        writer.start()
        self.collect(pipe, "piped", "--targets", "topk", "--k", 4)
        writer.join()
        for name in self.files("whole"):
            if name.endswith(".rtc"):
                self.assertEqual((self.dir / "whole" / name).read_bytes(), (self.dir / "piped" / name).read_bytes())

    def refused(self, code, *says, file=None, options=("--targets", "topk")):
        r = self.collect(file or self.base, "refused", *options, ok=False)
        self.assertEqual(r.returncode, code, r.stderr.decode())
        for words in says:
            self.assertIn(words, r.stderr.decode())

    def test_what_the_file_cannot_give_is_refused(self):
        self.refused(USAGE, "the states are not in it", options=("--targets", "hidden"))
        self.refused(USAGE, "leave out", options=("--targets", "topk", "--text", "text.txt"))
        cut = self.dir / "cut.kl"
        cut.write_bytes(self.base.read_bytes()[:-1])
        self.refused(INPUT, "not written to its end", file=cut)
        r = self.run_program("collect", "--import", self.base, "--model", "made-up", "--teacher-licence", "apache-2.0",
                             "--tokenizer", VOCABULARY, "-o", "refused", "--targets", "topk")
        self.assertEqual(r.returncode, INPUT)
        self.assertIn("wrong tokenizer", r.stderr.decode())

    def test_a_short_text_is_compared_and_taken(self):
        text = self.write("short.txt", "The river bends and the lamp burns, and the river bends again.")
        self.ok_json("logits", self.model, "--text", text, "--kl-base", "short.kl", "--sequence", 8, "--precision", "f32")
        self.collect(self.dir / "short.kl", "short", "--targets", "topk", "--k", 4)

    def test_terms_are_asked_before_the_file(self):
        r = self.run_program("collect", "--import", "absent.kl", "--model", "x", "--teacher-licence", "cc-by-nd-4.0",
                             "--tokenizer", self.model, "-o", "denied", "--targets", "topk")
        self.assertNotEqual(r.returncode, 0)
        self.assertNotIn("absent.kl", r.stderr.decode())


if __name__ == "__main__":
    main()
