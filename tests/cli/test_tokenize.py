"""`retort tokenize` agrees with Hugging Face's tokenizers, in both directions, through files and pipes."""
import base64
import json

from program import GOLDEN, INPUT, USAGE, VOCABULARY, ProgramTest, main

POLICY = "where Hugging Face and llama.cpp differ, retort follows Hugging Face"


def records():
    with open(GOLDEN / "tokenizer" / "smollm2.jsonl", encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def text_of(record):
    return {"b64": record["b64"]} if "b64" in record else {"text": record["text"]}


class Tokenize(ProgramTest):
    def encode(self, rows, *options):
        return [json.loads(line)["ids"] for line in self.ok("tokenize", VOCABULARY, *options, stdin=lines(rows)).splitlines()]

    def test_ids_are_those_of_the_reference(self):
        all_records = records()
        got = self.encode(map(text_of, all_records))
        self.assertEqual(len(got), len(all_records))
        for r, ids in zip(all_records, got):
            self.assertEqual(ids, r["ids"], f"record {r['id']}: {POLICY}")

    def test_special_tokens_are_plain_text_when_asked(self):
        plain = [r for r in records() if "ids_plain" in r]
        for r, ids in zip(plain, self.encode(map(text_of, plain), "--no-special")):
            self.assertEqual(ids, r["ids_plain"], f"record {r['id']}")

    def test_decoding_gives_the_bytes_back(self):
        whole = [r for r in records() if not r.get("lossy")]
        out = self.ok("tokenize", VOCABULARY, "--decode", stdin=lines({"ids": r["ids"]} for r in whole)).splitlines()
        for r, line in zip(whole, out, strict=True):
            got = json.loads(line)
            got = base64.b64decode(got["b64"]) if "b64" in got else got["text"].encode()
            expected = base64.b64decode(r["b64"]) if "b64" in r else r["text"].encode()
            self.assertEqual(got, expected, f"record {r['id']}")

    def test_half_a_character_comes_back_as_base64(self):
        ids = self.encode([{"text": "\U0001f9ea"}])[0]
        self.assertGreater(len(ids), 1)
        out = json.loads(self.ok("tokenize", VOCABULARY, "-d", stdin=lines([{"ids": ids[:1]}])))
        self.assertTrue("\U0001f9ea".encode().startswith(base64.b64decode(out["b64"])))

    def test_blank_lines_and_a_missing_last_line_feed_are_no_matter(self):
        out = self.ok("tokenize", VOCABULARY, stdin=b'\n{"text": "a"}\n  \r\n{"text": "b"}')
        self.assertEqual(len(out.splitlines()), 2)

    def test_a_bad_line_is_named(self):
        for line, words in [(b"{", "standard input:2"), (b'{"txt": "a"}', "'text' or 'b64'"), (b'{"b64": "a"}', "no base64"),
                            (b'{"b64": "=AAA"}', "no base64"), (b'{"text": "a", "text": "b"}', "standard input:2")]:
            r = self.run_program("tokenize", VOCABULARY, stdin=b'{"text": "a"}\n' + line + b"\n")
            self.assertEqual(r.returncode, INPUT)
            self.assertIn(words, r.stderr.decode())
            self.assertEqual(len(r.stderr.splitlines()), 1)
            self.assertEqual(len(r.stdout.splitlines()), 1, "lines before the bad one are there")

    def test_ids_outside_the_vocabulary_are_refused(self):
        for ids in ([49152], [-1], [1.5], ["1"], None):
            self.refused(INPUT, "tokenize", VOCABULARY, "--decode", stdin=lines([{"ids": ids}]), says="standard input:1")

    def test_one_model_is_needed(self):
        self.refused(USAGE, "tokenize", says="one model is needed")


if __name__ == "__main__":
    main()
