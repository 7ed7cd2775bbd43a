"""Every command teaches itself, and the page in docs/ says the same."""
import re
import subprocess
import sys

from program import RETORT, SOURCE, ProgramTest, main


class Help(ProgramTest):
    def commands(self):
        return re.findall(r"^  (\w+) {2,}", self.ok("--help").decode(), re.M)

    def test_commands_are_sorted_and_in_the_table_once(self):
        self.assertEqual(self.commands(), sorted(set(self.commands())))
        self.assertGreaterEqual(len(self.commands()), 15)

    def test_every_command_shows_usage_and_an_example(self):
        for name in self.commands():
            with self.subTest(name):
                text = self.ok(name, "--help").decode()
                self.assertTrue(text.startswith(f"usage: retort {name}"))
                self.assertRegex(text, rf"(?m)^example: .*retort {name}")
                self.assertEqual([line for line in text.splitlines() if len(line) > 120 and not line.startswith("example")], [])

    def test_help_wins_over_what_else_is_wrong(self):
        self.assertTrue(self.ok("inspect", "a", "b", "-h").startswith(b"usage:"))

    def test_version(self):
        self.assertRegex(self.ok("--version").decode(), r"^retort \d+\.\d+\.\d+\n$")

    def test_the_page_of_commands_is_current(self):
        r = subprocess.run([sys.executable, SOURCE / "tools/gen_cli_docs.py", RETORT, "--check"], capture_output=True, text=True, timeout=120)
        self.assertEqual(r.returncode, 0, r.stderr)


if __name__ == "__main__":
    main()
