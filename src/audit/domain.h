/* domain.h - is a task of the kind that a student was trained on, and how is that known? What it kept there says less
 * of the student than what it kept elsewhere. */
#ifndef RT_AUDIT_DOMAIN_H
#define RT_AUDIT_DOMAIN_H

#include "audit/contamination.h"

typedef enum rt_domain {
    RT_DOMAIN_OTHER,    /* nothing says that it is */
    RT_DOMAIN_DECLARED, /* the user says so */
    RT_DOMAIN_FILE,     /* it was trained from the very file of the items, from other rows of it or these */
    RT_DOMAIN_NAME,     /* a training file, or its folder, has the task's name */
    RT_DOMAIN_ITEMS     /* RT_DOMAIN_SHARE of the items that can be looked for stand in the training text */
} rt_domain;
const char *rt_domain_name(rt_domain d); /* "none", "declared", "same file", "file name", "items found" */

/* A passage or two that a text shares with a benchmark does not make it that benchmark's. */
#define RT_DOMAIN_SHARE 0.05

/* What is known of the training; borrowed. Who declares has said it all: files are then not read for names. */
typedef struct rt_trained_on {
    const char *const *declared; /* names of tasks */
    size_t n_declared;
    bool is_declared;
    const char *const *files;
    size_t n_files;
} rt_trained_on;

/* `items` is the task's file, `found` what was looked for in the training text; NULL: not known. */
rt_domain rt_domain_of(const char *task, const char *items, const rt_contamination *found, const rt_trained_on *t);

#endif
