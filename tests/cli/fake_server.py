"""An OpenAI-compatible server that says what the test wants and fails as the test wants, on the loopback interface.

Its "model" is a hash: the distribution after a prefix depends on the prefix alone, over the byte vocabulary of program.py,
so a test can compute what must have come out. Faults are functions request -> None or an answer to give instead."""
import hashlib
import http.server
import json
import math
import struct
import threading

from program import byte_alphabet

N_VOCAB = 257
OF_CHARACTER = {character: byte for byte, character in byte_alphabet().items()}


def log_probs(ids):
    """A log-probability of every token after ids."""
    seed = hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).digest()
    scores = [(seed[i % 32] * 7 + i * seed[(i + 5) % 32]) % 251 / 25 for i in range(N_VOCAB)]
    total = math.log(sum(math.exp(s) for s in scores))
    return [s - total for s in scores]


def top(ids, k):
    row = log_probs(ids)
    best = sorted(range(N_VOCAB), key=lambda i: (-row[i], i))[:k]
    return [(i, row[i]) for i in best]


class Answer(Exception):
    """Given instead of what the server would have said. `body`: bytes, or an object."""

    def __init__(self, status, body=None, headers=(), length=None):
        super().__init__(status)
        self.status, self.headers = status, dict(headers)
        self.body = body if isinstance(body, bytes) else json.dumps(body or {"error": {"message": f"status {status}"}}).encode()
        self.length = len(self.body) if length is None else length


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one piece

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.handle_request(None)

    def do_POST(self):
        self.handle_request(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def handle_request(self, question):
        server = self.server.fake
        try:
            body = server.answer(self.path, question, self.headers)
            reply = Answer(200, body)
        except Answer as instead:
            reply = instead
        try:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(reply.length))
            self.end_headers()
            self.wfile.write(reply.body)
            if reply.length != len(reply.body):
                self.close_connection = True
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


class FakeServer:
    """kind: "vllm", "echo", "sglang", "llama" or "deaf" (writes text, scores none)."""

    def __init__(self, kind="vllm", model="toy-1"):
        self.kind, self.model = kind, model
        self.requests, self.lock = [], threading.Lock()
        self.fault = lambda path, question, number: None
        self.most_log_probs = 1000
        self.in_flight = self.most_in_flight = 0
        self.shift = 0  # of its vocabulary

    def __enter__(self):
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.fake = self
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def asked(self, path):
        """Questions that came to a path, in order."""
        return [question for p, question, _ in self.requests if p == path]

    def answer(self, path, question, headers):
        with self.lock:
            number = sum(p == path for p, _, _ in self.requests)
            self.requests.append((path, question, dict(headers)))
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            instead = self.fault(path, question, number)
            if instead is not None:
                raise instead
            return self.regular(path, question)
        finally:
            with self.lock:
                self.in_flight -= 1

    def regular(self, path, question):
        ways = {"/v1/models": self.models, "/v1/chat/completions": self.chat, "/tokenize": self.tokenize}
        if self.kind == "llama":
            ways.update({"/props": self.props, "/completion": self.complete_next})
        if self.kind in ("vllm", "echo", "deaf"):
            ways["/v1/completions"] = self.complete
        if self.kind == "sglang":
            ways["/generate"] = self.generate
        if path not in ways:
            raise Answer(404)
        return ways[path](question)

    def models(self, _):
        entry = {"id": self.model, "object": "model", "created": 7 * len(self.requests), "owned_by": self.kind}
        if self.kind == "llama":
            entry["meta"] = {"n_vocab": N_VOCAB, "n_params": 1000}
        return {"object": "list", "data": [entry]}

    def props(self, _):
        return {"total_slots": 2, "build_info": "b1", "model_path": self.model, "chat_template": "{}",
                "default_generation_settings": {"n_ctx": 512}}

    def ids(self, text):
        return [(byte + self.shift) % 256 for byte in text.encode()]

    def tokenize(self, question):
        return {"tokens": self.ids(question["content" if self.kind == "llama" else "prompt"])}

    def chat(self, question):
        said = question["messages"][-1]["content"]
        words = f"Answer to {said!r}, seed {question['seed']}."
        return {"model": self.model, "choices": [{"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}],
                "usage": {"completion_tokens": min(len(words.split()), question["max_tokens"])}}

    def limited(self, k):
        return min(k, self.most_log_probs)

    def text_of(self, i):
        return bytes([i]).decode("utf-8", "replace") if i < 256 else "<|end|>"

    def complete(self, question):
        ids = question["prompt"]
        choice = {"index": 0, "text": "x", "logprobs": None, "finish_reason": "length"}
        if self.kind == "vllm" and "prompt_logprobs" in question:
            choice["prompt_logprobs"] = [None] + [self.listed(ids[:i], ids[i], question["prompt_logprobs"]) for i in range(1, len(ids))]
        if self.kind == "echo" and question.get("echo") and question.get("return_tokens_as_token_ids"):
            k = self.limited(question["logprobs"])
            choice["logprobs"] = {
                "tokens": [f"token_id:{i}" for i in ids + [65]],
                "token_logprobs": [None] + [log_probs(ids[:i])[(ids + [65])[i]] for i in range(1, len(ids) + 1)],
                "top_logprobs": [None] + [{f"token_id:{i}": p for i, p in top(ids[:n], k)} for n in range(1, len(ids) + 1)]}
        return {"model": self.model, "choices": [choice], "usage": {"completion_tokens": 1}}

    def listed(self, prefix, label, k):
        entries = top(prefix, self.limited(k))
        if label not in dict(entries):
            entries.append((label, log_probs(prefix)[label]))
        return {str(i): {"logprob": p, "rank": n + 1, "decoded_token": self.text_of(i)} for n, (i, p) in enumerate(entries)}

    def complete_next(self, question):
        ids, (label, _) = question["prompt"], question["logit_bias"][0]
        entries = [{"id": i, "token": "", "bytes": [i] if i < 256 else [], "logprob": p} for i, p in top(ids, self.limited(question["n_probs"]))]
        return {"model": self.model, "content": "", "truncated": False, "tokens_evaluated": len(ids),
                "completion_probabilities": [{"id": label, "logprob": log_probs(ids)[label], "top_logprobs": entries}]}

    def generate(self, question):
        ids, k = question["input_ids"], self.limited(question["top_logprobs_num"])
        own = [[None, ids[0], None]] + [[log_probs(ids[:i])[ids[i]], ids[i], self.text_of(ids[i])] for i in range(1, len(ids))]
        tops = [None] + [[[p, i, self.text_of(i)] for i, p in top(ids[:n], k)] for n in range(1, len(ids))]
        return {"text": "x", "meta_info": {"input_token_logprobs": own, "input_top_logprobs": tops}}
