/* A program that distils: what a teacher says about a text is collected, a student is trained on it, measured beside
 * the teacher and written as GGUF. STUDENT is a smaller model with the teacher's tokenizer, as `retort init` cuts one.
 *
 *   ./distil TEACHER STUDENT TEXT.jsonl WORK_DIR TOKENS */
#include <stdio.h>
#include <stdlib.h>

#include <retort/retort.h>

static rt_status measure(const char *model_path, const char *teacher_path, const char *text, rt_err *err)
{
    retort_model *model = NULL, *teacher = NULL;
    retort_tokenizer *t = NULL;
    retort_fidelity f;
    rt_status st = retort_tokenizer_open(&t, teacher_path, err);
    if (st == RT_OK) {
        st = retort_model_open(&model, model_path, NULL, err);
    }
    if (st == RT_OK) {
        st = retort_model_open(&teacher, teacher_path, NULL, err);
    }
    if (st == RT_OK) {
        st = retort_evaluate(model, teacher, t, &text, 1, 0, &f, err);
    }
    if (st == RT_OK) {
        printf("%s: KL to the teacher %.4f nats, agreement %.1f %%\n", model_path, f.kl, 100 * f.top1);
    }
    retort_model_close(model);
    retort_model_close(teacher);
    retort_tokenizer_close(t);
    return st;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: distil TEACHER STUDENT TEXT.jsonl WORK_DIR TOKENS\n");
        return 2;
    }
    const char *teacher = argv[1], *student = argv[2], *text = argv[3];
    char cache[512], run[512], trained[640], gguf[640];
    rt_err err = {0};
    retort_collect_result collected;
    retort_train_result result;
    retort_train_options how = retort_train_defaults();
    how.tokens = strtoll(argv[5], NULL, 10);
    how.batch_tokens = 512;
    snprintf(cache, sizeof cache, "%s/cache", argv[4]);
    snprintf(run, sizeof run, "%s/run", argv[4]);
    snprintf(trained, sizeof trained, "%s/student", run);
    snprintf(gguf, sizeof gguf, "%s/student.gguf", argv[4]);

    rt_status st = retort_collect(teacher, &text, 1, cache, NULL, &collected, &err);
    if (st == RT_OK) {
        printf("%lld tokens, %.1f bytes each with %d draws\n", (long long)collected.tokens, collected.bytes_per_token,
               collected.draws);
        st = measure(student, teacher, text, &err);
    }
    if (st == RT_OK) {
        st = retort_train(student, cache, run, &how, &result, &err);
    }
    if (st == RT_OK) {
        printf("%lld steps, loss %.4f -> %.4f\n", (long long)result.steps, result.first_loss, result.last_loss);
        st = measure(trained, teacher, text, &err);
    }
    if (st == RT_OK) {
        st = retort_export(trained, gguf, "q8_0", &err);
    }
    if (st != RT_OK) {
        fprintf(stderr, "distil: %s\n", err.msg);
    }
    return rt_status_exit_code(st);
}
