/* retort bench: how fast this machine is at each part of the work. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "flow/bench.h"
#include "tensor/gemm.h"

static const char *const about =
    "Measures a distillation with MODEL as the teacher and a student of half its layers on made-up text:\n"
    "the teacher speaking into a cache, reading and writing the cache, the tokenizer, writing with 1, 8 and\n"
    "32 sequences at a time, several answers to prompts that begin the same (beginnings read once, and every\n"
    "time), training steps from the cache and at lengths of 512 to 8192. step_over_gemm is the time of a step\n"
    "over the time of its bare matrix products in the same seconds: 1 would be perfect on any machine. Bare\n"
    "multiply-adds are sampled beside every part, for machines change their pace. --quick takes a minute at\n"
    "most; --only measures one part.\n"
    "\n"
    "example:  retort bench --quick --json";

static const char *const default_model = "models/SmolLM2-135M-Instruct.Q4_1.gguf";

/* What --only names; "bare": nothing but the bare loops. */
static const struct {
    const char *name;
    unsigned parts;
} only_names[] = {
    {"bare", 0},
    {"teacher", RT_BENCH_TEACHER},
    {"io", RT_BENCH_IO},
    {"decode", RT_BENCH_DECODE},
    {"answers", RT_BENCH_ANSWERS},
    {"step", RT_BENCH_STEP},
    {"length", RT_BENCH_LENGTH},
};

static rt_status read_only(const char *only, unsigned *parts, rt_err *err)
{
    *parts = RT_BENCH_ALL;
    if (only == NULL) {
        return RT_OK;
    }
    for (size_t i = 0; i < sizeof only_names / sizeof only_names[0]; i++) {
        if (strcmp(only, only_names[i].name) == 0) {
            *parts = only_names[i].parts;
            return RT_OK;
        }
    }
    return rt_fail(err, RT_USAGE, 0,
                   "option '--only': '%s' is not one of bare, teacher, io, decode, answers, step, length", only);
}

/* "512,4096" as bits of rt_bench_lengths. */
static rt_status read_lengths(const char *list, unsigned *lengths, rt_err *err)
{
    *lengths = 0;
    for (const char *at = list; at != NULL;) {
        char *end;
        const long length = strtol(at, &end, 10);
        unsigned bit = 0;
        for (int i = 0; i < RT_BENCH_LENGTHS; i++) {
            bit |= length == rt_bench_lengths[i] ? 1u << i : 0;
        }
        if (bit == 0 || (*end != ',' && *end != '\0')) {
            return rt_fail(err, RT_USAGE, 0, "option '--lengths': '%s' is not some of 512,1024,2048,4096,8192", list);
        }
        *lengths |= bit;
        at = *end == ',' ? end + 1 : NULL;
    }
    return RT_OK;
}

/* Collecting needs a permit, and a benchmark decides nothing: without one that part is left out. */
static rt_status ask_gate(rt_cli *c, const char *model, rt_permit **out)
{
    const rt_status st = rt_cli_permit(c, model, RT_USE_ALL, "/nonexistent", NULL, NULL, NULL, out);
    if (st == RT_LICENCE) {
        rt_log(RT_LOG_WARN, "the teacher is not measured: %s", c->err.msg);
        rt_err_clear(&c->err);
        return RT_OK;
    }
    return st;
}

static json_t *rate(double v)
{
    return v > 0 ? json_real(v) : json_null();
}

/* An object whose keys are numbers. */
static void set_numbered(json_t *j, int key, json_t *value)
{
    char name[16];
    snprintf(name, sizeof name, "%d", key);
    json_object_set_new(j, name, value);
}

static json_t *json_bare(const rt_bench_bare *b)
{
    return b->median > 0 ? json_pack("{s:f, s:f, s:f}", "least", b->least, "median", b->median, "most", b->most)
                         : json_null();
}

static json_t *json_products(const rt_bench *b)
{
    json_t *all = json_array();
    for (int i = 0; i < b->n_products; i++) {
        const rt_bench_product *p = &b->products[i];
        json_array_append_new(
            all, json_pack("{s:s, s:s, s:I, s:I, s:I, s:f, s:f, s:f}", "inputs", rt_dtype_name(p->type), "path",
                           p->path, "rows", (json_int_t)p->rows, "out", (json_int_t)p->out, "in", (json_int_t)p->in,
                           "forward_flops", p->forward, "input_gradient_flops", p->dx, "weight_gradient_flops", p->dw));
    }
    return all;
}

static json_t *json_answers(const rt_bench_answers *a)
{
    return a->seconds > 0 ? json_pack("{s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "prompts", a->prompts,
                                      "answers", a->answers, "shared", (json_int_t)a->shared, "own", (json_int_t)a->own,
                                      "written", (json_int_t)a->written, "read", (json_int_t)a->counts.read, "reused",
                                      (json_int_t)a->counts.reused, "seconds", a->seconds, "seconds_apart",
                                      a->seconds_apart, "gain", a->seconds_apart / a->seconds)
                          : json_null();
}

static json_t *json_machine(const rt_model *m)
{
    return json_pack("{s:s, s:i, s:s, s:s, s:s}", "cpu", rt_cpu_get()->model, "threads", rt_team_threads(), "isa",
                     rt_isa_name(rt_cpu_get()->isa), "inputs", rt_dtype_name(m->compute), "gemm", rt_gemm_backend());
}

static void print_json(const rt_bench *b, const rt_model *m, const char *model)
{
    json_t *decode = json_object(), *by_length = json_object(), *attention = json_object();
    for (int i = 0; i < RT_BENCH_DECODES; i++) {
        set_numbered(decode, rt_bench_batches[i], rate(b->decode_tokens_per_s[i]));
    }
    for (int i = 0; i < RT_BENCH_LENGTHS; i++) {
        set_numbered(by_length, rt_bench_lengths[i], rate(b->lengths[i].tokens_per_s));
        set_numbered(attention, rt_bench_lengths[i], rate(b->lengths[i].attention_share));
    }
    json_t *j = json_pack("{s:s, s:o, s:f}", "model", model, "machine", json_machine(m), "seconds", b->seconds);
    const struct {
        const char *key;
        double value;
    } rates[] = {
        {"teacher_tokens_per_s", b->teacher_tokens_per_s},
        {"cache_bytes_per_token", b->cache_bytes_per_token},
        {"cache_write_bytes_per_s", b->cache_write_bytes_per_s},
        {"cache_read_bytes_per_s", b->cache_read_bytes_per_s},
        {"cache_read_tokens_per_s", b->cache_read_tokens_per_s},
        {"tokenizer_bytes_per_s", b->tokenizer_bytes_per_s},
        {"step_tokens_per_s", b->step_tokens_per_s},
        {"step_seconds", b->step_seconds},
        {"gemm_seconds", b->gemm_seconds},
        {"step_over_gemm", b->step_over_gemm},
        {"head_share", b->head_share},
        {"attention_share", b->attention_share},
    };
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        json_object_set_new(j, rates[i].key, rate(rates[i].value));
    }
    json_t *turns = json_array();
    for (int i = 0; i < b->n_turns; i++) {
        json_array_append_new(
            turns, json_pack("{s:f, s:o}", "step_seconds", b->turns[i].step, "gemm_seconds", rate(b->turns[i].gemm)));
    }
    json_object_set_new(j, "step_turns", turns);
    json_object_set_new(j, "draws", json_integer(b->draws));
    json_object_set_new(j, "step_tokens", json_integer(b->step_tokens));
    json_object_set_new(j, "student_layers", json_integer(b->student_layers));
    json_object_set_new(j, "step_tokens_per_s_by_length", by_length);
    json_object_set_new(j, "attention_share_by_length", attention);
    json_object_set_new(j, "decode_tokens_per_s", decode);
    json_object_set_new(j, "answers", json_answers(&b->answers));
    json_object_set_new(j, "products", json_products(b));
    json_object_set_new(j, "bare_flops",
                        json_pack("{s:o, s:o}", "F32", json_bare(&b->bare_f32), "BF16", json_bare(&b->bare_bf16)));
    json_object_set_new(j, "predicted_bytes", json_integer((json_int_t)b->predicted_bytes));
    json_object_set_new(j, "training_bytes", json_integer((json_int_t)b->training_bytes));
    json_object_set_new(j, "peak_bytes", json_integer((json_int_t)b->peak_bytes));
    rt_cli_print_json(j);
    json_decref(j);
}

static void print_bare(const char *name, const rt_bench_bare *b)
{
    if (b->median > 0) {
        printf("bare %-4s %8.0f GFLOP/s (%.0f to %.0f), multiply-adds in registers\n", name, b->median * 1e-9,
               b->least * 1e-9, b->most * 1e-9);
    }
}

static void print_products(const rt_bench *b)
{
    for (int i = 0; i < b->n_products; i++) {
        const rt_bench_product *p = &b->products[i];
        printf("product   %8.0f GFLOP/s forward, %.0f by input, %.0f by weight: %lld x %lld x %lld, %s, %s\n",
               p->forward * 1e-9, p->dx * 1e-9, p->dw * 1e-9, (long long)p->rows, (long long)p->out, (long long)p->in,
               rt_dtype_name(p->type), p->path);
    }
}

static void print_step(const rt_bench *b)
{
    printf("step      %8.0f tokens/s, %d layers, %lld tokens a step", b->step_tokens_per_s, b->student_layers,
           (long long)b->step_tokens);
    printf(b->step_over_gemm > 0 ? ", %.2f times its matrix products\n" : "\n", b->step_over_gemm);
    printf("          %8.1f %% of it in the head, %.1f %% in attention\n", 100 * b->head_share,
           100 * b->attention_share);
}

static void print_text(const rt_bench *b, const rt_model *m, const char *model)
{
    printf("%s on %s, %d threads, %s, inputs of products in %s\n", model, rt_cpu_get()->model, rt_team_threads(),
           rt_isa_name(rt_cpu_get()->isa), rt_dtype_name(m->compute));
    print_bare("f32", &b->bare_f32);
    print_bare("bf16", &b->bare_bf16);
    print_products(b);
    if (b->teacher_tokens_per_s > 0) {
        printf("teacher   %8.0f tokens/s into a cache of %.1f bytes a token with %d draws\n", b->teacher_tokens_per_s,
               b->cache_bytes_per_token, b->draws);
        printf("cache     %8.1f MB/s written, %.1f MB/s or %.2f M tokens/s read, one thread\n",
               b->cache_write_bytes_per_s * 1e-6, b->cache_read_bytes_per_s * 1e-6, b->cache_read_tokens_per_s * 1e-6);
    }
    if (b->tokenizer_bytes_per_s > 0) {
        printf("tokenizer %8.1f MB/s, one thread\n", b->tokenizer_bytes_per_s * 1e-6);
    }
    if (b->step_tokens_per_s > 0) {
        print_step(b);
    }
    for (int i = 0; i < RT_BENCH_LENGTHS; i++) {
        if (b->lengths[i].tokens_per_s > 0) {
            printf("length %4d %7.0f tokens/s, %.1f %% in attention\n", rt_bench_lengths[i], b->lengths[i].tokens_per_s,
                   100 * b->lengths[i].attention_share);
        }
    }
    for (int i = 0; i < RT_BENCH_DECODES && b->decode_tokens_per_s[0] > 0; i++) {
        printf("writing   %8.1f tokens/s with %d at a time\n", b->decode_tokens_per_s[i], rt_bench_batches[i]);
    }
    if (b->answers.seconds > 0) {
        const rt_bench_answers *a = &b->answers;
        printf(
            "answers   %8.2f times as fast with beginnings read once: %d prompts x %d, %lld tokens shared, %lld read, "
            "%lld reused\n",
            a->seconds_apart / a->seconds, a->prompts, a->answers, (long long)a->shared, (long long)a->counts.read,
            (long long)a->counts.reused);
    }
    if (b->training_bytes > 0) {
        printf("memory    %8.0f MB for training, %.0f foreseen\n", (double)b->training_bytes * 1e-6,
               (double)b->predicted_bytes * 1e-6);
    }
    printf("memory    %8.0f MB for everything\n", (double)b->peak_bytes * 1e-6);
}

int rt_cmd_bench(int argc, char **argv)
{
    rt_cli c;
    int code;
    bool quick = false, recompute = false;
    const char *only = NULL, *list = NULL;
    unsigned parts, lengths;
    const rt_opt opts[] = {
        {"quick", 0, RT_OPT_FLAG, &quick, NULL, "a minute at most: smaller batches, fewer repetitions"},
        {"recompute", 0, RT_OPT_FLAG, &recompute, NULL, "steps run layers again in the backward pass"},
        {"only", 0, RT_OPT_STR, &only, "PART",
         "one part: bare (loops alone), teacher, io, decode, answers, step, length"},
        {"lengths", 0, RT_OPT_STR, &list, "T,T,...", "of sequences, of the part `length` (default: 512 to 8192)"},
        {0},
    };
    if (!rt_cli_begin(&c, "bench", argc, argv, "bench [MODEL] [options]", about, opts, 0, 1, "one model is taken",
                      &code)) {
        return code;
    }
    rt_status st = RT_OK;
    const char *model = c.operands.n > 0 ? c.operands.v[0] : default_model;
    rt_model *m = NULL;
    rt_tokenizer *t = NULL;
    rt_permit *permit = NULL;
    rt_bench b;
    RT_TRY(read_only(only, &parts, &c.err));
    RT_TRY(read_lengths(list, &lengths, &c.err));
    if (lengths != 0 && (parts & RT_BENCH_LENGTH) == 0) {
        RT_FAIL_OUT(&c.err, RT_USAGE, 0, "option '--lengths' is of the part length, '--only %s' leaves it out", only);
    }
    if (c.operands.n == 0 && !rt_path_exists(model)) {
        RT_FAIL_OUT(&c.err, RT_NOT_FOUND, 0, "'%s' is not here; run make fetch, or name a model", model);
    }
    RT_TRY(rt_cli_check_model(&c, model));
    RT_TRY(rt_tokenizer_open(&t, model, &c.err));
    RT_TRY(ask_gate(&c, model, &permit));
    RT_TRY(rt_cli_open_model(&c, model, &m));
    RT_TRY(rt_bench_run(&(rt_bench_job){.teacher = m,
                                        .tokenizer = t,
                                        .permit = permit,
                                        .parts = parts,
                                        .lengths = lengths,
                                        .recompute = recompute,
                                        .quick = quick},
                        &b, &c.err));
    (c.common.json ? print_json : print_text)(&b, m, model);
out:
    rt_permit_free(permit);
    rt_tokenizer_close(t);
    rt_model_close(m);
    return rt_cli_end(&c, st);
}
