"""libretort.a exports what the public headers declare, these stand alone in C and C++, and programs on them work."""
import os
import pathlib
import re
import subprocess

from program import INPUT, LICENCE, SOURCE, TEACHER, ProgramTest, main, tokenizer_json

BUILD = pathlib.Path(os.environ["RETORT_BUILD"])
HEADERS = sorted((SOURCE / "include/retort").glob("*.h"))
PROMPT = "The capital of France is Paris. The capital of Italy is"


def of_the_build(name):
    """What the build was configured with."""
    found = re.search(rf"^{name}:\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.M)
    return found.group(1) if found else ""


def run(*args, **more):
    return subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=600, **more)


class Headers(ProgramTest):
    def compiles(self, compiler, suffix, *flags):
        for header in HEADERS:
            source = self.write(f"one{suffix}", f"#include <retort/{header.name}>\nint main(void) {{ return 0; }}\n")
            r = run(*compiler, *flags, "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "-I", SOURCE / "include", source)
            self.assertEqual(r.returncode, 0, f"{header.name}: {r.stderr}")

    def test_each_stands_alone_in_c(self):
        self.compiles(["cc"], ".c", "-std=c11")

    def test_each_stands_alone_in_cplusplus(self):
        self.compiles(["c++"], ".cc", "-std=c++11", "-Wno-missing-field-initializers")

    def test_the_archive_exports_what_they_declare(self):
        declared = set()
        for header in HEADERS:
            declared |= set(re.findall(r"^RT_API[^;(]*?\b(\w+)\(", header.read_text(), re.M))
        self.assertGreater(len(declared), 20)
        symbols = run("readelf", "--wide", "--symbols", BUILD / "libretort.a").stdout
        exported = {m.group(1) for m in re.finditer(r" (?:FUNC|OBJECT) +GLOBAL +DEFAULT +\d+ (\w+)$", symbols, re.M)}
        self.assertEqual(exported, declared)


class Programs(ProgramTest):
    def test_embedding_writes_what_the_program_writes(self):
        r = run(BUILD / "example_embed", TEACHER, PROMPT)
        self.assertEqual(r.returncode, 0, r.stderr)
        j = self.ok_json("generate", TEACHER, "-p", PROMPT, "-n", 32, "--precision", "f32")
        self.assertIn(j["text"], r.stdout)
        self.assertIn("134515008 parameters", r.stdout)
        logprob = float(re.search(r"log-probability (-?[\d.]+)", r.stdout).group(1))
        self.assertAlmostEqual(logprob, sum(j["logprobs"]), delta=0.01)

    def test_an_installed_library_is_found_by_pkg_config(self):
        r = run("cmake", "--install", BUILD, "--prefix", self.dir / "here")
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        (self.dir / "here").rename(self.dir / "elsewhere")
        found = next((self.dir / "elsewhere").rglob("retort.pc")).parent
        flags = run("pkg-config", "--cflags", "--libs", "retort", env={**os.environ, "PKG_CONFIG_PATH": str(found)})
        self.assertEqual(flags.returncode, 0, flags.stderr)
        program, sanitizers = self.dir / "embed", of_the_build("RETORT_SANITIZE")
        r = run(of_the_build("CMAKE_C_COMPILER"), SOURCE / "examples/embed.c", *flags.stdout.split(),
                *([f"-fsanitize={sanitizers}"] if sanitizers else []), "-o", program)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("usage", run(program).stderr)

    def test_distilling_brings_a_student_nearer(self):
        teacher, text = self.tiny_model(), self.texts(n=24)
        self.ok("init", teacher, "-o", "student", "--keep", "0,2")
        r = run(BUILD / "example_distil", teacher, "student", text, "work", 40000, cwd=self.dir)
        self.assertEqual(r.returncode, 0, r.stderr)
        before, after = map(float, re.findall(r"KL to the teacher ([\d.]+)", r.stdout))
        self.assertLess(after, 0.9 * before)
        self.assertEqual(self.ok_json("inspect", "work/student.gguf")["layers"], 2)
        self.ok("ledger", "verify", "work/cache")

    def test_the_gate_refuses_programs_too(self):
        teacher = self.tiny_model(licence=None)
        r = run(BUILD / "example_distil", teacher, teacher, self.texts(), "work", 1000, cwd=self.dir)
        self.assertEqual(r.returncode, LICENCE, r.stderr)
        self.assertIn("unknown", r.stderr)
        self.assertFalse((self.dir / "work").exists())

    def test_a_student_over_other_tokens_is_refused(self):
        """The same number of ids, two of which mean each other's text: nothing else would notice."""
        teacher, student, tokens = self.tiny_model(), self.tiny_model("student"), tokenizer_json()
        vocabulary = tokens["model"]["vocab"]
        vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
        self.write("student/tokenizer.json", tokens)
        r = run(BUILD / "example_distil", teacher, student, self.texts(n=24), "work", 1000, cwd=self.dir)
        self.assertEqual(r.returncode, INPUT, r.stderr)
        self.assertIn("another tokenizer", r.stderr)


if __name__ == "__main__":
    main()
