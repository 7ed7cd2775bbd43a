/* A program with a language model in it: continues a text and says how likely the model finds it.
 *
 *   cc embed.c $(pkg-config --cflags --libs retort) -o embed
 *   ./embed models/SmolLM2-135M-Instruct.Q4_1.gguf "Once upon a time" */
#include <stdio.h>
#include <string.h>

#include <retort/retort.h>

enum { MAX_PROMPT = 512, MAX_NEW = 32 };

static int fail(const rt_err *err)
{
    fprintf(stderr, "embed: %s\n", err->msg);
    return rt_status_exit_code(err->code);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: embed MODEL TEXT\n");
        return 2;
    }
    rt_err err = {0};
    retort_model *model = NULL;
    retort_tokenizer *tokenizer = NULL;
    int32_t prompt[MAX_PROMPT], ids[MAX_NEW];
    size_t n_prompt = 0, n = 0, n_text = 0;
    char text[4096];
    double logprob = 0;

    retort_model_options how = retort_model_defaults();
    how.precision = RETORT_PRECISION_F32;
    retort_generate_options what = retort_generate_defaults();
    what.max_tokens = MAX_NEW;

    rt_status st = retort_tokenizer_open(&tokenizer, argv[1], &err);
    if (st == RT_OK) {
        st = retort_model_open(&model, argv[1], &how, &err);
    }
    if (st == RT_OK) {
        st = retort_tokenize(tokenizer, argv[2], strlen(argv[2]), prompt, MAX_PROMPT, &n_prompt, &err);
    }
    if (st == RT_OK && n_prompt > MAX_PROMPT) {
        fprintf(stderr, "embed: the text has %zu tokens, %d fit\n", n_prompt, MAX_PROMPT);
        st = err.code = RT_USAGE;
    }
    if (st == RT_OK) {
        st = retort_generate(model, tokenizer, prompt, n_prompt, &what, ids, NULL, &n, &err);
    }
    if (st == RT_OK) {
        st = retort_score(model, prompt, n_prompt, ids, n, NULL, &logprob, &err);
    }
    if (st == RT_OK) {
        st = retort_detokenize(tokenizer, ids, n, text, sizeof text, &n_text, &err);
    }
    if (st == RT_OK) {
        printf("%s, %lld parameters\n%.*s\n%zu tokens, log-probability %.4f\n", retort_model_architecture(model),
               (long long)retort_model_parameters(model), (int)(n_text < sizeof text ? n_text : sizeof text), text, n,
               logprob);
    }
    retort_tokenizer_close(tokenizer);
    retort_model_close(model);
    return st == RT_OK ? 0 : fail(&err);
}
