"""`retort generate` writes what the reference writes, and the same text whatever the threads."""
import json
import os
import signal
import subprocess

from program import GOLDEN, INPUT, RETORT, TEACHER, USAGE, ProgramTest, main


class Generate(ProgramTest):
    def test_greedy_text_is_that_of_the_reference(self):
        prompts = json.loads((GOLDEN / "smollm2/prompts.json").read_text(encoding="utf-8"))["prompts"]
        p = prompts[0]
        j = self.ok_json("generate", TEACHER, "-p", p["text"], "-n", 32, "--ignore-eos", "--precision", "f32")
        self.assertEqual(j["text"], p["greedy_text"])
        self.assertEqual((len(j["ids"]), len(j["logprobs"]), j["stop"]), (32, 32, "length"))
        self.assertTrue(all(x <= 0 for x in j["logprobs"]))

    def test_the_end_token_ends_the_text_and_is_not_in_it(self):
        p = json.loads((GOLDEN / "smollm2/prompts.json").read_text(encoding="utf-8"))["prompts"][0]
        text = self.ok("generate", TEACHER, "-p", p["text"], "-n", 32, "--precision", "f32").decode()
        self.assertEqual(text, p["greedy_text"].split("<|im_end|>")[0] + "\n")

    def test_sampling_depends_on_the_seed_alone(self):
        model = self.tiny_model()

        def draw(seed, threads):
            return self.ok_json("generate", model, "-p", "abc", "-n", 24, "--temp", 1, "--top-k", 40, "-s", seed, "-t", threads, "--ignore-eos")
        self.assertEqual(draw(1, 1), draw(1, 2))
        self.assertNotEqual(draw(1, 1)["ids"], draw(2, 1)["ids"])

    def test_ill_formed_bytes_are_shown_as_replacement_characters(self):
        j = self.ok_json("generate", self.tiny_model(), "-p", "abc", "-n", 24, "--temp", 1, "--ignore-eos")
        text = self.ok("generate", "tiny", "-p", "abc", "-n", 24, "--temp", 1, "--ignore-eos").decode("utf-8")
        self.assertEqual(text.rstrip("\n"), j["text"].rstrip("\n"))

    def test_interrupts_end_with_the_signal_in_the_exit_code(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with subprocess.Popen([RETORT, "generate", TEACHER, "-p", "Once", "-n", "8000", "--ignore-eos"], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as p:
                self.assertNotEqual(p.stdout.read(1), b"", "text comes while it is written")
                p.send_signal(number)
                _, message = p.communicate(timeout=120)
            self.assertEqual(p.returncode, code)
            self.assertIn(b"interrupted", message)

    def test_what_is_missing_is_named(self):
        model = self.tiny_model()
        self.refused(USAGE, "generate", model, says="-p TEXT")
        self.refused(USAGE, "generate", model, "-p", "a", "-n", 0, says="at least one")
        self.refused(USAGE, "generate", model, "-p", "a", "--template", "gemma", says="goes with --chat")
        self.refused(USAGE, "generate", model, "-p", "", says="empty")
        self.refused(INPUT, "generate", model, "-p", "a" * 300, says="context")
        self.refused(INPUT, "generate", model, "-p", "a", "--chat", says="chat template")
        self.refused(INPUT, "generate", GOLDEN / "models/llama", "-p", "a", says="no tokenizer")

    def test_a_template_can_be_named_and_help_lists_the_names(self):
        line = self.refused(USAGE, "generate", self.tiny_model(), "-p", "a", "--chat", "--template", "vicuna", says="vicuna")
        names = line.split("known are ")[1].split(", ")
        self.assertGreater(len(names), 10)
        said = " ".join(self.ok("generate", "--help").decode().split())
        self.assertIn(": " + ", ".join(names) + ".", said)
        self.refused(INPUT, "generate", "tiny", "-p", "a", "--chat", "--template", "gemma", says="<start_of_turn>")


if __name__ == "__main__":
    main()
