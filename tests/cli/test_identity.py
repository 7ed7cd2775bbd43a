"""Models are known by their files: what was collected from one is not trained on as another's, and what is made of one keeps
saying so. Licence and base model go from the teacher into every file made of it."""
import hashlib
import json
import shutil
import struct

from program import INPUT, LICENCE, TEACHER, ProgramTest, main, tokenizer_json


def read_safetensors(path):
    data = path.read_bytes()
    (n,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + n])
    header.pop("__metadata__", None)
    return {name: (t, data[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]]) for name, t in header.items()}


def write_safetensors(path, tensors):
    header, body = {}, b""
    for name, (t, data) in tensors.items():
        header[name] = {**t, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Identity(ProgramTest):
    def sharded(self, name="sharded"):
        """The reference model with its weights in two files."""
        folder = self.tiny_model(name)
        tensors = read_safetensors(folder / "model.safetensors")
        names = sorted(tensors)
        half = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
        for file, part in half.items():
            write_safetensors(folder / file, {n: tensors[n] for n in part})
        self.write(f"{name}/model.safetensors.index.json", {"metadata": {}, "weight_map": {n: f for f, part in half.items() for n in part}})
        (folder / "model.safetensors").unlink()
        return folder

    def test_a_model_in_one_file_is_known_by_that_file(self):
        folder = self.tiny_model()
        self.assertEqual(self.ok_json("inspect", folder)["sha256"], sha256(folder / "model.safetensors"))
        self.assertEqual(self.ok_json("inspect", TEACHER)["sha256"], sha256(TEACHER))

    def test_a_model_in_shards_is_known_by_all_its_files(self):
        folder = self.sharded()
        files = ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
        printed = "".join(f"{sha256(folder / f)}  {f}\n" for f in files)  # as sha256sum prints it
        known = self.ok_json("inspect", folder)["sha256"]
        self.assertEqual(known, hashlib.sha256(printed.encode()).hexdigest())
        shard = folder / files[2]
        shard.write_bytes(shard.read_bytes()[:-1] + b"\x01")
        self.assertNotEqual(self.ok_json("inspect", folder)["sha256"], known)

    def test_a_sharded_teacher_serves_every_command(self):
        folder, text = self.sharded(), self.texts(n=24)
        known = self.ok_json("inspect", folder)["sha256"]
        self.ok("init", folder, "-o", "student", "--keep", "0,2")
        self.ok("collect", folder, "--text", text, "-o", "cache", "--draws", 4)
        self.ok("collect", folder, "--verify", "cache")
        self.ok("train", "student", "--cache", "cache", "--steps", 2, "-o", "trained")
        self.write("recipe.yaml", json.dumps({"name": "small", "teacher": {"model": str(folder)}, "data": {"text": [str(text)]},
                                              "student": {"keep": [0, 2]}, "collect": {"draws": 4}, "train": {"tokens": 2000, "sequence": 128}}))
        r = self.run_program("run", "recipe.yaml", "--dry-run")
        self.assertEqual(r.returncode, 0, r.stderr.decode())
        self.assertIn(known, (self.dir / "student/README.md").read_text())

    def test_a_shard_that_is_missing_is_named(self):
        folder = self.sharded()
        (folder / "model-00002-of-00002.safetensors").unlink()
        self.refused(INPUT, "collect", folder, "--text", self.texts(), "-o", "cache", says="model-00002-of-00002.safetensors")


class Matches(ProgramTest):
    def collected(self, *options):
        self.teacher, self.text = self.tiny_model("teacher"), self.texts(n=24)
        self.ok("collect", self.teacher, "--text", self.text, "-o", "cache", *options)

    def other_tokens(self, name):
        """The reference model over the same number of tokens, two of which have changed places."""
        folder, tokens = self.tiny_model(name), tokenizer_json()
        vocabulary = tokens["model"]["vocab"]
        vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
        self.write(f"{name}/tokenizer.json", tokens)
        return folder

    def other_weights(self, name):
        folder = self.tiny_model(name)
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x3d")
        return folder

    def test_a_student_with_another_tokenizer_is_refused(self):
        self.collected("--draws", 4)
        other = self.other_tokens("other")
        self.refused(INPUT, "train", other, "--cache", "cache", "--steps", 2, "-o", "run", says=("'" + str(other) + "'", "another tokenizer", "hash"))
        self.refused(INPUT, "train", other, "--cache", "cache", "--steps", 2, "-o", "run", "--teacher", self.teacher,
                     says=("another tokenizer", f"token {ord('a')} differs"))
        self.assertFalse((self.dir / "run").exists())

    def test_states_are_read_by_their_own_teacher_alone(self):
        self.collected("--targets", "hidden")
        other = self.other_weights("other")
        train = ("train", self.teacher, "--cache", "cache", "--steps", 2, "-o", "run", "--teacher")
        message = self.refused(INPUT, *train, other, says=(f"'{other}' is not the teacher", "'teacher'", sha256(self.teacher / "model.safetensors")[:16]))
        self.assertIn(sha256(other / "model.safetensors")[:16], message)
        self.assertFalse((self.dir / "run").exists())
        self.ok(*train, self.teacher)

    def test_verifying_against_another_file_says_so(self):
        self.collected("--draws", 4)
        other = self.other_weights("other")
        self.refused(INPUT, "collect", other, "--verify", "cache", says=(f"'{other}' is not the teacher of this cache", "'teacher'"))
        self.ok("collect", self.teacher, "--verify", "cache")

    def test_a_short_run_reports_its_speed(self):
        self.collected("--draws", 4)
        self.assertGreater(self.ok_json("train", self.teacher, "--cache", "cache", "--steps", 2, "-o", "run")["tokens_per_s"], 0)


class Lineage(ProgramTest):
    def teacher(self, head, name="teacher"):
        folder = self.tiny_model(name, licence=None)
        self.write(f"{name}/README.md", f"---\n{head}\n---\nA model for tests.\n")
        return folder

    def terms(self, model):
        j = self.ok_json("inspect", model)
        return j["licence"]["id"], j["licence"]["verdict"], j["base_models"]

    def test_from_the_teacher_to_every_file(self):
        teacher, text = self.teacher("license: apache-2.0\nbase_model: someone/original"), self.texts(n=24)
        self.assertEqual(self.terms(teacher), ("apache-2.0", "permit", ["someone/original"]))
        self.ok("init", teacher, "-o", "student", "--keep", "0,2")
        self.assertEqual(self.terms("student"), ("apache-2.0", "permit", ["teacher"]))
        self.ok("export", "student", "-o", "cut.gguf", "--type", "f16")
        self.assertEqual(self.terms("cut.gguf"), ("apache-2.0", "permit", ["teacher"]))
        self.ok("collect", teacher, "--text", text, "-o", "cache", "--draws", 4)
        self.ok("train", "student", "--cache", "cache", "--steps", 2, "-o", "run")
        self.assertEqual(self.terms("run/student"), ("apache-2.0", "permit", ["teacher"]))
        self.ok("export", "run/student", "-o", "out.gguf", "--type", "f16")
        self.assertEqual(self.terms("out.gguf"), ("apache-2.0", "permit", ["teacher"]))
        self.assertIn(sha256(teacher / "model.safetensors").encode(), (self.dir / "out.gguf").read_bytes()[:20000])
        self.ok("export", "run/student", "-o", "folder", "--type", "safetensors")
        self.assertEqual((self.dir / "folder/README.md").read_bytes(), (self.dir / "run/student/README.md").read_bytes())
        self.ok("export", "out.gguf", "-o", "again.gguf", "--type", "f16")
        self.assertEqual((self.dir / "again.gguf").read_bytes(), (self.dir / "out.gguf").read_bytes())

    def test_the_real_teacher(self):
        self.ok("init", TEACHER, "-o", "student", "--keep", "0")
        self.ok("export", "student", "-o", "student.gguf", "--type", "q8_0")
        licence, verdict, bases = self.terms("student.gguf")
        self.assertEqual((licence, verdict), ("apache-2.0", "permit"))
        self.assertTrue(bases[0].startswith("HuggingFaceTB/"), bases)
        self.ok("export", "student.gguf", "-o", "folder", "--type", "safetensors")
        self.assertEqual(self.terms("folder"), (licence, verdict, bases))

    def test_duties_and_names_of_licences_are_kept(self):
        teacher = self.teacher("license: other\nlicense_name: house-rules\nlicense_link: LICENSE")
        self.ok("init", teacher, "-o", "student", "--keep", "0", "--accept-licence", "house-rules", "--reason", "ours")
        self.ok("export", "student", "-o", "student.gguf")
        self.assertEqual(self.terms("student.gguf"), ("house-rules", "unknown", ["teacher"]))

    def test_a_licence_known_by_its_text_is_stated(self):
        teacher = self.tiny_model("teacher", licence=None)
        mit = ("Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files "
               '(the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, '
               "publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so")
        self.write("teacher/LICENSE", mit)
        licence, verdict, _ = self.terms(teacher)
        self.assertEqual((licence, verdict), ("mit", "permit"))
        self.ok("init", teacher, "-o", "student", "--keep", "0")
        self.assertEqual((self.dir / "student/LICENSE").read_text(), mit)
        self.ok("export", "student", "-o", "student.gguf")
        self.assertEqual(self.terms("student.gguf"), ("mit", "permit", ["teacher"]))

    def test_a_plan_takes_the_duties_accepted_on_its_command_and_records_nothing(self):
        self.write("recipe.yaml", json.dumps({"name": "small", "teacher": {"model": str(self.teacher("license: gemma"))},
                                              "data": {"text": [str(self.texts(n=24))]}, "student": {"keep": [0, 2]},
                                              "train": {"tokens": 2000, "sequence": 128}}))
        plan = ("run", "recipe.yaml", "--dry-run")
        self.refused(LICENCE, *plan, says=("permit-with-duties", "--accept-licence gemma"))
        self.refused(LICENCE, *plan, "--accept-licence", "llama3.1", says="under licence gemma")
        licence = self.ok_json(*plan, "--accept-licence", "gemma")["licence"]
        self.assertEqual((licence["id"], licence["verdict"]), ("gemma", "permit-with-duties"))
        self.assertFalse((self.dir / "runs").exists())

    def test_the_stricter_of_student_and_teacher_decides(self):
        teacher, text = self.teacher("license: apache-2.0"), self.texts(n=24)
        stranger = self.teacher("license: cc-by-nc-4.0\nbase_model: someone/original", "stranger")
        before = self.terms(stranger)
        self.assertNotEqual(before[1], "permit")
        self.ok("collect", teacher, "--text", text, "-o", "cache", "--draws", 4)
        self.ok("train", stranger, "--cache", "cache", "--steps", 2, "-o", "run")
        self.assertEqual(self.terms("run/student"), (before[0], before[1], ["stranger"]))
        stated = {e["licence"] for e in self.ok_json("inspect", "run/student")["licence"]["evidence"]}
        self.assertEqual(stated, {"apache-2.0", "cc-by-nc-4.0"})

    def test_a_model_that_says_nothing_stays_unknown(self):
        folder = self.tiny_model("silent", licence=None)
        self.ok("export", folder, "-o", "silent.gguf")
        self.assertEqual(self.terms("silent.gguf")[:2], ("missing", "unknown"))

    def test_text_from_a_hostile_card_stays_text(self):
        teacher = self.teacher('license: other\nlicense_name: "x\\nlicense: mit\\n---\\n"\nlicense_link: "[a](http://b)\\n---"')
        licence = self.terms(teacher)[0]
        self.ok("init", teacher, "-o", "student", "--keep", "0", "--accept-licence", licence, "--reason", "a test")
        self.assertEqual(self.terms("student"), (licence, "unknown", ["teacher"]))
        self.assertEqual((self.dir / "student/README.md").read_text().count("---"), 2)


if __name__ == "__main__":
    main()
