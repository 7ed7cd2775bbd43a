"""A build without libcurl: everything but servers as teachers."""
from program import INPUT, ProgramTest, main


class NoEndpoint(ProgramTest):
    def test_a_server_is_refused_with_the_remedy(self):
        prompts = self.write_lines("prompts.jsonl", [{"prompt": "Why?"}])
        self.refused(INPUT, "collect", "http://127.0.0.1:9", "--targets", "text", "--prompts", prompts, "-o", "out", "--model", "m",
                     "--teacher-licence", "apache-2.0", says=("without libcurl", "libcurl4-openssl-dev"))
        missing = self.ok_json("doctor")["missing"]
        self.assertTrue(any("libcurl" in m["what"] for m in missing), missing)


if __name__ == "__main__":
    main()
