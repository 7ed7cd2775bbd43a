"""`retort inspect` says what a file is, from its header, in the keys that other programs rely on."""
import hashlib
import json
import struct

from program import GOLDEN, INPUT, TEACHER, VOCABULARY, ProgramTest, main

KEYS = {"architecture", "parameters", "layers", "hidden", "vocab_size", "quantisation", "tokenizer", "licence", "base_models", "sha256"}
LICENCE_KEYS = {"id", "verdict", "duties", "evidence", "table_version"}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Inspect(ProgramTest):
    def test_the_teacher(self):
        j = self.ok_json("inspect", TEACHER)
        self.assertLessEqual(KEYS, set(j))
        self.assertLessEqual(LICENCE_KEYS, set(j["licence"]))
        self.assertEqual([j[k] for k in ("architecture", "parameters", "layers", "hidden", "vocab_size", "quantisation")],
                         ["llama", 134515008, 30, 576, 49152, "Q4_1"])
        self.assertEqual((j["licence"]["id"], j["licence"]["verdict"]), ("apache-2.0", "permit"))
        self.assertEqual((j["tokenizer"]["pre"], j["tokenizer"]["chat_template"], j["tokenizer"]["eos"]), ("smollm", "chatml", 2))
        self.assertEqual(j["sha256"], sha256(TEACHER))

    def test_a_folder(self):
        j = self.ok_json("inspect", GOLDEN / "models/qwen3_moe", "--tensors", "--hash")
        self.assertEqual((j["architecture"], j["quantisation"], j["tokenizer"]), ("qwen3_moe", "F32", None))
        self.assertEqual(j["licence"]["verdict"], "unknown")
        self.assertEqual(j["sha256"], sha256(GOLDEN / "models/qwen3_moe/model.safetensors"))
        self.assertEqual(j["parameters"], sum(t["bytes"] // 4 for t in j["tensors"]))
        self.assertTrue(all(len(t["sha256"]) == 64 for t in j["tensors"]))

    def test_a_folder_and_its_weights_are_one_model(self):
        folder = self.ok_json("inspect", GOLDEN / "models/llama")
        weights = self.ok_json("inspect", GOLDEN / "models/llama/model.safetensors")
        for key in ("architecture", "parameters", "sha256"):
            self.assertEqual(folder[key], weights[key])

    def test_shards_are_one_model(self):
        """The same tensors in two files: other files, so another name, but the same description."""
        folder = self.tiny_model()
        data = (folder / "model.safetensors").read_bytes()
        (n,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8:8 + n])
        header.pop("__metadata__", None)
        weight_map = {}
        for part, names in enumerate([sorted(header)[::2], sorted(header)[1::2]]):
            body, head = b"", {}
            for name in names:
                begin, end = header[name]["data_offsets"]
                head[name] = {**header[name], "data_offsets": [len(body), len(body) + end - begin]}
                body += data[8 + n + begin:8 + n + end]
                weight_map[name] = f"part{part}.safetensors"
            text = json.dumps(head).encode()
            self.write(f"tiny/part{part}.safetensors", struct.pack("<Q", len(text)) + text + body)
        whole = self.ok_json("inspect", folder)
        (folder / "model.safetensors").unlink()
        self.write("tiny/model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})
        parts = self.ok_json("inspect", folder)
        self.assertEqual({k: v for k, v in whole.items() if k != "sha256"}, {k: v for k, v in parts.items() if k != "sha256"})
        self.assertEqual(len(parts["sha256"]), 64)

    def test_a_vocabulary_alone(self):
        j = self.ok_json("inspect", VOCABULARY)
        self.assertTrue(j["vocabulary_only"])
        self.assertEqual((j["parameters"], j["layers"], j["vocab_size"]), (None, None, 49152))
        self.assertIn(b"vocabulary only", self.ok("inspect", VOCABULARY))

    def test_licence_evidence_and_ancestors(self):
        folder = self.tiny_model(licence=None)
        self.write("tiny/README.md", "---\nlicense: mit\nbase_model: someone/something\n---\n")
        j = self.ok_json("inspect", folder)
        self.assertEqual((j["licence"]["id"], j["base_models"]), ("mit", ["someone/something"]))
        self.assertEqual(j["licence"]["evidence"][0]["file"], "README.md")

    def test_text_for_people_says_the_same(self):
        text = self.ok("inspect", TEACHER, "--hash", "--tensors").decode()
        for word in ("llama", "30 layers", "Q4_1", "apache-2.0: permit", sha256(TEACHER), "blk.29.ffn_down.weight"):
            self.assertIn(word, text)

    def test_an_unknown_architecture_is_refused_by_name(self):
        folder = self.tiny_model()
        config = json.loads((folder / "config.json").read_text())
        self.write("tiny/config.json", {**config, "model_type": "mamba"})
        self.refused(INPUT, "inspect", folder, says=("'mamba'", "llama", folder))


if __name__ == "__main__":
    main()
