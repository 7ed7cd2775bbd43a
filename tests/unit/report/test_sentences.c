/* test_sentences.c - the first screen says what is known, admits what is not, and calls no noise a difference. */
#include "rt_test.h"

#include "format/json.h"
#include "report/report.h"

static json_t *golden_facts(void)
{
    json_t *facts = NULL;
    rt_err err = {0};
    assert_ok(rt_json_load(&facts, RT_TEST_GOLDEN "/report/facts.json", &err));
    return facts;
}

/* With ordinary blanks in place of no-break ones. */
static void plain(rt_str *s)
{
    size_t k = 0;
    for (size_t i = 0; i < s->n; i++) {
        bool no_break = (unsigned char)s->p[i] == 0xC2 && (unsigned char)s->p[i + 1] == 0xA0;
        s->p[k++] = no_break ? ' ' : s->p[i];
        i += no_break;
    }
    s->n = k;
    s->p[k] = '\0';
}

static void reads(const json_t *facts, rt_sentence which, const char *as)
{
    rt_str s = {0};
    rt_report_sentence(&s, facts, which);
    plain(&s);
    assert_string_equal(s.p, as);
    rt_str_release(&s);
}

static void says(const json_t *facts, rt_sentence which, const char *part)
{
    rt_str s = {0};
    rt_report_sentence(&s, facts, which);
    plain(&s);
    assert_says(s.p, part);
    rt_str_release(&s);
}

static json_t *at(const json_t *o, const char *key)
{
    return json_object_get(o, key);
}

/* The model's first task. */
static json_t *task_of(const json_t *facts, size_t model)
{
    return json_array_get(at(json_array_get(at(facts, "models"), model), "tasks"), 0);
}

/* The audit's row of its task: items were compared one by one. */
static void set_gap(json_t *facts, double difference, double error)
{
    json_object_set_new(facts, "gap",
                        json_pack("{s:[{s:[{s:s, s:f, s:f}, {s:s, s:f, s:f}]}]}", "families", "rows", "name", "other",
                                  "difference", 0.5, "stderr", 0.5, "name", "hellaswag", "difference", difference,
                                  "stderr", error));
}

static void a_whole_run_reads_well(void **state)
{
    (void)state;
    json_t *f = golden_facts();
    reads(f, RT_SENTENCE_MADE,
          "smollm2-half is a student of 15 layers and 81.4 M parameters, cut out of SmolLM2-135M-Instruct (30 layers, "
          "135 M "
          "parameters) and trained on 475 k tokens of examples/data/books.jsonl with the loss forward_kl towards 50 "
          "draws a token "
          "from the teacher.");
    reads(f, RT_SENTENCE_ALLOWED,
          "The teacher's licence apache-2.0 allows this use (verdict: permit); 2 duties come with it, listed under "
          "provenance.");
    reads(f, RT_SENTENCE_KEPT,
          "Of the teacher's top-1 choices it makes 54.2 % ± 0.6 the same (untrained 11.8 %, trained without the "
          "teacher 47.9 %); KL "
          "to the teacher is 0.83 ± 0.02 nats a token; perplexity 61.1 beside the teacher's 30.0, on 8,176 held-out "
          "tokens.");
    reads(f, RT_SENTENCE_LOST,
          "Its perplexity is 2.04 times the teacher's (1.91 to 2.17); hellaswag: 33.0 % of 200 questions right beside "
          "the teacher's "
          "41.5 %, 8.5 points fewer, which is of unknown error.");
    reads(f, RT_SENTENCE_UNMEASURED,
          "Nothing on this page speaks of safeguards: refusals and over-refusals; bias and neutrality; calibration and "
          "truthfulness; memorisation of training text.");
    json_decref(f);
}

static void a_loss_beyond_error_is_called_one(void **state)
{
    (void)state;
    json_t *f = golden_facts();
    set_gap(f, -0.085, 0.05);
    says(f, RT_SENTENCE_LOST, "beside the teacher's 41.5 %, 8.5 ± 9.8 points fewer, which is within error.");
    set_gap(f, -0.085, 0.0271);
    says(f, RT_SENTENCE_LOST, "beside the teacher's 41.5 %, 8.5 ± 5.3 points fewer.");
    set_gap(f, 0.185, 0.0271);
    says(f, RT_SENTENCE_LOST, "points more.");
    json_decref(f);
}

static void a_test_the_teacher_fails_says_nothing(void **state)
{
    (void)state;
    json_t *f = golden_facts();
    json_object_set_new(task_of(f, 0), "acc_norm", json_real(0.3));
    says(f, RT_SENTENCE_LOST,
         "the teacher itself is not shown to be above chance (25.0 %), so that this test says nothing");
    json_decref(f);
}

static void unnormalised_accuracy_stands_in(void **state)
{
    (void)state;
    json_t *f = golden_facts();
    json_object_set_new(task_of(f, 0), "acc_norm", json_null());
    json_object_set_new(task_of(f, 1), "acc_norm", json_null());
    says(f, RT_SENTENCE_LOST, "hellaswag: 30.5 % of 200 questions right beside the teacher's 36.0 %");
    json_decref(f);
}

static void missing_errors_are_not_taken_for_certainty(void **state)
{
    (void)state;
    json_t *f = golden_facts();
    json_t *kl = at(at(json_array_get(at(f, "models"), 1), "fidelity"), "kl");
    json_object_set_new(kl, "stderr", json_null());
    says(f, RT_SENTENCE_KEPT, "0.831 (error unknown) nats");
    for (size_t m = 0; m < 2; m++) { /* each has one, but they answered the same questions */
        json_object_set_new(task_of(f, m), "acc_norm_stderr", json_real(0.001));
    }
    says(f, RT_SENTENCE_LOST, "8.5 points fewer, which is of unknown error.");
    json_decref(f);
}

static void the_ground_of_permission_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *verdict, *permit, *says;
    } cases[] = {
        {"permit-with-duties", "{\"decision\": {\"by\": \"me\"}}",
         "under duties, which a person has accepted (verdict: permit-with-duties)"},
        {"permit-with-duties", "{}", "allows this use under duties (verdict"},
        {"unknown", "{\"decision\": {\"by\": \"me\"}}", "a person has decided that this use is allowed"},
        {"unknown", "{}", "does not allow this use (verdict: unknown)"},
        {"deny", "{\"grant\": {\"grantor\": \"Example Ltd\"}}",
         "A written grant of Example Ltd, for the teacher's licence apache-2.0 alone does not"},
        {"deny", "{}", "does not allow this use (verdict: deny)"},
        {"permit", "{\"declared\": true}", "the teacher was declared, not observed."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *f = golden_facts();
        json_object_set_new(at(f, "teacher"), "verdict", json_string(cases[i].verdict));
        json_object_set_new(f, "permit", json_loads(cases[i].permit, 0, NULL));
        says(f, RT_SENTENCE_ALLOWED, cases[i].says);
        json_decref(f);
    }
}

static void nothing_known_is_nothing_claimed(void **state)
{
    (void)state;
    json_t *f = json_object();
    reads(f, RT_SENTENCE_MADE,
          "This model is a student of unknown size, learned from a teacher whose name is not recorded; how it was "
          "trained is not "
          "recorded.");
    reads(f, RT_SENTENCE_ALLOWED,
          "By nothing that is recorded: neither licence nor verdict is among the facts of this run.");
    reads(f, RT_SENTENCE_KEPT, "What it kept of the teacher was not measured.");
    reads(f, RT_SENTENCE_LOST, "Not known: student and teacher were not measured side by side.");
    reads(f, RT_SENTENCE_UNMEASURED, "No list was kept: take everything that this page does not show as not measured.");
    json_decref(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_run_reads_well),
        cmocka_unit_test(a_loss_beyond_error_is_called_one),
        cmocka_unit_test(a_test_the_teacher_fails_says_nothing),
        cmocka_unit_test(unnormalised_accuracy_stands_in),
        cmocka_unit_test(missing_errors_are_not_taken_for_certainty),
        cmocka_unit_test(the_ground_of_permission_is_named),
        cmocka_unit_test(nothing_known_is_nothing_claimed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
