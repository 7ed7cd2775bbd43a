#!/usr/bin/env python3
"""An adapter that retort trained is the same adapter in PEFT: same logits as the merged student has in transformers."""
import os
import sys
import unittest
from pathlib import Path

import interop

interop.enter_peers()
os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(interop.SOURCE / "tests/cli"))

import torch
from peft import PeftModel
from program import ProgramTest, whole_tokenizer
from transformers import AutoModelForCausalLM


class Adapter(ProgramTest):
    def load(self, folder):
        return AutoModelForCausalLM.from_pretrained(self.dir / folder, dtype=torch.float32).eval()

    def test_logits_agree(self):
        self.tiny_model("base", tokenizer=whole_tokenizer())
        self.texts(n=24)
        self.ok("collect", "base", "--text", "text.jsonl", "-o", "cache", "--draws", 4)
        self.ok("train", "base", "--cache", "cache", "--loss", "ce", "--steps", 6, "--batch-tokens", 256, "--lr", 0.01, "-o", "run",
                "--lora", "rank=4,alpha=12")
        ids = torch.arange(40).reshape(2, 20) * 7 % 300
        with torch.no_grad():
            before = self.load("base")(ids).logits
            adapted = PeftModel.from_pretrained(self.load("base"), str(self.dir / "run/adapter"))(ids).logits
            merged = self.load("run/student")(ids).logits
        self.assertGreater((adapted - before).abs().max().item(), 0.1)
        self.assertLess((adapted - merged).abs().max().item(), 1e-4)


if __name__ == "__main__":
    unittest.main(verbosity=2)
