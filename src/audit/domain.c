/* domain.c - declarations, files, names and found items, in this order (domain.h). */
#include "audit/domain.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

const char *rt_domain_name(rt_domain d)
{
    static const char *const names[] = {"none", "declared", "same file", "file name", "items found"};
    return names[d];
}

/* The file's own name, with its folder's in front. */
static const char *last_names(const char *path)
{
    const char *base = rt_path_base(path), *p = base > path ? base - 1 : path;
    while (p > path && p[-1] != '/') {
        p--;
    }
    return p;
}

/* Not within another word: "piqa-train.jsonl" and "piqa/train.jsonl" hold piqa, "apiqa.txt" does not. */
static bool holds_name(const char *text, const char *name)
{
    const size_t n = strlen(name);
    for (const char *p = text; *p != '\0'; p++) {
        const bool begins = p == text || !isalnum((unsigned char)p[-1]);
        if (begins && strncasecmp(p, name, n) == 0 && !isalnum((unsigned char)p[n])) {
            return true;
        }
    }
    return false;
}

rt_domain rt_domain_of(const char *task, const char *items, const rt_contamination *found, const rt_trained_on *t)
{
    bool same = false, named = false;
    for (size_t i = 0; i < t->n_declared; i++) {
        if (strcmp(t->declared[i], task) == 0) {
            return RT_DOMAIN_DECLARED;
        }
    }
    for (size_t i = 0; i < t->n_files && !t->is_declared; i++) {
        same |= items != NULL && rt_path_same(items, t->files[i]);
        named |= holds_name(last_names(t->files[i]), task);
    }
    const bool stand =
        found != NULL && found->found > 0 && (double)found->found >= RT_DOMAIN_SHARE * (double)found->checked;
    return same ? RT_DOMAIN_FILE : named ? RT_DOMAIN_NAME : stand ? RT_DOMAIN_ITEMS : RT_DOMAIN_OTHER;
}
