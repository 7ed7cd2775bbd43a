/* What a server lists at a position is believed only as far as it checks; addresses are read in one way only. */
#include <math.h>

#include "teacher/endpoint_row.h"
#include "teacher/http.h"
#include "unit/teacher/collect_fixture.h"

enum { VOCAB = 6, K = 2 };

typedef struct fixture {
    rt_tokenizer *tokenizer;
    rt_endpoint_row row;
    int32_t ids[VOCAB];
    float logp[VOCAB];
} fixture;

static void open_row(fixture *f, int k, int32_t label)
{
    rt_err err = {0};
    f->tokenizer = small_tokenizer();
    assert_ok(rt_endpoint_row_open(&f->row, "http://here", f->tokenizer, VOCAB, &err));
    rt_endpoint_row_begin(&f->row, k, label, f->ids, f->logp);
}

static void close_row(fixture *f)
{
    rt_endpoint_row_release(&f->row);
    rt_tokenizer_close(f->tokenizer);
}

static rt_status add(fixture *f, int64_t id, double p, const char *text, bool exact, rt_err *err)
{
    json_t *logprob = json_real(log(p));
    const rt_slice slice = {text, text != NULL ? strlen(text) : 0};
    const rt_status st = rt_endpoint_row_add(&f->row, id, logprob, text != NULL ? &slice : NULL, exact, err);
    json_decref(logprob);
    return st;
}

static void the_likeliest_stay_and_the_rest_is_the_tail(void **state)
{
    (void)state;
    rt_err err = {0};
    fixture f;
    rt_cache_row out;
    open_row(&f, K, 4);
    const double p[VOCAB] = {0.1, 0.4, 0.05, 0.3, 0.1, 0.05};
    for (int i = 0; i < VOCAB - 1; i++) {
        assert_ok(add(&f, i, p[i], NULL, true, &err));
    }
    assert_ok(rt_endpoint_row_end(&f.row, &out, &err));
    assert_int_equal(out.n, K);
    assert_int_equal(out.ids[0], 1);
    assert_int_equal(out.ids[1], 3);
    assert_float_equal(out.logp[0], log(0.4), 1e-6);
    assert_float_equal(out.log_tail, log(0.3), 1e-5);
    assert_float_equal(out.label_logp, log(0.1), 1e-6);
    close_row(&f);
}

static void a_whole_vocabulary_leaves_no_tail(void **state)
{
    (void)state;
    rt_err err = {0};
    fixture f;
    rt_cache_row out;
    open_row(&f, VOCAB, 0);
    for (int i = 0; i < VOCAB; i++) {
        assert_ok(add(&f, i, 1.0 / VOCAB, NULL, true, &err));
    }
    assert_ok(rt_endpoint_row_end(&f.row, &out, &err));
    assert_true(isinf(out.log_tail) && out.log_tail < 0);
    close_row(&f);
}

static void a_token_that_means_something_else_is_a_wrong_vocabulary(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool exact, same;
    } cases[] = {{"ab", true, true}, {" ab", false, true},          {" ab", true, false},  {"ba", true, false},
                 {"", true, true},   {"\xef\xbf\xbd", false, true}, {"a\x01", true, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        fixture f;
        open_row(&f, K, 0);
        const rt_status st = add(&f, 3, 0.5, cases[i].text, cases[i].exact, &err);
        assert_int_equal(st, cases[i].same ? RT_OK : RT_REMOTE);
        if (!cases[i].same) {
            assert_says(err.msg, "wrong vocabulary: token 3");
            assert_null(strchr(err.msg, '\x01'));
        }
        close_row(&f);
    }
}

static void what_cannot_be_a_distribution_is_refused(void **state)
{
    (void)state;
    rt_err err = {0};
    fixture f;
    rt_cache_row out;
    open_row(&f, K, 0);
    assert_int_equal(add(&f, VOCAB, 0.5, NULL, true, &err), RT_REMOTE);
    assert_int_equal(add(&f, -1, 0.5, NULL, true, &err), RT_REMOTE);
    assert_int_equal(add(&f, 0, 1.5, NULL, true, &err), RT_REMOTE);
    assert_ok(add(&f, 0, 0.9, NULL, true, &err));
    assert_int_equal(add(&f, 0, 0.9, NULL, true, &err), RT_REMOTE);
    assert_says(err.msg, "twice");
    assert_int_equal(rt_endpoint_row_end(&f.row, &out, &err), RT_REMOTE);
    assert_says(err.msg, "asked for 2 log-probabilities a position and gave 1");
    assert_ok(add(&f, 1, 0.9, NULL, true, &err));
    assert_int_equal(rt_endpoint_row_end(&f.row, &out, &err), RT_REMOTE);
    assert_says(err.msg, "add up to 1.8");
    rt_endpoint_row_begin(&f.row, K, 5, f.ids, f.logp);
    assert_ok(add(&f, 0, 0.5, NULL, true, &err));
    assert_ok(add(&f, 1, 0.3, NULL, true, &err));
    assert_int_equal(rt_endpoint_row_end(&f.row, &out, &err), RT_REMOTE);
    assert_says(err.msg, "the text's own token");
    close_row(&f);
}

static void an_address_says_where_its_server_stands(void **state)
{
    (void)state;
    static const struct {
        const char *text, *url, *host;
        rt_http_place place;
    } cases[] = {
        {"http://127.0.0.1:8080", "http://127.0.0.1:8080", "127.0.0.1", RT_HTTP_LOOPBACK},
        {"http://LocalHost/v1", "http://LocalHost", "localhost", RT_HTTP_LOOPBACK},
        {"http://[::1]:80/", "http://[::1]:80", "::1", RT_HTTP_LOOPBACK},
        {"http://192.168.7.9", "http://192.168.7.9", "192.168.7.9", RT_HTTP_PRIVATE},
        {"http://10.0.0.1", "http://10.0.0.1", "10.0.0.1", RT_HTTP_PRIVATE},
        {"http://172.31.0.1", "http://172.31.0.1", "172.31.0.1", RT_HTTP_PRIVATE},
        {"http://[fd00::1]", "http://[fd00::1]", "fd00::1", RT_HTTP_PRIVATE},
        {"http://172.32.0.1", "http://172.32.0.1", "172.32.0.1", RT_HTTP_PUBLIC},
        {"http://11.0.0.1", "http://11.0.0.1", "11.0.0.1", RT_HTTP_PUBLIC},
        {"http://127.1", "http://127.1", "127.1", RT_HTTP_PUBLIC},
        {"http://localhost.example.org", "http://localhost.example.org", "localhost.example.org", RT_HTTP_PUBLIC},
        {"https://Models.Example.org:444/a/b/", "https://Models.Example.org:444/a/b", "models.example.org",
         RT_HTTP_PUBLIC},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        rt_http_url url;
        assert_ok(rt_http_url_parse(&url, cases[i].text, &err));
        assert_string_equal(url.text, cases[i].url);
        assert_string_equal(url.host, cases[i].host);
        assert_int_equal(url.place, cases[i].place);
    }
}

static void an_address_that_can_be_read_in_two_ways_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "127.0.0.1",
                                      "ftp://127.0.0.1",
                                      "http://",
                                      "http://:80",
                                      "http://127.0.0.1:",
                                      "http://127.0.0.1:80x",
                                      "http://127.0.0.1:65536",
                                      "http://127.0.0.1\\@example.org",
                                      "http://example.org@127.0.0.1",
                                      "http://127.0.0.1#@example.org",
                                      "http://127.0.0.1?x",
                                      "http://a b",
                                      "http://a%20b",
                                      "http://[::1",
                                      "http://[]",
                                      "http://h/\r\nX: y"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rt_err err = {0};
        rt_http_url url;
        assert_int_equal(rt_http_url_parse(&url, bad[i], &err), RT_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_likeliest_stay_and_the_rest_is_the_tail),
        cmocka_unit_test(a_whole_vocabulary_leaves_no_tail),
        cmocka_unit_test(a_token_that_means_something_else_is_a_wrong_vocabulary),
        cmocka_unit_test(what_cannot_be_a_distribution_is_refused),
        cmocka_unit_test(an_address_says_where_its_server_stands),
        cmocka_unit_test(an_address_that_can_be_read_in_two_ways_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
