/* own_text.c - the on-policy phase of a recipe. */
#include "flow/own_text.h"

#include <string.h>

#define DIR "on_policy"
#define LEDGER DIR "/ledger.jsonl"
#define TIME_SHARE 0.2  /* of the training time, where a budget is given */
#define TOKEN_SHARE 0.1 /* of the tokens before, else */
#define MOST_TIME 0.5   /* of the training time that is set aside for a length the recipe gives */

typedef struct phase {
    rt_flow *f;
    rt_train_options o;
    rt_retain_options retain;
    char *dir, *ledger;
    rt_corpus prompts;
    rt_on_policy *own;
    rt_source *source;
    rt_scored *scored;
} phase;

bool rt_flow_writes(const rt_flow *f)
{
    return f->recipe.own_text.wanted;
}

static int64_t share_of_tokens(int64_t before)
{
    return 1 + (int64_t)(TOKEN_SHARE * (double)before);
}

/* However long the phase is to be, as much time is left for learning what it begins with. */
rt_own_share rt_flow_own_share(const rt_flow *f, double seconds, int64_t tokens)
{
    const rt_own_text_spec *r = &f->recipe.own_text;
    const double each = f->split.own_token_seconds;
    if (!rt_flow_writes(f)) {
        return (rt_own_share){0};
    }
    if (seconds > 0 && r->tokens == 0) {
        const double own = TIME_SHARE * seconds;
        return (rt_own_share){.seconds = own, .tokens = each > 0 ? (int64_t)(own / each) : 0};
    }
    rt_own_share s = {.tokens = r->tokens > 0 ? r->tokens : share_of_tokens(tokens)};
    s.seconds = each * (double)s.tokens;
    if (seconds > 0 && s.seconds > MOST_TIME * seconds) {
        s.seconds = MOST_TIME * seconds;
    }
    return s;
}

/* What is retained goes on without terms between states, inside the stack or behind it: their maps ended with the
 * training before. */
static void go_on_retaining(phase *p, const rt_retain_options *before)
{
    p->retain = *before;
    p->retain.n_losses = 0;
    for (int i = 0; i < before->n_losses; i++) {
        if (before->losses[i].state == RT_STATE_NONE) {
            p->retain.losses[p->retain.n_losses++] = before->losses[i];
        }
    }
    p->o.retain = &p->retain;
}

static void set_options(phase *p, const rt_train_options *before, int64_t tokens_before)
{
    const rt_own_text_spec *r = &p->f->recipe.own_text;
    p->o = *before;
    p->o.run_dir = p->dir;
    memcpy(p->o.losses, r->losses, sizeof p->o.losses);
    p->o.n_losses = r->n_losses;
    p->o.lr = r->lr;
    p->o.tokens = r->tokens;
    p->o.budget = 0;
    if (before->retain != NULL) {
        go_on_retaining(p, before->retain);
    }
    if (r->tokens == 0 && before->budget > 0) {
        p->o.budget = before->budget / (1 - TIME_SHARE) * TIME_SHARE;
    } else if (r->tokens == 0) {
        p->o.tokens = share_of_tokens(tokens_before);
    }
}

static rt_status open_phase(phase *p, const rt_model *student, rt_err *err)
{
    rt_status st = RT_OK;
    rt_flow *f = p->f;
    const rt_own_text_spec *r = &f->recipe.own_text;
    rt_source_options so = {.seed = f->recipe.seed, .max_batch_tokens = p->o.batch_tokens};
    json_t *settings = json_pack("{s:s, s:s}", "targets", "dense", "text", "the student's own and the corpus");
    if (settings == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    if (r->n_prompts > 0) {
        const rt_corpus_options o = {.paths = r->prompts, .n_paths = r->n_prompts, .chat = true};
        RT_TRY(rt_corpus_load(&p->prompts, f->tokenizer, &o, err));
    }
    RT_TRY(rt_on_policy_new(&p->own, student, f->tokenizer, r->n_prompts > 0 ? &p->prompts : &f->text,
                            f->recipe.sequence, p->o.batch_tokens, &r->own, err));
    so.more = rt_on_policy_text(p->own);
    so.more_tokens = rt_on_policy_tokens(p->own);
    RT_TRY(rt_source_from_corpus(&p->source, &f->packed, RT_SOURCE_DENSE, f->teacher, f->permit, &so, err));
    RT_TRY(rt_scored_open(&p->scored, p->ledger, f->permit, &f->text, &f->packed, settings, err));
    p->o.on_policy = p->own;
    p->o.scored = p->scored;
out:
    json_decref(settings);
    return st;
}

static void close_phase(phase *p)
{
    rt_scored_close(p->scored);
    rt_source_close(p->source);
    rt_on_policy_free(p->own);
    rt_corpus_release(&p->prompts);
    rt_free(p->dir);
    rt_free(p->ledger);
}

/* The end of the ledger is recorded like that of the cache's, for whoever verifies the run. */
static rt_status keep_mark(rt_flow *f, const rt_ledger_mark *mark, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *marks = json_pack("{s:o}", LEDGER, rt_ledger_mark_json(mark));
    if (marks == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(rt_manifest_set(&f->manifest, "ledgers", marks, err));
    RT_TRY(rt_manifest_save(&f->manifest, err));
out:
    json_decref(marks);
    return st;
}

static json_t *summary_of(const phase *p, const rt_train_counts *c)
{
    rt_str loss = {0}, text = {0};
    rt_losses_print(&loss, p->o.losses, p->o.n_losses);
    rt_on_policy_describe(p->own, &text);
    json_t *j =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:f, s:f, s:f}", "loss", rt_str_cstr(&loss), "text", rt_str_cstr(&text),
                  "steps", (json_int_t)c->step, "tokens", (json_int_t)c->tokens, "positions", (json_int_t)c->rows,
                  "seconds", c->active, "first_loss", c->first_loss, "last_loss", c->last_loss);
    rt_str_release(&loss);
    rt_str_release(&text);
    return j;
}

rt_status rt_flow_own_text(rt_flow *f, rt_model *student, const rt_train_options *before, rt_train_result *res,
                           json_t **summary, rt_err *err)
{
    rt_status st = RT_OK;
    phase p = {.f = f};
    rt_train_result own;
    RT_TRY(rt_flow_path_to(f, DIR, &p.dir, err));
    RT_TRY(rt_flow_path_to(f, LEDGER, &p.ledger, err));
    RT_TRY(rt_mkdirs(p.dir, err));
    set_options(&p, before, res->counts.tokens);
    RT_TRY(open_phase(&p, student, err));
    RT_TRY(rt_train_run(student, p.source, f->teacher, &p.o, &own, err));
    RT_TRY(keep_mark(f, &own.ledger, err));
    *summary = summary_of(&p, &own.counts);
    if (*summary == NULL) {
        RT_FAIL_OUT(err, RT_INTERNAL, 0, "the on-policy phase has a value that is no number");
    }
    res->counts.tokens += own.counts.tokens;
    res->counts.rows += own.counts.rows;
    res->counts.active += own.counts.active;
    res->counts.cpu += own.counts.cpu;
    res->comparable = res->comparable && own.comparable;
out:
    close_phase(&p);
    return st;
}
