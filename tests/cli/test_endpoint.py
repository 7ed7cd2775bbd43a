"""A teacher behind HTTP, played by a server that fails on purpose (fake_server.py). Waits are short; none is measured from
above."""
import json
import math
import time

from fake_server import Answer, FakeServer, N_VOCAB, log_probs
from program import INPUT, LICENCE, OK, REMOTE, USAGE, ProgramTest, main, tokenizer_json, whole_tokenizer

CHAT = "/v1/chat/completions"


class EndpointTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.write("tokenizer.json", tokenizer_json())

    def serve(self, kind="vllm", **more):
        server = FakeServer(kind, **more)
        server.__enter__()
        self.addCleanup(server.__exit__, None, None, None)
        return server

    def prompts(self, n=5):
        return self.write_lines("prompts.jsonl", [{"id": f"q{i}", "origin": "made up", "prompt": f"Question {i}?"} for i in range(n)])

    def command(self, server, *more, licence="apache-2.0", out="out"):
        return ["collect", server if isinstance(server, str) else server.url, "--model", "toy-1", "--teacher-licence", licence,
                "--wait", "0.01", "-o", out, *more]

    def texts_command(self, server, *more, n=5, **settings):
        return self.command(server, "--targets", "text", "--prompts", self.prompts(n), *more, **settings)

    def scores_command(self, server, *more, n=5, tokenizer="tokenizer.json", **settings):
        return self.command(server, "--targets", "topk", "--k", 8, "--text", self.texts(n=n), "--tokenizer", tokenizer, *more,
                            **settings)

    def answers(self, out="out"):
        return [json.loads(line) for line in (self.dir / out / "answers.jsonl").read_text().splitlines()]

    def assert_written(self, n=5, out="out"):
        rows = self.answers(out)
        self.assertEqual([row["id"] for row in rows], [f"q{i}" for i in range(n)])
        for i, row in enumerate(rows):
            self.assertTrue(row["answer"].startswith(f"Answer to 'Question {i}?'"), row)
        self.ok("ledger", "verify", f"{out}/ledger.jsonl")

    def ledger(self, out="out"):
        return [json.loads(line) for line in (self.dir / out / "ledger.jsonl").read_text().splitlines()]

    def refused_remotely(self, command, *says, env=None):
        r = self.run_program(*command, env=env)
        self.assertEqual(r.returncode, REMOTE, r.stderr.decode())
        last = r.stderr.decode().splitlines()[-1]
        for word in says:
            self.assertIn(word, last)
        return r.stderr.decode()


class Texts(EndpointTest):
    def test_answers_have_the_form_the_engine_writes(self):
        server = self.serve()
        result = self.ok_json(*self.texts_command(server))
        self.assertEqual(result["answers"], 5)
        self.assert_written()
        engine = self.ok_json("collect", self.tiny_model(tokenizer=whole_tokenizer()), "--targets", "text", "--prompts", self.prompts(),
                              "-n", 4, "-o", "own")
        self.assertEqual(engine["answers"], 5)
        own, served = self.answers("own")[0], self.answers()[0]
        self.assertEqual(list(own), list(served))
        self.assertEqual((served["origin"], served["stop"]), ("written by toy-1 (apache-2.0)", "end"))

    def test_who_answered_is_recorded_as_declared(self):
        server = self.serve()
        self.ok(*self.texts_command(server))
        opening = self.ledger()[0]
        self.assertTrue(opening["permit"]["declared"])
        self.assertEqual(opening["permit"]["model_sha256"], "")
        identity = opening["settings"]["endpoint"]
        self.assertEqual(identity, json.loads((self.dir / "out/endpoint.json").read_text()))
        self.assertEqual((identity["url"], identity["place"], identity["declared"], identity["served"]),
                         (server.url, "loopback", "toy-1", "toy-1"))

    def test_sampling_settings_are_sent_and_every_answer_has_its_own_seed(self):
        server = self.serve()
        self.ok(*self.texts_command(server, "--temperature", 0.7, "--top-p", 0.9, "-n", 50, "--answers", 2))
        asked = server.asked(CHAT)
        self.assertEqual(len(asked), 10)
        for question in asked:
            self.assertEqual((question["temperature"], question["top_p"], question["max_tokens"]), (0.7, 0.9, 50))
            self.assertNotIn("top_k", question)
        self.assertEqual(len({question["seed"] for question in asked}), 10)

    def test_requests_go_side_by_side_but_never_more_than_allowed(self):
        server = self.serve()
        server.fault = lambda path, *_: time.sleep(0.05) if path == CHAT else None
        self.ok(*self.texts_command(server, "--parallel", 3, n=12))
        self.assert_written(12)
        self.assertEqual(server.most_in_flight, 3)

    def test_a_conversation_is_sent_without_its_answer(self):
        server = self.serve()
        turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
        path = self.write_lines("talk.jsonl", [{"messages": [*turns, {"role": "assistant", "content": "Because."}]}])
        self.ok(*self.command(server, "--targets", "text", "--prompts", path))
        self.assertEqual(server.asked(CHAT)[0]["messages"], turns)

    def test_a_limit_that_is_ignored_is_noticed(self):
        server = self.serve()
        long = {"choices": [{"message": {"content": "on and on"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 9}}
        server.fault = lambda path, *_: Answer(200, long) if path == CHAT else None
        self.refused_remotely(self.texts_command(server, "-n", 8), "at most 8 tokens and wrote 9")


class Faults(EndpointTest):
    """What goes wrong on the way is waited for, a bounded number of times."""

    def first(self, n, answer):
        """The first n chats get `answer()` instead."""
        return lambda path, _, number: answer() if path == CHAT and number < n else None

    def always(self, answer):
        return self.first(1 << 30, answer)

    def test_a_slow_answer_is_given_up_and_asked_for_again(self):
        server = self.serve()
        server.fault = self.first(1, lambda: time.sleep(1))
        self.ok(*self.texts_command(server, "--timeout", 0.5, "--parallel", 1))
        self.assert_written()
        self.assertEqual(len(server.asked(CHAT)), 6)

    def test_retry_after_is_obeyed_and_nothing_is_sent_meanwhile(self):
        server = self.serve()
        times = []

        def busy_once(path, _, number):
            if path == CHAT:
                times.append(time.monotonic())
                if number == 0:
                    return Answer(429, headers={"Retry-After": "1"})
            return None
        server.fault = busy_once
        r = self.run_program(*self.texts_command(server, "--parallel", 1))
        self.assertEqual(r.returncode, OK, r.stderr)
        self.assertIn("waits 1 s, as the server asks", r.stderr.decode())
        self.assertGreaterEqual(times[1] - times[0], 0.9)
        self.assertEqual(len(times), 6)
        self.assert_written()

    def test_a_server_that_stays_busy_ends_the_run_after_so_many_tries(self):
        server = self.serve()
        server.fault = self.always(lambda: Answer(429, {"error": {"message": "too many requests"}}))
        self.refused_remotely(self.texts_command(server, "--attempts", 3, "--parallel", 1), "3 tries", "HTTP 429: too many requests")
        self.assertEqual(len(server.asked(CHAT)), 3)
        server.fault = lambda *_: None
        self.ok(*self.texts_command(server))
        self.assert_written()

    def test_a_wait_longer_than_allowed_ends_the_run(self):
        server = self.serve()
        server.fault = self.always(lambda: Answer(429, headers={"Retry-After": "3600"}))
        self.refused_remotely(self.texts_command(server, "--parallel", 1), "asks to wait 3600 s", "--max-wait 600")
        self.assertEqual(len(server.asked(CHAT)), 1)

    def test_an_error_of_the_server_is_tried_again(self):
        server = self.serve()
        server.fault = self.first(3, lambda: Answer(500))
        self.ok(*self.texts_command(server))
        self.assert_written()
        server.fault = self.always(lambda: Answer(500, {"error": {"message": "out of cheese"}}))
        self.refused_remotely(self.texts_command(server, "--attempts", 2, out="again"), "2 tries", "HTTP 500: out of cheese")

    def test_truncated_json_is_asked_for_again(self):
        server = self.serve()
        for name, fault in [("cut", lambda: Answer(200, b'{"choices": [{"mess')), ("short", lambda: Answer(200, b"{}", length=100))]:
            with self.subTest(name):
                server.fault = self.always(fault)
                self.refused_remotely(self.texts_command(server, "--attempts", 2, "--parallel", 1, out=name), "2 tries")
                count = len(server.asked(CHAT))
                server.fault = lambda path, _, number: fault() if path == CHAT and number == count else None
                self.ok(*self.texts_command(server, out=name))
                self.assert_written(out=name)

    def test_a_server_that_is_not_there_is_named(self):
        server = self.serve()
        url = server.url
        server.fault = lambda *_: Answer(503, {"error": {"message": "Loading model"}})
        self.refused_remotely(self.texts_command(server, "--attempts", 2), "2 tries", "Loading model")
        self.assertFalse((self.dir / "out/answers.jsonl").exists())
        with FakeServer() as gone:
            url = gone.url
        self.refused_remotely(self.texts_command(url, "--attempts", 2), url, "2 tries")

    def test_a_redirect_is_not_followed(self):
        server, elsewhere = self.serve(), self.serve()
        server.fault = self.always(lambda: Answer(307, headers={"Location": elsewhere.url + CHAT}))
        self.refused_remotely(self.texts_command(server), "HTTP 307", "redirects are not followed")
        self.assertEqual(elsewhere.requests, [])

    def test_a_killed_run_goes_on_and_asks_nothing_twice(self):
        server = self.serve()
        self.ok(*self.texts_command(server, n=70, out="whole"))
        for point in ("write.ledger:2", "write.file:2"):
            with self.subTest(point):
                out = point.replace(":", "-").replace(".", "-")
                r = self.run_program(*self.texts_command(server, n=70, out=out), env={"RETORT_CRASH_AT": point})
                self.assertEqual(r.returncode, -9)
                before = len(server.asked(CHAT))
                self.ok(*self.texts_command(server, n=70, out=out))
                self.assertEqual(len(server.asked(CHAT)) - before, 70 - 32)
                self.assertEqual((self.dir / out / "answers.jsonl").read_bytes(), (self.dir / "whole/answers.jsonl").read_bytes())
                self.ok("ledger", "verify", f"{out}/ledger.jsonl")
                self.assertEqual(sum(e["kind"] == "output" for e in self.ledger(out)), 70)


class Identity(EndpointTest):
    def test_a_server_replaced_in_mid_run_stops_it(self):
        """What the other one answered is thrown away; the first one back, the same command goes on."""
        server = self.serve()

        def replaced(path, _, number):
            if path == CHAT and number == 40:
                server.model = "toy-2"
        server.fault = replaced
        self.refused_remotely(self.texts_command(server, n=70), "not the server", "toy-1", "toy-2")
        kept = (self.dir / "out/answers.part.jsonl").read_text().splitlines()
        self.assertEqual(len(kept), 32)
        self.refused_remotely(self.texts_command(server, n=70), "not the server")
        server.model, server.fault = "toy-1", lambda *_: None
        self.ok(*self.texts_command(server, n=70))
        self.assert_written(70)

    def test_a_server_replaced_between_batches_is_noticed_though_answers_do_not_say_so(self):
        server = self.serve()
        plain = server.chat
        server.chat = lambda question: {**plain(question), "model": "same"}

        def replaced(path, _, number):
            if path == CHAT and number == 31:
                server.model = "toy-2"
        server.fault = replaced
        self.refused_remotely(self.texts_command(server, n=40), "not the server")
        self.assertEqual((self.dir / "out/answers.part.jsonl").read_bytes(), b"")

    def test_one_of_several_models_is_asked_for_by_name(self):
        server = self.serve()
        server.models = lambda _: {"data": [{"id": "toy-1"}, {"id": "toy-9"}]}
        self.ok(*self.texts_command(server))
        self.assertEqual({question["model"] for question in server.asked(CHAT)}, {"toy-1"})
        server.models = lambda _: {"data": [{"id": "toy-8"}, {"id": "toy-9"}]}
        self.refused_remotely(self.texts_command(server, out="other"), "no model 'toy-1'", '"toy-8", "toy-9"')

    def test_what_a_server_calls_itself_cannot_write_to_the_terminal(self):
        server = self.serve(model="toy\x1b[2J-1")
        self.assertNotIn("\x1b", self.refused_remotely(self.texts_command(server), "no model 'toy-1'"))
        server.model = "toy-1"
        plain = server.chat
        server.chat = lambda q: {**plain(q), "model": f"\x1b[2J{q['seed']}"}
        self.assertNotIn("\x1b", self.refused_remotely(self.texts_command(server), "not the server"))


class Manners(EndpointTest):
    def test_every_request_names_retort_and_carries_one_key(self):
        server = self.serve()
        self.ok(*self.texts_command(server, "--api-key-env", "TOY_KEY"), env={"TOY_KEY": "sesame", "http_proxy": "http://127.0.0.1:9"})
        for _, _, headers in server.requests:
            self.assertTrue(headers["User-Agent"].startswith("retort/"), headers)
            self.assertEqual(headers["Authorization"], "Bearer sesame")

    def test_the_key_is_neither_written_nor_said(self):
        server = self.serve()
        env = {"TOY_KEY": "sesame-4711", "RETORT_LOG": "debug"}
        command = self.texts_command(server, "--api-key-env", "TOY_KEY")
        server.fault = lambda path, *_: Answer(401, {"error": {"message": "bad key sesame-4711"}}) if path == CHAT else None
        said = self.refused_remotely(command, "HTTP 401", "does not take this key", env=env)
        server.fault = lambda path, _, number: Answer(500, {"error": {"message": "key sesame-4711"}}) if number == 1 else None
        r = self.run_program(*command, env=env)
        self.assertEqual(r.returncode, OK, r.stderr)
        self.assertNotIn("sesame-4711", said + r.stderr.decode() + r.stdout.decode())
        for name in self.files("out"):
            self.assertNotIn(b"sesame-4711", (self.dir / "out" / name).read_bytes(), name)

    def test_a_key_that_is_missing_or_would_travel_in_the_clear_is_refused(self):
        server = self.serve()
        self.refused(USAGE, *self.texts_command(server, "--api-key-env", "NO_KEY"), says=("'NO_KEY'", "not set"))
        self.refused(USAGE, *self.texts_command("http://models.example.org", "--api-key-env", "K"), env={"K": "x"}, says="in the clear")
        self.refused(USAGE, *self.texts_command("http://me:pw@127.0.0.1:1"), says="credentials")
        self.assertEqual(server.requests, [])

    def test_an_address_that_is_none_is_refused(self):
        for address in ("http://", "http://a b", "http://host:0", "http://host:99999", "http://host/?q=1", "http://[::1", "https://h/#f"):
            with self.subTest(address):
                self.refused(USAGE, *self.texts_command(address), says="no address of a server")


class Gate(EndpointTest):
    def test_a_hosted_service_is_denied_before_anything_is_sent(self):
        for address, licence in (("https://api.openai.com/v1", "openai-terms"), ("https://models.example.org", "hosted-service")):
            with self.subTest(address):
                message = self.refused(LICENCE, *self.texts_command(address), says=("denied", licence, "--grant"))
                self.assertIn("host says", message)
        self.assertFalse((self.dir / "out").exists())

    def test_a_grant_of_the_service_opens_it(self):
        """As far as the network: nobody answers at this address, which is reserved for documentation."""
        grant = self.write("grant.json", {"grantor": "Models Ltd", "date": "2026-01-05", "scope": "distillation of toy-1",
                                          "uses": ["train-on-outputs"], "commercial": True, "licence": "hosted-service"})
        command = self.texts_command("http://192.0.2.1", "--attempts", 1, "--timeout", 0.2)
        self.refused(LICENCE, *command, says=("192.0.2.1", "hosted-service"))
        self.refused_remotely([*command, "--grant", grant], "192.0.2.1", "1 try")

    def test_an_undecided_licence_refuses_before_anything_is_sent(self):
        server = self.serve()
        self.refused(LICENCE, *self.texts_command(server, licence="our-own-terms"), says=("unknown", "toy-1"))
        self.refused(LICENCE, *self.texts_command(server, licence="gemma"), says=("permit-with-duties", "--accept-licence gemma"))
        self.assertEqual(server.requests, [])
        self.ok(*self.texts_command(server, "--accept-licence", "gemma", licence="gemma"))
        self.assertEqual(self.ledger()[0]["permit"]["verdict"], "permit-with-duties")

    def test_the_servers_own_name_for_the_model_is_evidence(self):
        server = self.serve(model="Meta-Llama-3-8B-Instruct")
        r = self.run_program(*self.texts_command(server))
        self.assertEqual(r.returncode, LICENCE, r.stderr)
        self.assertIn("llama3", r.stderr.decode())
        self.assertEqual(server.asked(CHAT), [])

    def test_what_a_server_cannot_say_must_be_said(self):
        server = self.serve()
        self.refused(USAGE, "collect", server.url, "--targets", "text", "--prompts", self.prompts(), "-o", "out",
                     says=("--model", "--teacher-licence"))
        self.refused(USAGE, *self.command(server, "--text", self.texts()), says=("topk or text", "sample"))
        self.refused(USAGE, *self.command(server, "--targets", "topk", "--text", self.texts()), says="--tokenizer")
        self.refused(USAGE, *self.command("model.gguf", "--text", self.texts()), says=("'model.gguf'", "no http address"))


class Scores(EndpointTest):
    def nll_of(self, path):
        """Mean over the documents of the fake model's own log-probabilities."""
        total = n = 0
        for line in path.read_text().splitlines():
            ids = list(json.loads(line)["text"].encode())
            total -= sum(log_probs(ids[:i])[ids[i]] for i in range(1, len(ids)))
            n += len(ids) - 1
        return total / n

    def test_every_way_of_scoring_gives_the_same_cache(self):
        expected = self.nll_of(self.texts(n=5))
        shards = {}
        for kind in ("vllm", "echo", "sglang", "llama"):
            server = self.serve(kind)
            result = self.ok_json(*self.scores_command(server, out=kind))
            self.assertTrue(math.isclose(result["teacher_nll"], expected, rel_tol=1e-6), (kind, result, expected))
            self.ok("ledger", "verify", f"{kind}/ledger.jsonl")
            self.assertEqual(self.ledger(kind)[0]["settings"]["endpoint"]["url"], server.url)
            shards[kind] = (self.dir / kind / "00000.rtc").read_bytes()
        self.assertEqual(len(set(shards.values())), 1)

    def test_one_more_than_wanted_is_asked_for_first(self):
        server = self.serve()
        self.ok(*self.scores_command(server))
        asked = [question["prompt_logprobs"] for question in server.asked("/v1/completions")]
        self.assertEqual((asked[0], set(asked[1:])), (9, {8}))

    def test_fewer_log_probabilities_than_asked_are_refused(self):
        for kind in ("vllm", "echo", "sglang", "llama"):
            for most in (5, 8):
                with self.subTest(kind=kind, most=most):
                    server = self.serve(kind)
                    server.most_log_probs = most
                    self.refused_remotely(self.scores_command(server), "asked for 9", "lower --k")
        self.assertFalse((self.dir / "out/00000.rtc").exists())

    def test_a_server_that_gives_fewer_later_is_noticed(self):
        server = self.serve()

        def tire(path, _, number):
            if path == "/v1/completions" and number == 1:
                server.most_log_probs = 4
        server.fault = tire
        self.refused_remotely(self.scores_command(server), "asked for 8 log-probabilities a position and gave")

    def test_a_server_that_cannot_score_text_is_told_what_it_can_do(self):
        server = self.serve("deaf")
        self.refused_remotely(self.scores_command(server), "cannot score given text", "prompt_logprobs: ignored", "--targets text")

    def test_another_vocabulary_is_refused(self):
        for kind in ("vllm", "llama"):
            with self.subTest(kind):
                server = self.serve(kind)
                server.shift = 1
                self.refused_remotely(self.scores_command(server), "wrong vocabulary", "sample text")

    def test_another_vocabulary_is_refused_by_the_texts_beside_the_figures(self):
        server = self.serve()
        server.tokenize = lambda _: (_ for _ in ()).throw(Answer(404))
        server.text_of = lambda i: f"<{i}>"
        self.refused_remotely(self.scores_command(server), "wrong vocabulary", "to the tokenizer")

    def test_a_vocabulary_of_another_size_is_refused(self):
        server = self.serve("llama")
        plain = server.models
        server.models = lambda q: {"data": [{**plain(q)["data"][0], "meta": {"n_vocab": N_VOCAB - 1}}]}
        self.refused_remotely(self.scores_command(server), "wrong vocabulary", "256 tokens")
        server.models = lambda q: {"data": [{**plain(q)["data"][0], "meta": {"n_vocab": 60_000_000_000}}]}
        self.refused_remotely(self.scores_command(server, out="other"), "60000000000 tokens", "wrong vocabulary")

    def test_figures_that_are_no_probabilities_are_refused(self):
        for name, change, words in [("above 1", lambda p: 0.5, "log-probability that is none"), ("too much", lambda p: -0.1, "add up to"),
                                    ("null", lambda p: None, "log-probability that is none")]:
            with self.subTest(name):
                server = self.serve()
                plain = server.listed
                server.listed = lambda *a: {i: {**e, "logprob": change(e["logprob"])} for i, e in plain(*a).items()}
                self.refused_remotely(self.scores_command(server), words)

    def test_a_killed_run_goes_on_with_the_same_bytes_and_asks_no_shard_twice(self):
        server = self.serve()
        self.ok(*self.scores_command(server, n=70, out="whole"))
        whole = len(server.asked("/v1/completions"))
        self.assertGreater(len([f for f in self.files("whole") if f.endswith(".rtc")]), 2)
        r = self.run_program(*self.scores_command(server, n=70), env={"RETORT_CRASH_AT": "collect.batch:4"})
        self.assertEqual(r.returncode, -9)
        self.assertTrue((self.dir / "out/00000.rtc").exists())
        before = len(server.asked("/v1/completions"))
        self.ok(*self.scores_command(server, n=70))
        self.assertLess(len(server.asked("/v1/completions")) - before, whole)
        for name in self.files("whole"):
            if name.endswith((".rtc", "cache.json")):
                self.assertEqual((self.dir / "out" / name).read_bytes(), (self.dir / "whole" / name).read_bytes(), name)
        self.ok("ledger", "verify", "out/ledger.jsonl")

    def test_a_server_replaced_in_mid_run_leaves_nothing_in_the_cache(self):
        server = self.serve()

        def replaced(path, _, number):
            if path == "/v1/completions" and number == 3:
                server.model = "toy-2"
        server.fault = replaced
        self.refused_remotely(self.scores_command(server), "not the server")
        self.assertFalse((self.dir / "out/00000.rtc").exists())

    def test_a_student_trains_on_what_was_collected(self):
        server = self.serve()
        folder = self.tiny_model()  # more rows than tokens, as config.json says
        self.ok(*self.scores_command(server, "--sequence", 256, tokenizer=folder))
        result = self.ok_json("train", folder, "--cache", "out", "--tokens", 8000, "--batch-tokens", 256, "-o", "run")
        self.assertLess(result["last_loss"], result["first_loss"])

    def test_text_longer_than_the_servers_context_is_refused(self):
        server = self.serve("llama")
        self.refused(INPUT, *self.scores_command(server, "--sequence", 513), says=("513", "512"))


if __name__ == "__main__":
    main()
