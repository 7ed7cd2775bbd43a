/* task_desc.h - a task's description, checked. Private to audit. */
#ifndef RT_AUDIT_TASK_DESC_H
#define RT_AUDIT_TASK_DESC_H

#include "audit/hash_split.h"
#include "audit/task.h"
#include "audit/task_answer.h"

typedef enum rt_scoring {
    RT_SCORING_CHOICE,   /* the best continuation is right */
    RT_SCORING_GREEDY,   /* the continuation is what the model would say */
    RT_SCORING_MASS,     /* the probability of true continuations among all */
    RT_SCORING_PAIR,     /* the first of two is the more probable one */
    RT_SCORING_BBQ,      /* a choice, with the share of answers that follow a stereotype */
    RT_SCORING_ROLLING,  /* a whole text */
    RT_SCORING_GENERATE, /* an answer, compared as text */
    RT_SCORING_REFUSAL,  /* an answer that refuses or does not, and the odds of its openings */
    RT_N_SCORINGS
} rt_scoring;

struct rt_task {
    json_t *spec; /* holds what is below */
    const char *name, *version, *skill;
    rt_scoring scoring;
    const char *context, *continuation; /* forms; NULL: the task has none */
    const char *delimiter;              /* in front of a continuation */
    const char *gold, *truths, *text, *answer, *group, *category;
    const json_t *contexts, *choices, *labels, *unknown, *stop, *metrics;    /* lists of texts; NULL: none */
    const json_t *refusing, *complying, *refusal_prefixes, *refusal_phrases; /* lists of texts, RT_SCORING_REFUSAL */
    const char *kin, *side;                                                  /* forms */
    const json_t *variants, *sides;
    bool order;   /* the options are lettered and turned */
    bool harmful; /* rows that do not say so themselves */
    rt_hash_split rows;
    int64_t max_tokens;
    bool clean_hellaswag;
    bool chat;              /* the row's own prompt, as a chat template forms it, in place of a context */
    bool f1;                /* generate: words in common, beside the exact match */
    rt_answer_rules *rules; /* RT_SCORING_GENERATE */
};

#endif
