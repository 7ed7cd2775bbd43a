/* test_html.c - text reaches the page as text: it can neither act, nor hide, nor fill the page. */
#include "markup.h"

#include "report/html.h"

static void shows(const char *text, size_t n, const char *as)
{
    rt_str s = {0};
    rt_html_text(&s, text, n, RT_HTML_TEXT_MAX);
    assert_string_equal(rt_str_cstr(&s), as);
    rt_str_release(&s);
}

#define SHOWS(text, as) shows(text, sizeof text - 1, as)

static void markup_in_a_text_is_shown(void **state)
{
    (void)state;
    SHOWS("<script>alert('x')</script>", "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;");
    SHOWS("\" onload=\"x", "&quot; onload=&quot;x");
    SHOWS("a && b", "a &amp;&amp; b");
    SHOWS("&amp;", "&amp;amp;");
}

static void what_cannot_be_seen_is_written_out(void **state)
{
    (void)state;
    SHOWS("a\0b", "a[U+0000]b");
    SHOWS("\x1b[31m\r", "[U+001B][31m[U+000D]");
    SHOWS("\u202Eevil\u202C", "[U+202E]evil[U+202C]");
    SHOWS("\u2066\u2069\u200B\u200F\uFEFF", "[U+2066][U+2069][U+200B][U+200F][U+FEFF]");
    SHOWS("\xc2\x85\u2028\U000E0041", "[U+0085][U+2028][U+E0041]");
    SHOWS("\uFFFF\U0001FFFE", "[U+FFFF][U+1FFFE]");
}

static void ordinary_text_stays_as_it_is(void **state)
{
    (void)state;
    SHOWS("line\n\ttab", "line\n\ttab");
    SHOWS("héllo — 你好 \U0001F600 שלום", "héllo — 你好 \U0001F600 שלום");
    SHOWS("", "");
}

static void ill_formed_bytes_are_written_out(void **state)
{
    (void)state;
    SHOWS("a\xffz", "a[xFF]z");
    SHOWS("\xc3", "[xC3]");
    SHOWS("\xed\xa0\x80", "[xED][xA0][x80]");
    SHOWS("\xf0\x9f\x98", "[xF0][x9F][x98]");
}

static void a_long_text_is_cut_between_characters(void **state)
{
    (void)state;
    rt_str s = {0};
    rt_html_text(&s, "ab<<é", 6, 8);
    assert_string_equal(rt_str_cstr(&s), "ab&lt;… (3 bytes more)");
    rt_str_release(&s);
}

static void a_cut_text_takes_no_more_than_its_room(void **state)
{
    (void)state;
    rt_str text = {0}, s = {0};
    for (int i = 0; i < 5000; i++) {
        rt_str_puts(&text, "\u202E<\xff");
    }
    rt_html_text(&s, text.p, text.n, 100);
    assert_in_range(s.n, 90, 140);
    rt_str_release(&text);
    rt_str_release(&s);
}

static void a_template_escapes_its_texts_only(void **state)
{
    (void)state;
    rt_str s = {0};
    rt_html_put(&s, "<b title=\"%s\">%d of %zu, 100 %%</b>", "<\">", -3, (size_t)7);
    assert_string_equal(rt_str_cstr(&s), "<b title=\"&lt;&quot;&gt;\">-3 of 7, 100 %</b>");
    rt_str_release(&s);
}

static void json_values_read_as_words(void **state)
{
    (void)state;
    static const struct {
        const char *json, *as;
    } cases[] = {
        {"[\"<a>\"]", "&lt;a&gt;"}, {"[12]", "12"},      {"[0.0006]", "0.0006"}, {"[true]", "yes"},
        {"[null]", "unknown"},      {"[{}]", "unknown"}, {"[\"\"]", "unknown"},  {"[\"a\\u0000b\"]", "a[U+0000]b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *j = json_loads(cases[i].json, JSON_ALLOW_NUL, NULL);
        rt_str s = {0};
        assert_non_null(j);
        rt_html_json(&s, json_array_get(j, 0), "unknown");
        assert_string_equal(rt_str_cstr(&s), cases[i].as);
        rt_str_release(&s);
        json_decref(j);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(markup_in_a_text_is_shown),
        cmocka_unit_test(what_cannot_be_seen_is_written_out),
        cmocka_unit_test(ordinary_text_stays_as_it_is),
        cmocka_unit_test(ill_formed_bytes_are_written_out),
        cmocka_unit_test(a_long_text_is_cut_between_characters),
        cmocka_unit_test(a_cut_text_takes_no_more_than_its_room),
        cmocka_unit_test(a_template_escapes_its_texts_only),
        cmocka_unit_test(json_values_read_as_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
