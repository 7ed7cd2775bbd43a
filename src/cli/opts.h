/* opts.h - options of a command: one table gives parsing, --help and the errors. */
#ifndef RT_CLI_OPTS_H
#define RT_CLI_OPTS_H

#include "core/core.h"

typedef enum rt_opt_kind {
    RT_OPT_FLAG,    /* bool */
    RT_OPT_STR,     /* const char * */
    RT_OPT_OUT,     /* const char *: a file or folder to write; an existing device, pipe or socket is refused */
    RT_OPT_STRS,    /* rt_opt_list: may be given several times, and takes all values up to the next option */
    RT_OPT_EACH,    /* rt_opt_list: may be given several times, one value each */
    RT_OPT_INT,     /* int64_t: 512, 2k, 1.5M */
    RT_OPT_NUM,     /* double */
    RT_OPT_DURATION /* double, seconds: 90s, 8m, 1.5h */
} rt_opt_kind;

#define RT_OPT_MAX 128
typedef struct rt_opt_list {
    const char *v[RT_OPT_MAX];
    size_t n;
} rt_opt_list;

typedef struct rt_opt {
    const char *name; /* long, without dashes; NULL ends the table */
    char letter;      /* short, 0: none */
    rt_opt_kind kind;
    void *to;         /* variable of the kind; keeps its value when the option is not given */
    const char *arg;  /* "FILE" in the help */
    const char *help; /* one line, with the default */
} rt_opt;

/* What every command takes. */
typedef struct rt_common {
    bool json, help, quiet;
    int64_t threads, seed;
    bool seed_given;       /* else seed is the default, 1 */
    const char *precision; /* "auto" or "f32" */
    bool precision_given;  /* else it is the default, "auto" */
} rt_common;

/* Parses argv[1..]; operands are left in `operands`. Applies --threads. *done: help was printed, return RT_OK.
 * Errors are RT_USAGE and name the nearest option. */
RT_MUST_USE rt_status rt_opts_parse(int argc, char **argv, const char *usage, const char *about, const rt_opt *opts,
                                    rt_common *common, rt_opt_list *operands, bool *done, rt_err *err);

/* Prints the error the way every command does and returns the exit code. */
int rt_cli_fail(const char *command, rt_status st, const rt_err *err);

#endif
