/* Option parsing on getopt_long, driven by a command's table. */
#include "cli/opts.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FIRST_ID = 1000, MAX_OPTIONS = 64 };
enum { NO_SEED = -1, DEFAULT_SEED = 1 }; /* counts cannot be negative */

static const char *const precisions = "auto|f32";

/* The command's own options and then the common ones. */
static size_t merge(rt_opt all[MAX_OPTIONS], const rt_opt *own, rt_common *c)
{
    const rt_opt common[] = {
        {"json", 0, RT_OPT_FLAG, &c->json, NULL,
         "machine-readable output on standard output, messages on standard error"},
        {"threads", 't', RT_OPT_INT, &c->threads, "N", "threads (default: all processors)"},
        {"seed", 's', RT_OPT_INT, &c->seed, "S", "seed of every random choice (default 1)"},
        {"precision", 0, RT_OPT_STR, &c->precision, precisions,
         "auto: bf16 products where faster, codes in decoding (default); f32: neither"},
        {"quiet", 'q', RT_OPT_FLAG, &c->quiet, NULL, "warnings and errors only"},
        {"help", 'h', RT_OPT_FLAG, &c->help, NULL, "this text"},
    };
    size_t n = 0;
    for (; own != NULL && own->name != NULL; own++) {
        all[n++] = *own;
    }
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++) {
        bool own_has_letter = false;
        for (size_t j = 0; j < n; j++) {
            own_has_letter |= common[i].letter != 0 && all[j].letter == common[i].letter;
        }
        all[n] = common[i];
        all[n++].letter = own_has_letter ? '\0' : common[i].letter;
    }
    return n;
}

static void print_help(const char *usage, const char *about, const rt_opt *all, size_t n)
{
    printf("usage: retort %s\n\n%s\n\n", usage, about);
    for (size_t i = 0; i < n; i++) {
        char left[64];
        char letter[8] = "    ";
        if (all[i].letter != '\0') {
            snprintf(letter, sizeof letter, "-%c, ", all[i].letter);
        }
        snprintf(left, sizeof left, "  %s--%s %s", letter, all[i].name, all[i].arg != NULL ? all[i].arg : "");
        printf("%-34s %s\n", left, all[i].help);
    }
}

/* Outputs replace what has their name, which must never be /dev/null. */
static rt_status check_output(const rt_opt *o, const char *path, rt_err *err)
{
    struct stat sb;
    if (*path == '\0') {
        return rt_fail(err, RT_USAGE, 0, "option '--%s' needs a path", o->name);
    }
    if (stat(path, &sb) == 0 && !S_ISREG(sb.st_mode) && !S_ISDIR(sb.st_mode)) {
        return rt_fail(err, RT_IO, 0, "option '--%s': '%s' is neither a file nor a folder and will not be replaced",
                       o->name, path);
    }
    return RT_OK;
}

static rt_status store(const rt_opt *o, const char *value, rt_err *err)
{
    bool ok = true;
    const char *kind = "";
    switch (o->kind) {
    case RT_OPT_FLAG: *(bool *)o->to = true; break;
    case RT_OPT_STR: *(const char **)o->to = value; break;
    case RT_OPT_OUT: *(const char **)o->to = value; return check_output(o, value, err);
    case RT_OPT_INT: ok = rt_parse_count(value, o->to), kind = "whole number, as in 512, 2k or 1.5M"; break;
    case RT_OPT_NUM: ok = rt_parse_f64(value, o->to), kind = "number"; break;
    case RT_OPT_DURATION: ok = rt_parse_duration(value, o->to), kind = "duration, as in 90s, 8m or 1.5h"; break;
    case RT_OPT_EACH:
    case RT_OPT_STRS: {
        rt_opt_list *l = o->to;
        if (l->n == RT_OPT_MAX) {
            return rt_fail(err, RT_USAGE, 0, "option '--%s' takes at most %d values", o->name, RT_OPT_MAX);
        }
        l->v[l->n++] = value;
        break;
    }
    }
    return ok ? RT_OK : rt_fail(err, RT_USAGE, 0, "option '--%s': '%s' is no %s", o->name, value, kind);
}

/* getopt leaves in optopt: 0 for an unknown long option, the letter of a short one, the id of one given a value it does
 * not take. */
static rt_status unknown(const char *given, const rt_opt *all, size_t n, rt_err *err)
{
    const char *best = NULL;
    int distance = 4;
    if (optopt >= FIRST_ID) {
        return rt_fail(err, RT_USAGE, 0, "option '--%s' takes no value", all[optopt - FIRST_ID].name);
    }
    if (optopt != 0) {
        return rt_fail(err, RT_USAGE, 0, "unknown option '-%c'; --help lists them", optopt);
    }
    for (size_t i = 0; i < n; i++) {
        const int d = rt_edit_distance(given + strspn(given, "-"), all[i].name);
        if (d < distance) {
            distance = d;
            best = all[i].name;
        }
    }
    if (best != NULL) {
        return rt_fail(err, RT_USAGE, 0, "unknown option '%s'; did you mean '--%s'?", given, best);
    }
    return rt_fail(err, RT_USAGE, 0, "unknown option '%s'; --help lists them", given);
}

static void to_getopt(const rt_opt *all, size_t n, struct option *longs, char *letters)
{
    *letters++ = '-'; /* operands in order, as option 1 */
    *letters++ = ':';
    for (size_t i = 0; i < n; i++) {
        const int has = all[i].kind == RT_OPT_FLAG ? no_argument : required_argument;
        longs[i] = (struct option){.name = all[i].name, .has_arg = has, .val = FIRST_ID + (int)i};
        if (all[i].letter != '\0') {
            *letters++ = all[i].letter;
            if (has == required_argument) {
                *letters++ = ':';
            }
        }
    }
    longs[n] = (struct option){0};
    *letters = '\0';
}

static const rt_opt *option_of(int c, const rt_opt *all, size_t n)
{
    if (c >= FIRST_ID) {
        return &all[c - FIRST_ID];
    }
    for (size_t i = 0; i < n; i++) {
        if (all[i].letter == c) {
            return &all[i];
        }
    }
    return NULL;
}

static rt_status apply_common(const rt_common *c, rt_err *err)
{
    if (c->threads < 0 || c->threads > RT_MAX_THREADS) {
        return rt_fail(err, RT_USAGE, 0, "option '--threads': %lld is not between 1 and %d", (long long)c->threads,
                       RT_MAX_THREADS);
    }
    if (strcmp(c->precision, "auto") != 0 && strcmp(c->precision, "f32") != 0) {
        return rt_fail(err, RT_USAGE, 0, "option '--precision': '%s' is not one of auto, f32", c->precision);
    }
    if (c->threads > 0) {
        rt_team_set_threads((int)c->threads);
    }
    if (c->quiet) {
        rt_log_set_level(RT_LOG_WARN);
    }
    return RT_OK;
}

rt_status rt_opts_parse(int argc, char **argv, const char *usage, const char *about, const rt_opt *opts,
                        rt_common *common, rt_opt_list *operands, bool *done, rt_err *err)
{
    rt_opt all[MAX_OPTIONS];
    struct option longs[MAX_OPTIONS];
    char letters[2 * MAX_OPTIONS + 3];
    rt_opt_list *list = NULL; /* list option whose values are still coming */
    *common = (rt_common){.seed = NO_SEED};
    *done = false;
    const size_t n = merge(all, opts, common);
    to_getopt(all, n, longs, letters);
    optind = 1;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
        if (c == 1) {
            rt_opt_list *to = list != NULL ? list : operands;
            if (to->n == RT_OPT_MAX) {
                return rt_fail(err, RT_USAGE, 0, "too many arguments at '%s'", optarg);
            }
            to->v[to->n++] = optarg;
            continue;
        }
        if (c == '?') {
            return unknown(argv[optind - 1], all, n, err);
        }
        if (c == ':') {
            return rt_fail(err, RT_USAGE, 0, "option '%s' needs a value", argv[optind - 1]);
        }
        const rt_opt *o = option_of(c, all, n);
        const rt_status st = store(o, optarg, err);
        if (st != RT_OK) {
            return st;
        }
        list = o->kind == RT_OPT_STRS ? o->to : NULL;
    }
    for (; optind < argc; optind++) { /* after "--" */
        if (operands->n == RT_OPT_MAX) {
            return rt_fail(err, RT_USAGE, 0, "too many arguments at '%s'", argv[optind]);
        }
        operands->v[operands->n++] = argv[optind];
    }
    if (common->help) {
        print_help(usage, about, all, n);
        *done = true;
        return RT_OK;
    }
    for (int i = 1; common->json && i < argc; i++) {
        if (!rt_utf8_valid(argv[i], strlen(argv[i]))) {
            return rt_fail(err, RT_USAGE, 0, "argument %d is no UTF-8 text, which --json cannot repeat", i);
        }
    }
    common->seed_given = common->seed != NO_SEED;
    common->seed = common->seed_given ? common->seed : DEFAULT_SEED;
    common->precision_given = common->precision != NULL;
    common->precision = common->precision_given ? common->precision : "auto";
    return apply_common(common, err);
}

int rt_cli_fail(const char *command, rt_status st, const rt_err *err)
{
    const char *cause = err->os_errno != 0 ? strerror(err->os_errno) : "";
    const bool said = strstr(err->msg, cause) != NULL; /* always, where there is none */
    fprintf(stderr, "retort %s: %s%s%s\n", command, err->msg[0] != '\0' ? err->msg : rt_status_text(st),
            said ? "" : ": ", said ? "" : cause);
    if (st == RT_CANCELLED) {
        return 128 + (rt_interrupt_signal() != 0 ? rt_interrupt_signal() : 2);
    }
    return rt_status_exit_code(st);
}
