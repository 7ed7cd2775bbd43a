/* collect.h - what the parts of `retort collect` share: its options, what it prints, and teachers that are not here. */
#ifndef RT_CLI_COLLECT_H
#define RT_CLI_COLLECT_H

#include <retort/distil.h>

#include "cli/command.h"
#include "teacher/collect.h"
#include "teacher/write.h"

typedef struct rt_collect_args {
    const char *import, *out, *targets, *template, *verify, *hidden_type, *accept, *reason, *grant;
    rt_opt_list text, prompts;
    int64_t tokens, sequence, draws, k, max_new, answers, positions;
    double temperature, top_p, min_p;
    int64_t top_k;
    bool accept_degraded;
    /* of a server */
    const char *model, *licence, *base_model, *tokenizer, *key_env;
    int64_t parallel, attempts;
    double wait, max_wait, timeout;
} rt_collect_args;

rt_sampling rt_collect_sampling(const rt_cli *c, const rt_collect_args *a);
void rt_collect_print_cache(const rt_cli *c, const rt_collect_args *a, const retort_collect_result *r);
/* w: what the engine counted, NULL for a server. */
void rt_collect_print_answers(const rt_cli *c, const rt_collect_args *a, const rt_answer_report *r,
                              const rt_write_report *w);

/* The teacher is a server, or its logits are in a file: its terms are declared, not observed. */
RT_MUST_USE rt_status rt_collect_served(rt_cli *c, const rt_collect_args *a);
RT_MUST_USE rt_status rt_collect_imported(rt_cli *c, const rt_collect_args *a);

#endif
