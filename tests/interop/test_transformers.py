#!/usr/bin/env python3
"""A student exported as a safetensors folder is the same model in transformers: same logits, ids and chat turns."""
import json
import os
import unittest
from pathlib import Path

import interop

interop.enter_peers()
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


class Folder(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scratch = interop.scratch()
        cls.addClassCleanup(scratch.cleanup)
        cls.scratch = Path(scratch.name)
        cls.folder = cls.scratch / "exported"
        interop.retort("export", interop.make_student(cls.scratch / "student"), "-o", cls.folder, "--type", "safetensors")
        cls.tokenizer = AutoTokenizer.from_pretrained(cls.folder)

    def test_logits_agree(self):
        torch.set_num_threads(2)
        model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32).eval()
        sequences = interop.tokenize(self.folder, interop.prompts(0, 1, 2, 3, 4))
        for ids, ours in zip(sequences, interop.logits(self.folder, sequences, self.scratch)):
            with torch.no_grad():
                theirs = model(torch.tensor([ids])).logits[0].numpy()
            self.assertEqual(theirs.shape, ours.shape)
            self.assertLess(np.abs(theirs - ours).max(), 1e-3)

    def test_text_becomes_the_same_ids(self):
        records = interop.golden_texts()
        ours = interop.tokenize(self.folder, [record["text"] for record in records])
        for record, ids in zip(records, ours):
            theirs = self.tokenizer.encode(record["text"], add_special_tokens=False)
            self.assertEqual(theirs, ids, f"record {record['id']}")
            self.assertEqual(ids, record["ids"], f"record {record['id']}")

    def test_ids_become_the_same_text(self):
        records = [record for record in interop.golden_texts() if not record.get("lossy")]
        lines = "".join(json.dumps({"ids": record["ids"]}) + "\n" for record in records)
        decoded = interop.retort("tokenize", self.folder, "--decode", text=lines).splitlines()
        for record, line in zip(records, decoded, strict=True):
            theirs = self.tokenizer.decode(record["ids"], clean_up_tokenization_spaces=False)
            self.assertEqual(theirs, json.loads(line)["text"], f"record {record['id']}")

    def test_chat_template_renders_the_same(self):
        """retort's turns are seen through its answers: with --chat it gives the very numbers it gives to the text that
        transformers renders."""
        for question in "What is the capital of France?", "  Naïve \"quotes\" & <tags>,\n\ntwo lines ":
            rendered = self.tokenizer.apply_chat_template([{"role": "user", "content": question}], tokenize=False,
                                                          add_generation_prompt=True)
            common = ["-n", "6", "--ignore-eos", "--precision", "f32", "--json"]
            ours = json.loads(interop.retort("generate", self.folder, "-p", question, "--chat", *common))
            theirs = json.loads(interop.retort("generate", self.folder, "-p", rendered, *common))
            self.assertEqual(ours["ids"], theirs["ids"])
            self.assertEqual(ours["logprobs"], theirs["logprobs"])

    def test_special_tokens_and_limits_are_told(self):
        self.assertEqual(self.tokenizer.eos_token, "<|im_end|>")
        config = json.loads((self.folder / "config.json").read_text())
        self.assertEqual(config["num_hidden_layers"], len(interop.KEEP.split(",")))
        self.assertEqual(config["eos_token_id"], self.tokenizer.eos_token_id)
        self.assertEqual(len(self.tokenizer), config["vocab_size"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
