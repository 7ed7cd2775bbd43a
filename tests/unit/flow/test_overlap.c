/* Held-out rows are found among prompts; the form that all prompts share is not mistaken for one of them. */
#include "flow/overlap.h"

#include "rt_test.h"

static rt_prompts rows(const char *const *texts, size_t n, const char *id)
{
    rt_prompts p = {0};
    rt_err err = {0};
    assert_ok(RT_NEW(&p.rows, n, "rows", &err));
    for (size_t i = 0; i < n; i++) {
        json_t *row = json_pack("{s:s}", "prompt", texts[i]);
        if (id != NULL) {
            json_object_set_new(row, "id", json_sprintf("%s%zu", id, i));
        }
        p.rows[p.n++] = (rt_prompt_row){.row = row, .path = "rows"};
    }
    return p;
}

static rt_overlap_how find(const rt_prompts *held_out, const char *text, const char *id)
{
    rt_err err = {0};
    rt_overlap *o = NULL;
    rt_overlap_how how;
    rt_prompts one = rows(&text, 1, id);
    assert_ok(rt_overlap_new(&o, held_out, &err));
    assert_ok(rt_overlap_prompt(o, &one.rows[0], &how, NULL, &err));
    rt_overlap_free(o);
    rt_prompts_release(&one);
    return how;
}

#define TWELVE "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu"

static void a_prompt_is_known_by_id_by_text_and_by_thirteen_words(void **state)
{
    (void)state;
    static const char *const texts[] = {"What is 3 + 4?", "Read: " TWELVE " nu"};
    rt_prompts held_out = rows(texts, 2, "t");
    assert_int_equal(find(&held_out, "Something else", "t"), RT_OVERLAP_ID);
    assert_int_equal(find(&held_out, "what IS\n 3 + 4", "q"), RT_OVERLAP_TEXT);
    assert_int_equal(find(&held_out, "what is 3 - 4?", "q"), RT_OVERLAP_NONE);
    assert_int_equal(find(&held_out, "Say " TWELVE ", nu!", NULL), RT_OVERLAP_WORDS);
    assert_int_equal(find(&held_out, "Say " TWELVE " xi", NULL), RT_OVERLAP_NONE);
    /* as the search of the training text reads words: signs part them, and are none */
    assert_int_equal(
        find(&held_out, "alpha--beta, gamma -- delta epsilon zeta/eta theta iota kappa lambda mu: nu", NULL),
        RT_OVERLAP_WORDS);
    rt_prompts_release(&held_out);
}

static void what_all_prompts_share_is_their_form(void **state)
{
    (void)state;
    static const char *const texts[] = {TWELVE " nu: first", TWELVE " nu: second", "third"};
    rt_prompts held_out = rows(texts, 3, NULL);
    assert_int_equal(find(&held_out, TWELVE " nu: fourth", NULL), RT_OVERLAP_NONE);
    assert_int_equal(find(&held_out, TWELVE " nu: second", NULL), RT_OVERLAP_TEXT);
    rt_prompts_release(&held_out);
}

static void a_document_is_searched_too(void **state)
{
    (void)state;
    static const char *const texts[] = {"Read: " TWELVE " nu"};
    static const char book[] = "Once upon a time they said: " TWELVE " nu, and went home.";
    rt_err err = {0};
    rt_overlap *o = NULL;
    rt_overlap_how how;
    rt_prompts held_out = rows(texts, 1, NULL);
    assert_ok(rt_overlap_new(&o, &held_out, &err));
    assert_ok(rt_overlap_text(o, book, sizeof book - 1, &how, &err));
    assert_int_equal(how, RT_OVERLAP_WORDS);
    assert_ok(rt_overlap_text(o, book, sizeof book - 24, &how, &err));
    assert_int_equal(how, RT_OVERLAP_NONE);
    rt_overlap_free(o);
    rt_prompts_release(&held_out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_is_known_by_id_by_text_and_by_thirteen_words),
        cmocka_unit_test(what_all_prompts_share_is_their_form),
        cmocka_unit_test(a_document_is_searched_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
