"""A small model as the drafter of a large one: which are refused, and what drafting is said to give."""
from program import INPUT, USAGE, ProgramTest, main, whole_tokenizer


class Drafter(ProgramTest):
    def setUp(self):
        super().setUp()
        self.model = self.tiny_model(tokenizer=whole_tokenizer())
        self.stranger = self.tiny_model("stranger", tokenizer=whole_tokenizer(end="<|halt|>"))

    def test_export_takes_only_a_vocabulary_that_fits(self):
        self.ok("export", self.model, "-o", "draft.gguf", "--type", "q8_0", "--draft-for", self.model)
        self.refused(INPUT, "export", self.model, "-o", "other.gguf", "--type", "q8_0", "--draft-for", self.stranger,
                     says=(self.stranger, "token 256", "<|halt|>", "<|end|>"))
        self.assertFalse((self.dir / "other.gguf").exists())

    def test_a_recipe_is_refused_before_anything_is_collected(self):
        text = self.write_lines("text.jsonl", [{"text": f"The {i}. river flows to the sea, slowly at first."} for i in range(40)])
        self.write("drafter.yaml", f"teacher: {{model: {self.model}}}\ndata: {{text: [{text}]}}\nstudent: {{keep: [0, 2]}}\n"
                                   "train: {tokens: 600, sequence: 64}\naudit: {tasks: [], twin: none}\n"
                                   f"export: [{{type: q8_0, draft_for: {self.stranger}}}]\n")
        self.refused(INPUT, "run", "drafter.yaml", says=("token 256", self.stranger))
        self.assertFalse(list(self.dir.glob("runs/*/cache/*")))

    def test_a_model_that_drafts_for_itself_is_always_kept(self):
        text = self.write_lines("held.jsonl", [{"text": f"Document {i}. " + "The river flows to the sea, slowly. " * 2, "title": str(i % 3)}
                                               for i in range(6)])
        j = self.ok_json("eval", self.model, "--text", text, "--sequence", 64, "--against", self.model, "--draft", 3, "--draft-prompts", 6)
        greedy, drawn = j["drafts"]
        self.assertEqual((greedy["temperature"], drawn["temperature"], greedy["draft"]), (0, 1, 3))
        self.assertEqual([a["mean"] for a in greedy["alpha"]], [1, 1, 1])
        self.assertTrue(all(a["mean"] > 0.999 for a in drawn["alpha"]))
        self.assertTrue(3 < greedy["tau"]["mean"] <= 4)
        self.assertEqual(greedy["tau"]["clusters"], 3)
        self.assertAlmostEqual(greedy["bound"].pop("c"), 1)
        self.assertEqual(greedy["bound"], {"v": 1, "value": 1, "best": 0, "best_value": 1})  # 4 tokens for 4 steps
        predicted = greedy["predicted"]
        self.assertAlmostEqual(predicted["value"], 4 / (4 * predicted["c"] + predicted["v"]))  # and its last token read
        self.assertAlmostEqual(predicted["value"], greedy["tokens_per_s"] / greedy["alone_tokens_per_s"], delta=0.2 * predicted["value"])

    def test_drafting_needs_a_model_that_verifies(self):
        text = self.write_lines("held.jsonl", [{"text": "The river flows to the sea."}])
        self.refused(USAGE, "eval", self.model, "--text", text, "--draft", 3, says="--against")
        self.refused(USAGE, "eval", self.model, "--text", text, "--against", self.model, "--draft", 99, says="--draft")
        self.refused(INPUT, "eval", self.model, "--text", text, "--against", self.model, "--draft", 3, says="32 tokens of a prompt")


if __name__ == "__main__":
    main()
