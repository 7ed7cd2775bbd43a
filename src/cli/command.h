/* command.h - what all commands do the same way: begin with options, end with an exit code, print JSON, open models. */
#ifndef RT_CLI_COMMAND_H
#define RT_CLI_COMMAND_H

#include "cli/commands.h"
#include "cli/opts.h"
#include "model/models.h"
#include "record/record.h"

/* A command's own part: everything after its options were read. */
typedef struct rt_cli {
    const char *name;
    rt_common common;
    int64_t memory; /* bytes the process may hold with a model, 0: what the machine has; RT_CLI_MEMORY sets it */
    int64_t span;   /* longest sequence that a model will be given, 0: the usual */
    rt_opt_list operands;
    rt_err err;
} rt_cli;

/* Option of the commands that run a model forward. */
#define RT_CLI_MEMORY(to)                                                                 \
    {                                                                                     \
        "memory", 0, RT_OPT_INT, (to), "BYTES",                                           \
            "held at most; larger models are read layer by layer (default: what is free)" \
    }

/* Reads the options; true: go on. false: *code is the exit code (help was asked for, or usage is wrong).
 * operands: how many are needed and how many allowed, `what` names them in the refusal. */
bool rt_cli_begin(rt_cli *c, const char *name, int argc, char **argv, const char *usage, const char *about,
                  const rt_opt *opts, size_t least, size_t most, const char *what, int *code);
/* Exit code of the result, after printing the error if it is one. */
int rt_cli_end(rt_cli *c, rt_status st);

/* Is there a model at `path`, by its first bytes? Refuses what is no model at all in words that say what it is instead.
 */
RT_MUST_USE rt_status rt_cli_check_model(rt_cli *c, const char *path);
/* Refuses an output `out` that is, or whose weights are, the very file or folder `path` a model is read from. */
RT_MUST_USE rt_status rt_cli_check_apart(rt_cli *c, const char *path, const char *out);
RT_MUST_USE rt_status rt_cli_open_model(rt_cli *c, const char *path, rt_model **out);
/* Asks the gate (flow/permit.h) for `uses` of the model; decisions lie in <dir>/decisions.jsonl. accept, reason, grant
 * may be NULL. */
RT_MUST_USE rt_status rt_cli_permit(rt_cli *c, const char *model, unsigned uses, const char *dir, const char *accept,
                                    const char *reason, const char *grant, rt_permit **out);
/* "0,1,2,28,29", given to `option`, into layers[RT_MAX_LAYERS]. */
RT_MUST_USE rt_status rt_cli_layers(const char *option, const char *list, int *layers, int *n, rt_err *err);
/* Compact JSON and a newline on standard output. */
void rt_cli_print_json(const json_t *j);

#endif
