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
    "the teacher speaking into a cache, training steps from it, and writing with 1, 8 and 32 sequences at\n"
    "a time. step_over_gemm is the time of a step over the time of its bare matrix products in the same\n"
    "seconds: 1 would be perfect on any machine. --quick takes a minute at most.\n"
    "\n"
    "example:  retort bench --quick --json";

static const char *const default_model = "models/SmolLM2-135M-Instruct.Q4_1.gguf";

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

static void print_json(const rt_bench *b, const rt_model *m, const char *model)
{
    json_t *decode = json_object();
    for (int i = 0; i < RT_BENCH_DECODES; i++) {
        char batch[16];
        snprintf(batch, sizeof batch, "%d", rt_bench_batches[i]);
        json_object_set_new(decode, batch, rate(b->decode_tokens_per_s[i]));
    }
    json_t *j = json_pack("{s:o, s:o, s:o, s:o, s:o, s:I}", "teacher_tokens_per_s", rate(b->teacher_tokens_per_s),
                          "step_tokens_per_s", rate(b->step_tokens_per_s), "step_over_gemm", rate(b->step_over_gemm),
                          "decode_tokens_per_s", decode, "cache_bytes_per_token", rate(b->cache_bytes_per_token),
                          "peak_bytes", (json_int_t)b->peak_bytes);
    json_object_set_new(j, "draws", json_integer(b->draws));
    json_object_set_new(j, "step_seconds", json_real(b->step_seconds));
    json_object_set_new(j, "gemm_seconds", rate(b->gemm_seconds));
    json_object_set_new(j, "step_tokens", json_integer(b->step_tokens));
    json_object_set_new(j, "student_layers", json_integer(b->student_layers));
    json_object_set_new(j, "model", json_string(model));
    json_object_set_new(j, "machine",
                        json_pack("{s:s, s:i, s:s, s:s, s:s}", "cpu", rt_cpu_get()->model, "threads", rt_team_threads(),
                                  "isa", rt_isa_name(rt_cpu_get()->isa), "inputs", rt_dtype_name(m->compute), "gemm",
                                  rt_gemm_backend()));
    json_object_set_new(j, "seconds", json_real(b->seconds));
    rt_cli_print_json(j);
    json_decref(j);
}

static void print_text(const rt_bench *b, const rt_model *m, const char *model)
{
    printf("%s on %s, %d threads, %s, inputs of products in %s\n", model, rt_cpu_get()->model, rt_team_threads(),
           rt_isa_name(rt_cpu_get()->isa), rt_dtype_name(m->compute));
    if (b->teacher_tokens_per_s > 0) {
        printf("teacher   %8.0f tokens/s into a cache of %.1f bytes a token with %d draws\n", b->teacher_tokens_per_s,
               b->cache_bytes_per_token, b->draws);
    }
    printf("step      %8.0f tokens/s, %d layers, %lld tokens a step", b->step_tokens_per_s, b->student_layers,
           (long long)b->step_tokens);
    printf(b->step_over_gemm > 0 ? ", %.2f times its matrix products\n" : "\n", b->step_over_gemm);
    for (int i = 0; i < RT_BENCH_DECODES; i++) {
        printf("writing   %8.1f tokens/s with %d at a time\n", b->decode_tokens_per_s[i], rt_bench_batches[i]);
    }
    printf("memory    %8.0f MB at most\n", (double)b->peak_bytes * 1e-6);
}

int rt_cmd_bench(int argc, char **argv)
{
    rt_cli c;
    int code;
    bool quick = false;
    const rt_opt opts[] = {
        {"quick", 0, RT_OPT_FLAG, &quick, NULL, "a minute at most: smaller batches, fewer repetitions"},
        {0},
    };
    if (!rt_cli_begin(&c, "bench", argc, argv, "bench [MODEL] [--quick]", about, opts, 0, 1, "one model is taken",
                      &code)) {
        return code;
    }
    rt_status st = RT_OK;
    const char *model = c.operands.n > 0 ? c.operands.v[0] : default_model;
    rt_model *m = NULL;
    rt_tokenizer *t = NULL;
    rt_permit *permit = NULL;
    rt_bench b;
    if (c.operands.n == 0 && !rt_path_exists(model)) {
        RT_FAIL_OUT(&c.err, RT_NOT_FOUND, 0, "'%s' is not here; run make fetch, or name a model", model);
    }
    RT_TRY(rt_cli_check_model(&c, model));
    RT_TRY(rt_tokenizer_open(&t, model, &c.err));
    RT_TRY(ask_gate(&c, model, &permit));
    RT_TRY(rt_cli_open_model(&c, model, &m));
    RT_TRY(rt_bench_run(&(rt_bench_job){.teacher = m, .tokenizer = t, .permit = permit, .quick = quick}, &b, &c.err));
    (c.common.json ? print_json : print_text)(&b, m, model);
out:
    rt_permit_free(permit);
    rt_tokenizer_close(t);
    rt_model_close(m);
    return rt_cli_end(&c, st);
}
