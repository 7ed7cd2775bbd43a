/* retort: one program, a command a file, one sorted table. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "core/core.h"

typedef struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} command;

static const command commands[] = {
#define RT_COMMAND(name, fn, summary) {name, summary, rt_cmd_##fn},
#include "cli/commands.def"
#undef RT_COMMAND
};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

static void usage(FILE *to)
{
    fprintf(
        to,
        "retort %s - turns a large open-weight language model into a small one, and writes down what became of it\n\n"
        "usage: retort COMMAND [arguments]\n\n",
        rt_version());
    for (size_t i = 0; i < N_COMMANDS; i++) {
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
    }
    fprintf(to, "\nretort COMMAND --help explains a command. MODEL is a GGUF file, a safetensors file, or a Hugging "
                "Face folder.\n"
                "To begin: retort run examples/quickstart.yaml\n");
}

static int unknown_command(const char *given)
{
    const char *best = NULL;
    int distance = 4;
    for (size_t i = 0; i < N_COMMANDS; i++) {
        const int d = rt_edit_distance(given, commands[i].name);
        if (d < distance) {
            distance = d;
            best = commands[i].name;
        }
    }
    if (best != NULL) {
        fprintf(stderr, "retort: '%s' is no command; did you mean '%s'? retort --help lists them\n", given, best);
    } else {
        fprintf(stderr, "retort: '%s' is no command; retort --help lists them\n", given);
    }
    return rt_status_exit_code(RT_USAGE);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return rt_status_exit_code(RT_USAGE);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("retort %s\n", rt_version());
        return 0;
    }
    rt_interrupt_install();
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    return unknown_command(argv[1]);
}
