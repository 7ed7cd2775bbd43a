# A thin door to CMake's presets and the scripts in tools/. `make help` lists what it opens.
.DEFAULT_GOAL := all
.PHONY: all check check-interop fetch bench bench-peers format lint asan tsan clang fuzz sizes clean help
.NOTPARALLEL:

JOBS ?= $(shell nproc)
SOURCES = $(wildcard src/*/*.[ch] include/retort/*.h fuzz/*.c bench/*.c tests/*.h tests/*/*.[ch] tests/unit/*/*.[ch])

all: ## build/release/retort
	cmake --preset release
	cmake --build --preset release --parallel $(JOBS)

check: all ## all tests but those that need other people's programs; offline once the teacher is there
	ctest --preset release

check-interop: all ## against llama.cpp, transformers and a browser
	tools/check-interop.sh

fetch: ## the models that tests read, into models/
	tools/fetch-teacher.sh smollm2 gemma3

bench: all ## how fast this machine distils
	build/release/retort bench

bench-peers: all ## beside PyTorch, TRL and llama.cpp, in turn; ROUNDS=5, ONLY=ROW; writes docs/performance.md
	tools/setup.sh packaging/apt-packages-interop.txt
	bench/peers/run.py $(addprefix --only ,$(ONLY))

format: ## write sources in the house style
	clang-format-14 -i $(SOURCES)

lint: all ## layers, banned calls, links of pages, clang-tidy
	ctest --preset release --label-regex lint
	tools/tidy.sh build/release

asan tsan clang: ## build and test with sanitizers, or another compiler
	cmake --preset $@
	cmake --build --preset $@ --parallel $(JOBS)
	ctest --preset $@

fuzz: ## libFuzzer targets, each run for FUZZ_SECONDS (60)
	cmake --preset fuzz
	cmake --build --preset fuzz --parallel $(JOBS)
	tools/fuzz.sh build/fuzz

sizes: ## lines a file and a module
	@python3 tools/sizes.py

clean: ## remove everything that was built (models/ and runs/ stay)
	rm -rf build

help:
	@sed -n 's/^\([a-z][a-z -]*\):[^#]*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{printf "  %-16s %s\n", $$1, $$2}'
