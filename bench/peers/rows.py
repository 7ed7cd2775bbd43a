"""What is compared. A row runs its sides in turn; a line of the table is a figure of one side over a figure of another."""
import json
import shutil
import statistics
import sys
import time
from dataclasses import dataclass, field

import programs
from programs import TEACHER, TEXT

KEEP = "0,1,2,8,9,11,20,21,24,27,28,29"  # the student's 12 layers
SEQUENCE = 512
WARMUP, STEPS = 1, 3  # of a turn: steps that do not count, all steps
THREADS = 2
ROW_SECONDS = 1500  # no round of a row begins later

HELD = {  # level: how retort, and how PyTorch's libraries, are held to it
    "avx512": {"RETORT_ISA": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "ATEN_CPU_CAPABILITY": "avx512",
               "MKL_ENABLE_INSTRUCTIONS": "AVX512"},
    "avx2": {"RETORT_ISA": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2",
             "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
}


@dataclass
class Line:
    name: str
    ours: tuple  # (side, key)
    theirs: tuple
    goal: str
    scale: float = 1.0


@dataclass
class Row:
    name: str
    about: str
    sides: dict  # name: function that returns {key: value} of one round, or a list of them, of several
    lines: list
    needs: dict  # side: script of tools/ that sets its program up
    rounds: int = 1000  # at most
    absent: str = ""  # why this processor has no such row


@dataclass
class Work:
    """What is made once, where the sides write, and what the machine is."""
    folder: object
    doctor: dict  # what retort doctor says
    versions: dict = field(default_factory=dict)

    @property
    def precision(self):
        """Of products, where it is free: the faster one."""
        return self.doctor["matrix_inputs"]

    def without(self, level):
        """Why nothing can be held to an instruction set below the processor's own."""
        levels = [entry["name"] for entry in self.doctor["isa"]["levels"] if entry["available"]]
        if level not in levels:
            return f"the processor has no {level}"
        return f"{level} is all the processor has: see f32" if level == levels[-1] else ""

    def path(self, name):
        return self.folder / name

    def student(self):
        if not self.path("student").exists():
            programs.retort("init", TEACHER, "-o", self.path("student"), "--keep", KEEP)
        return self.path("student")

    def teacher(self):
        """The teacher in the Hugging Face layout, for others."""
        if not self.path("teacher").exists():
            programs.retort("export", TEACHER, "-o", self.path("teacher"), "--type", "safetensors")
        return self.path("teacher")

    def cache(self):
        if not self.path("cache").exists():
            self.collect("cache", STEPS * 8, "--targets", "topk", "--k", 32)
        return self.path("cache")

    def targets(self):
        """The same for PyTorch."""
        path = self.path("targets.pt")
        if not path.exists():
            programs.run([programs.PEERS / "bin/python", programs.ROOT / "bench/peers/torch_kd.py", self.teacher(), self.student(),
                          TEXT, "--targets", path, "--steps", STEPS, "--batch", 8])
        return path

    def collect(self, name, sequences, *options):
        """Whole documents: a sequence more than asked, so that no step is short of tokens."""
        shutil.rmtree(self.path(name), ignore_errors=True)
        report, _ = programs.retort("collect", TEACHER, "--text", TEXT, "-o", self.path(name), "--sequence", SEQUENCE, "--tokens",
                                    (sequences + 8) * SEQUENCE, "--threads", THREADS, *options)
        return report["tokens_per_s"]

    def python(self, script, *options, environment=None):
        said, peak = programs.python(script, self.teacher(), self.student(), TEXT, *options, "--steps", STEPS, "--warmup", WARMUP,
                                     "--threads", THREADS, environment=environment)
        self.versions |= said["versions"]
        return {"tokens_per_s": statistics.median(said["tokens_per_s"]), "peak_bytes": peak}


def retort_step(w, cache, sequences, precision="auto", environment=None, threads=THREADS):
    shutil.rmtree(w.path("run"), ignore_errors=True)
    _, peak = programs.retort("train", w.student(), "--cache", cache, "--steps", STEPS, "--batch-tokens", sequences * SEQUENCE,
                              "--threads", threads, "--precision", precision, "-o", w.path("run"), environment=environment)
    steps = [json.loads(line) for line in (w.path("run") / "metrics.jsonl").read_text().splitlines()]
    rates = [step["tokens_per_s"] for step in steps if "step" in step and "event" not in step]
    return {"tokens_per_s": statistics.median(rates[WARMUP:]), "peak_bytes": peak}


def cached_row(w, name, about, precision, goal, memory_goal=None, sequences=8, environment=None, absent=""):
    ours, theirs = "retort", "PyTorch"
    lines = [Line(f"{about}: tokens/s", (ours, "tokens_per_s"), (theirs, "tokens_per_s"), goal)]
    if memory_goal:
        lines.append(Line(f"{about}: peak memory, MB", (ours, "peak_bytes"), (theirs, "peak_bytes"), memory_goal, 1e-6))
    return Row(name, about, {
        ours: lambda: retort_step(w, w.cache(), sequences, "auto" if precision == "bf16" else "f32", environment),
        theirs: lambda: w.python("torch_kd.py", "--targets", w.targets(), "--precision", precision, "--batch", sequences,
                                 environment=environment),
    }, lines, {theirs: "setup-peers.sh"}, absent=absent)


def online_row(w):
    """retort's teacher speaks once, into a cache: seconds a token of both parts are added."""
    sequences = 4

    def retort():
        speaking = w.collect("spoken", STEPS * sequences)
        training = retort_step(w, w.path("spoken"), sequences)["tokens_per_s"]
        return {"tokens_per_s": 1 / (1 / speaking + 1 / training)}

    def line(side):
        return Line(f"teacher + student, beside {side}: tokens/s", ("retort", "tokens_per_s"), (side, "tokens_per_s"),
                    ">= 3.5 with AMX")

    return Row("online", f"teacher and student, {w.precision}", {
        "retort": retort,
        "PyTorch online": lambda: w.python("torch_kd.py", "--batch", sequences, "--precision", w.precision),
        "TRL GKDTrainer": lambda: w.python("trl_gkd.py", "--batch", sequences, "--precision", w.precision),
    }, [line("PyTorch online"), line("TRL GKDTrainer")],
        {"PyTorch online": "setup-peers.sh", "TRL GKDTrainer": "setup-trl.sh"})


def bench(part, *options, threads=THREADS):
    return programs.retort("bench", TEACHER, "--only", part, "--threads", threads, *options)[0]


def bare(threads=THREADS):
    """Multiply-adds in registers a second, by type of the inputs."""
    return {kind: rate["median"] for kind, rate in bench("bare", threads=threads)["bare_flops"].items() if rate}


def llama_bench(w, *options):
    test = json.loads(programs.llama("llama-bench", "-m", TEACHER, "-t", THREADS, "-r", 2, "-o", "json", *options))[0]
    w.versions["llama.cpp"] = str(test["build_number"])
    return max(test["samples_ts"])


def llama_streams():
    out = programs.llama("llama-batched-bench", "-m", TEACHER, "-t", THREADS, "-c", 8192, "-npp", 16, "-ntg", 34, "-npl", 32,
                         "--output-format", "jsonl")
    return next(json.loads(line)["speed_tg"] for line in out.splitlines() if line.startswith("{"))


def scoring_row(w):
    return Row("scoring", "teacher over text", {
        "retort": lambda: {"tokens_per_s": bench("teacher", "--quick")["teacher_tokens_per_s"]},
        "llama.cpp": lambda: {"tokens_per_s": llama_bench(w, "-p", 512, "-n", 0)},
    }, [Line("teacher scoring: tokens/s", ("retort", "tokens_per_s"), ("llama.cpp", "tokens_per_s"),
             ">= 4 with AMX, 1.2 without")], {"llama.cpp": "setup-llama-cpp.sh"})


def decode_row(w):
    return Row("decode", "writing", {
        "retort": lambda: bench("decode")["decode_tokens_per_s"],
        "llama.cpp": lambda: {"1": llama_bench(w, "-p", 0, "-n", 34), "32": llama_streams()},
    }, [Line("writing, 1 stream: tokens/s", ("retort", "1"), ("llama.cpp", "1"), ">= 1"),
        Line("writing, 32 streams: tokens/s", ("retort", "32"), ("llama.cpp", "32"), ">= 3")],
        {"llama.cpp": "setup-llama-cpp.sh"})


def threads_row(w):
    """Beside it what a second thread gives at all: processors may be two threads of one core."""
    def by(threads):
        return {"bare": bare(threads)["F32"], **retort_step(w, w.cache(), 8, threads=threads)}

    two, one = "2 threads", "1 thread"
    return Row("threads", "a step by 1 and by 2 threads", {two: lambda: by(2), one: lambda: by(1)}, [
        Line("step by 2 threads over 1: tokens/s", (two, "tokens_per_s"), (one, "tokens_per_s"), ">= 1.8"),
        Line("bare f32 multiply-adds by 2 threads over 1: GFLOP/s", (two, "bare"), (one, "bare"), "", 1e-9)], {})


def flops_a_token(length):
    """Of a step of bench's student: matrices, and scores and sums of attention below the diagonal, times 3."""
    model, _ = programs.retort("inspect", TEACHER)
    embedding = model["vocab_size"] * model["hidden"]
    layers = (model["layers"] + 1) // 2
    matrices = embedding + (model["parameters"] - embedding) / model["layers"] * layers
    return 6 * (matrices + layers * model["hidden"] * length)


def growth_row(w):
    def measured():
        rates = bench("length", "--lengths", "512,4096")["step_tokens_per_s_by_length"]
        return {"growth": rates["512"] / rates["4096"]}

    return Row("growth", "time a token of sequences of 4096 over 512", {
        "measured": measured, "FLOPs": lambda: {"growth": flops_a_token(4096) / flops_a_token(512)},
    }, [Line("time a token, T = 4096 over T = 512", ("measured", "growth"), ("FLOPs", "growth"), "<= 1")],
        {}, rounds=5)


def gemm_row(w, precision, goal, absent=""):
    """Both sides come from one run, which takes its steps and its bare products in turn: each of its turns is a round."""
    found = {}

    def step():
        found.update(bench("step", "--precision", "auto" if precision == "bf16" else "f32"))
        return [{"ms": turn["step_seconds"] * 1e3} for turn in found["step_turns"]]

    return Row(f"gemm-{precision}", "a step over its matrix products", {
        "step": step, "products": lambda: [{"ms": turn["gemm_seconds"] * 1e3} for turn in found["step_turns"]],
    }, [Line(f"step over its products, {precision}: ms", ("step", "ms"), ("products", "ms"), goal)], {}, rounds=1,
        absent=absent)


def all_rows(w):
    no_bf16 = "" if w.precision == "bf16" else "the processor has no fast bf16 products"
    return [
        cached_row(w, "step-bf16", "cached step, bf16", "bf16", ">= 3 with AMX", "<= 0.33", absent=no_bf16),
        cached_row(w, "step-f32", "cached step, f32", "f32", ">= 1.15", "<= 0.33"),
        cached_row(w, "step-avx512", "cached step, held to AVX-512 without bf16", "f32", ">= 1", sequences=4,
                   environment=HELD["avx512"], absent=w.without("avx512")),
        cached_row(w, "step-avx2", "cached step, held to AVX2", "f32", ">= 1", sequences=4, environment=HELD["avx2"],
                   absent=w.without("avx2")),
        online_row(w),
        scoring_row(w),
        decode_row(w),
        threads_row(w),
        growth_row(w),
        gemm_row(w, "bf16", "<= 1.4 with AMX", no_bf16),
        gemm_row(w, "f32", "<= 1.2 with AVX-512"),
    ]


def measure(row, rounds, look):
    """Each side's figures of rounds A B A B ..., and why sides failed. look() is called before each round."""
    samples, failed = {side: [] for side in row.sides}, {}
    for side, script in row.needs.items():
        try:
            programs.set_up(script)
        except programs.Failed as error:
            failed[side] = str(error)
    begin = time.monotonic()
    for i in range(min(rounds, row.rounds)):
        if time.monotonic() - begin > ROW_SECONDS:
            break
        look()
        for side, turn in row.sides.items():
            if side in failed:
                continue
            print(f"   round {i + 1}: {side}", file=sys.stderr, flush=True)
            try:
                made = turn()
                samples[side] += made if isinstance(made, list) else [made]
            except programs.Failed as error:
                failed[side] = str(error)
            except (ValueError, KeyError, TypeError, OSError, StopIteration) as error:
                failed[side] = f"not understood: {error!r}"
    return samples, failed
