"""Between different tokenizers it is text that teaches: the teacher writes, the student reads with its own tokens."""
import json

from program import INPUT, ProgramTest, main, whole_tokenizer


class TextLevel(ProgramTest):
    def swapped(self, name):
        """The reference model over the same number of tokens, two of which have changed places."""
        tokens = whole_tokenizer()
        vocabulary = tokens["model"]["vocab"]
        vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
        return self.tiny_model(name, tokenizer=tokens)

    def losses(self, teacher, student, where):
        """`teacher` writes answers, `student` is trained on their text by cross-entropy."""
        prompts = self.write_lines("prompts.jsonl", [{"id": f"q{i}", "prompt": f"Name {i} rivers."} for i in range(40)])
        self.ok("collect", teacher, "--targets", "text", "--prompts", prompts, "-n", 24, "-o", f"{where}/answers")
        self.ok("collect", student, "--text", f"{where}/answers/answers.jsonl", "--targets", "topk", "--k", 1, "-o",
                f"{where}/read")
        self.ok("train", student, "--cache", f"{where}/read", "--loss", "ce", "--steps", 6, "--batch-tokens", 256, "-o",
                f"{where}/run")
        with open(self.dir / where / "run/metrics.jsonl", encoding="utf-8") as lines:
            return [row["loss"] for row in map(json.loads, lines) if "loss" in row]

    def test_a_teachers_text_trains_a_student_of_other_tokens_either_way(self):
        one, other = self.tiny_model("one", tokenizer=whole_tokenizer()), self.swapped("other")
        for where, teacher, student in (("there", one, other), ("back", other, one)):
            with self.subTest(where):
                losses = self.losses(teacher, student, where)
                self.assertLess(losses[-1], losses[0])

    def test_distributions_are_refused_with_the_way_out(self):
        teacher, student = self.tiny_model("teacher", tokenizer=whole_tokenizer()), self.swapped("student")
        self.ok("collect", teacher, "--text", self.texts(n=24), "-o", "cache")
        self.refused(INPUT, "train", student, "--cache", "cache", "--steps", 2, "-o", "run",
                     says=("student", "teacher", "another tokenizer", "--targets text", "ce"))


if __name__ == "__main__":
    main()
