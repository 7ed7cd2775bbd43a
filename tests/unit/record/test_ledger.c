/* test_ledger.c - what was recorded stays recorded: chain, counts, salts, crash and resume. */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "record_fixture.h"

typedef struct world {
    char *dir, *path, *salts;
    rt_permit *p;
    rt_err err;
} world;

static int enter(void **state)
{
    world *w = calloc(1, sizeof *w);
    w->dir = rt_test_scratch();
    w->path = rt_path_join(w->dir, "ledger.jsonl");
    w->salts = rt_path_join(w->dir, "ledger.salts");
    w->p = apache_permit("teacher.gguf");
    *state = w;
    return 0;
}

static int leave(void **state)
{
    world *w = *state;
    rt_permit_free(w->p);
    rt_free(w->path);
    rt_free(w->salts);
    rt_test_scratch_drop(w->dir);
    free(w);
    return 0;
}

static rt_ledger *open_ledger(world *w)
{
    rt_err err = {0};
    rt_ledger *l = NULL;
    json_t *settings = json_pack("{s:i, s:s}", "seed", 7, "targets", "sample");
    assert_ok(rt_ledger_open(&l, w->path, w->p, settings, &err));
    json_decref(settings);
    return l;
}

static void add(rt_ledger *l, int from, int to)
{
    rt_err err = {0};
    for (int i = from; i < to; i++) {
        char text[32], doc[32];
        snprintf(text, sizeof text, "text number %d", i);
        snprintf(doc, sizeof doc, "doc-%d", i);
        rt_ledger_output o = {.what = "sample",
                              .doc = doc,
                              .origin = i % 2 ? NULL : "books",
                              .positions = (uint64_t)(100 + i),
                              .cache = i < 3 ? "cache/00000.rtc" : "cache/00001.rtc",
                              .offset = (uint64_t)(64 * i),
                              .text = text,
                              .text_bytes = strlen(text)};
        assert_ok(rt_ledger_add_output(l, &o, &err));
    }
}

static void write_run(world *w, int n)
{
    rt_err err = {0};
    rt_ledger *l = open_ledger(w);
    add(l, 0, n);
    assert_ok(rt_ledger_finish(l, NULL, &err));
    rt_ledger_close(l);
}

static rt_str slurp(const char *path)
{
    rt_err err = {0};
    rt_str s = {0};
    assert_ok(rt_file_read(&s, path, 1 << 24, &err));
    return s;
}

static void a_run_verifies_with_its_counts(void **state)
{
    world *w = *state;
    rt_err err = {0};
    rt_ledger_report r;
    write_run(w, 5);
    assert_ok(rt_ledger_verify(&r, w->path, &err));
    assert_int_equal(r.mark.entries, 7);
    assert_int_equal(r.mark.outputs, 5);
    assert_int_equal(r.mark.positions, 510);
    assert_int_equal(r.unstated, 2);
    assert_true(r.closed);
    assert_false(r.torn);
    assert_true(r.has_salts);
    assert_int_equal(rt_json_i64(r.caches, "cache/00000.rtc", 0), 303);
    assert_int_equal(rt_json_i64(r.caches, "cache/00001.rtc", 0), 207);
    assert_string_equal(rt_json_str(json_array_get(r.permits, 0), "permit_id", ""), rt_permit_id(w->p));
    rt_ledger_report_release(&r);
}

static void the_hash_is_over_the_bytes_of_the_line(void **state)
{
    world *w = *state;
    write_run(w, 1);
    rt_str s = slurp(w->path);
    char hex[65], prev[65] = "0000000000000000000000000000000000000000000000000000000000000000";
    for (char *line = s.p, *nl; (nl = strchr(line, '\n')) != NULL; line = nl + 1) {
        *nl = '\0';
        size_t n = strlen(line);
        rt_digest_hex(rt_sha256_of(line, n - 75), hex);
        assert_memory_equal(line + n - 66, hex, 64);
        assert_says(line, prev);
        memcpy(prev, hex, 65);
    }
    rt_str_release(&s);
}

static void texts_are_hidden_behind_salts_only_the_owner_has(void **state)
{
    world *w = *state;
    rt_err err = {0};
    struct stat sb;
    bool same;
    write_run(w, 3);
    rt_str s = slurp(w->path);
    assert_null(strstr(s.p, "text number"));
    rt_str_release(&s);
    assert_int_equal(stat(w->salts, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0600);
    assert_int_equal(sb.st_size, 48);
    assert_ok(rt_ledger_match(w->path, 1, "text number 1", 13, &same, &err));
    assert_true(same);
    assert_ok(rt_ledger_match(w->path, 1, "text number 2", 13, &same, &err));
    assert_false(same);
    assert_int_equal(rt_ledger_match(w->path, 3, "x", 1, &same, &err), RT_NOT_FOUND);
    assert_ok(rt_path_remove(w->salts, &err));
    assert_int_equal(rt_ledger_match(w->path, 1, "text number 1", 13, &same, &err), RT_NOT_FOUND);
    rt_ledger_report r; /* the chain needs no salts */
    assert_ok(rt_ledger_verify(&r, w->path, &err));
    assert_false(r.has_salts);
    rt_ledger_report_release(&r);
}

/* Applies one edit and expects the named entry to be where the chain breaks. */
static void expect_break(world *w, rt_str whole, const char *from, const char *to, uint64_t line)
{
    rt_err err = {0};
    rt_str s = {0};
    rt_ledger_report r;
    const char *hit = strstr(whole.p, from);
    assert_non_null(hit);
    rt_str_add(&s, whole.p, (size_t)(hit - whole.p));
    rt_str_puts(&s, to);
    rt_str_puts(&s, hit + strlen(from));
    assert_ok(rt_file_write(w->path, s.p, s.n, &err));
    assert_int_equal(rt_ledger_verify(&r, w->path, &err), RT_INPUT);
    assert_int_equal(err.pos, line);
    char want[40];
    snprintf(want, sizeof want, "entry %d", (int)line - 1);
    assert_says(err.msg, want);
    rt_str_release(&s);
}

static void any_change_breaks_the_chain_where_it_was_made(void **state)
{
    world *w = *state;
    write_run(w, 4);
    rt_str s = slurp(w->path);
    expect_break(w, s, "\"doc\":\"doc-2\"", "\"doc\":\"doc-9\"", 4);
    expect_break(w, s, "\"positions\":101", "\"positions\":100", 3);
    expect_break(w, s, "{\"seq\":3", "{\"seq\":9", 4);
    expect_break(w, s, "\"kind\":\"close\"", "\"kind\":\"later\"", 6);
    /* A line taken out. */
    char *third = strstr(s.p, "{\"seq\":2"), *fourth = strstr(s.p, "{\"seq\":3");
    rt_str cut = {0};
    rt_str_add(&cut, third, (size_t)(fourth - third));
    expect_break(w, s, rt_str_cstr(&cut), "", 3);
    /* Two lines swapped. */
    char *fifth = strstr(s.p, "{\"seq\":4");
    rt_str pair = {0}, swapped = {0};
    rt_str_add(&pair, third, (size_t)(fifth - third));
    rt_str_add(&swapped, fourth, (size_t)(fifth - fourth));
    rt_str_add(&swapped, third, (size_t)(fourth - third));
    expect_break(w, s, rt_str_cstr(&pair), rt_str_cstr(&swapped), 3);
    rt_str_release(&cut);
    rt_str_release(&pair);
    rt_str_release(&swapped);
    rt_str_release(&s);
}

/* Someone who can compute hashes still cannot make the counts disagree. */
static void a_forged_count_with_a_right_hash_is_found(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_ledger_report r;
    static const char body[] =
        "{\"seq\":0,\"prev\":\"0000000000000000000000000000000000000000000000000000000000000000\","
        "\"kind\":\"output\",\"output\":0,\"positions\":1";
    char hex[65], line[400];
    rt_digest_hex(rt_sha256_of(body, sizeof body - 1), hex);
    snprintf(line, sizeof line, "%s,\"hash\":\"%s\"}\n", body, hex);
    assert_int_equal(rt_ledger_verify_bytes(&r, line, strlen(line), "forged", &err), RT_INPUT);
    assert_says(err.msg, "outside of a session");
}

static void a_torn_last_line_is_cut_and_the_chain_goes_on(void **state)
{
    world *w = *state;
    rt_err err = {0};
    rt_ledger *l = open_ledger(w);
    add(l, 0, 3);
    assert_ok(rt_ledger_commit(l, NULL, &err));
    rt_ledger_close(l);
    rt_str s = slurp(w->path);
    for (size_t cut = 1; cut < 200; cut += 37) {
        assert_ok(rt_file_write(w->path, s.p, s.n - cut, &err));
        rt_ledger_report r;
        assert_ok(rt_ledger_verify(&r, w->path, &err));
        assert_true(r.torn);
        assert_int_equal(r.mark.outputs, 2);
        rt_ledger_report_release(&r);
        l = open_ledger(w);
        assert_int_equal(rt_ledger_at(l).outputs, 2);
        add(l, 2, 4);
        assert_ok(rt_ledger_finish(l, NULL, &err));
        rt_ledger_close(l);
        assert_ok(rt_ledger_verify(&r, w->path, &err));
        assert_int_equal(r.mark.outputs, 4);
        assert_true(r.closed);
        rt_ledger_report_release(&r);
        bool same;
        assert_ok(rt_ledger_match(w->path, 3, "text number 3", 13, &same, &err));
        assert_true(same);
    }
    rt_str_release(&s);
}

static void a_damaged_middle_is_not_repaired_silently(void **state)
{
    world *w = *state;
    rt_err err = {0};
    rt_ledger *l = NULL;
    write_run(w, 3);
    rt_str s = slurp(w->path);
    s.p[s.n / 2] ^= 1;
    assert_ok(rt_file_write(w->path, s.p, s.n, &err));
    assert_int_equal(rt_ledger_open(&l, w->path, w->p, NULL, &err), RT_INPUT);
    assert_null(l);
    assert_int_equal(rt_path_size(w->path), (int64_t)s.n);
    rt_str_release(&s);
}

static void resume_goes_back_to_the_mark_without_doubles(void **state)
{
    world *w = *state;
    rt_err err = {0};
    rt_ledger_mark mark, stored;
    rt_ledger *l = open_ledger(w);
    add(l, 0, 2);
    assert_ok(rt_ledger_commit(l, &mark, &err));
    add(l, 2, 5); /* recorded, but the cache never got that far */
    assert_ok(rt_ledger_commit(l, NULL, &err));
    rt_ledger_close(l);

    json_t *kept = rt_ledger_mark_json(&mark);
    assert_true(rt_ledger_mark_parse(kept, &stored));
    assert_memory_equal(&mark, &stored, sizeof mark);
    json_decref(kept);

    l = open_ledger(w);
    assert_ok(rt_ledger_truncate_to(l, &stored, &err));
    assert_int_equal(rt_ledger_at(l).outputs, 2);
    add(l, 2, 4);
    assert_ok(rt_ledger_finish(l, NULL, &err));
    rt_ledger_close(l);
    rt_ledger_report r;
    assert_ok(rt_ledger_verify(&r, w->path, &err));
    assert_int_equal(r.mark.outputs, 4);
    assert_int_equal(r.mark.positions, 100 + 101 + 102 + 103);
    assert_int_equal(json_array_size(r.permits), 1);
    rt_ledger_report_release(&r);
    assert_int_equal(rt_path_size(w->salts), 64);
}

static void a_mark_of_another_chain_is_refused(void **state)
{
    world *w = *state;
    rt_err err = {0};
    rt_ledger *l = open_ledger(w);
    add(l, 0, 3);
    rt_ledger_mark mark;
    assert_ok(rt_ledger_commit(l, &mark, &err));
    rt_ledger_mark later = mark, other = mark;
    later.entries += 1;
    assert_int_equal(rt_ledger_truncate_to(l, &later, &err), RT_INPUT);
    assert_says(err.msg, "ends after 4 entries");
    other.head.b[0] ^= 1;
    assert_int_equal(rt_ledger_truncate_to(l, &other, &err), RT_INPUT);
    assert_int_equal(rt_ledger_at(l).outputs, 3);
    rt_ledger_mark none = {0};
    assert_ok(rt_ledger_truncate_to(l, &none, &err));
    assert_int_equal(rt_ledger_at(l).entries, 0);
    rt_ledger_close(l);
}

static void what_is_not_committed_is_not_there(void **state)
{
    world *w = *state;
    rt_err err = {0};
    rt_ledger *l = open_ledger(w);
    add(l, 0, 2);
    assert_ok(rt_ledger_commit(l, NULL, &err));
    add(l, 2, 9);
    assert_int_equal(rt_ledger_at(l).outputs, 9);
    rt_ledger_close(l);
    rt_ledger_report r;
    assert_ok(rt_ledger_verify(&r, w->path, &err));
    assert_int_equal(r.mark.outputs, 2);
    assert_false(r.closed);
    rt_ledger_report_release(&r);
}

static void a_finished_ledger_can_be_carried_on_in_a_new_session(void **state)
{
    world *w = *state;
    rt_err err = {0};
    write_run(w, 2);
    rt_ledger *l = open_ledger(w);
    assert_ok(rt_ledger_finish(l, NULL, &err)); /* nothing new: nothing written */
    assert_int_equal(rt_ledger_at(l).entries, 4);
    add(l, 2, 3);
    assert_ok(rt_ledger_finish(l, NULL, &err));
    rt_ledger_close(l);
    rt_ledger_report r;
    assert_ok(rt_ledger_verify(&r, w->path, &err));
    assert_int_equal(json_array_size(r.permits), 2);
    assert_int_equal(r.mark.outputs, 3);
    rt_ledger_report_release(&r);
}

static void what_is_done_over_is_counted_as_repeated(void **state)
{
    world *w = *state;
    rt_err err = {0};
    rt_ledger_report r;
    write_run(w, 2); /* closed: what follows repeats none of it */
    rt_ledger *l = open_ledger(w);
    assert_ok(rt_ledger_begin_anew(l, &err));
    assert_int_equal(rt_ledger_at(l).entries, 4);
    add(l, 2, 4);
    assert_ok(rt_ledger_commit(l, NULL, &err));
    rt_ledger_close(l);
    l = open_ledger(w);
    assert_ok(rt_ledger_begin_anew(l, &err));
    assert_ok(rt_ledger_begin_anew(l, &err)); /* said once */
    add(l, 2, 4);
    assert_ok(rt_ledger_finish(l, NULL, &err));
    rt_ledger_close(l);
    assert_ok(rt_ledger_verify(&r, w->path, &err));
    assert_int_equal(r.repeated, 102 + 103);
    assert_int_equal(r.mark.positions, 100 + 101 + 2 * (102 + 103));
    rt_ledger_report_release(&r);
}

static void more_than_there_is_cannot_be_repeated(void **state)
{
    world *w = *state;
    rt_err err = {0};
    rt_ledger *l = open_ledger(w);
    json_t *lie = json_pack("{s:{s:i}}", "begun_anew", "positions", 7);
    add(l, 0, 1);
    assert_int_equal(rt_ledger_add_decision(l, lie, &err), RT_INTERNAL);
    assert_says(err.msg, "repeats other positions than there are");
    json_decref(lie);
    rt_ledger_close(l);
}

static void an_entry_that_could_not_be_read_back_is_refused(void **state)
{
    world *w = *state;
    rt_err err = {0};
    rt_ledger *l = open_ledger(w);
    rt_str id = {0};
    while (id.n < (size_t)5 << 20) {
        rt_str_puts(&id, "an id without end, ");
    }
    add(l, 0, 1);
    rt_ledger_output o = {.what = "text", .doc = rt_str_cstr(&id), .positions = 1};
    assert_int_equal(rt_ledger_add_output(l, &o, &err), RT_INPUT);
    assert_says(err.msg, "ledger.jsonl");
    assert_says(err.msg, "'doc' takes 52");
    assert_int_equal(rt_ledger_at(l).outputs, 1);
    add(l, 1, 2);
    assert_ok(rt_ledger_finish(l, NULL, &err));
    rt_ledger_close(l);
    rt_ledger_report r;
    assert_ok(rt_ledger_verify(&r, w->path, &err));
    assert_int_equal(r.mark.outputs, 2);
    rt_ledger_report_release(&r);
    rt_str_release(&id);
}

static void another_permit_opens_another_session(void **state)
{
    world *w = *state;
    rt_err err = {0};
    rt_ledger *l = open_ledger(w);
    add(l, 0, 1);
    assert_ok(rt_ledger_commit(l, NULL, &err));
    rt_ledger_close(l);
    rt_permit_free(w->p);
    w->p = apache_permit("other.gguf");
    l = open_ledger(w);
    json_t *d = json_pack("{s:s}", "what", "teacher changed on purpose");
    assert_ok(rt_ledger_add_decision(l, d, &err));
    json_decref(d);
    add(l, 1, 2);
    assert_ok(rt_ledger_finish(l, NULL, &err));
    rt_ledger_close(l);
    rt_ledger_report r;
    assert_ok(rt_ledger_verify(&r, w->path, &err));
    assert_int_equal(json_array_size(r.permits), 2);
    rt_ledger_report_release(&r);
}

static void one_writer_at_a_time(void **state)
{
    world *w = *state;
    rt_err err = {0};
    rt_ledger *l = open_ledger(w), *second = NULL;
    assert_int_equal(rt_ledger_open(&second, w->path, w->p, NULL, &err), RT_IO);
    assert_says(err.msg, "another process");
    rt_ledger_close(l);
}

static void lost_salts_stop_the_writer(void **state)
{
    world *w = *state;
    rt_err err = {0};
    rt_ledger *l = NULL;
    write_run(w, 3);
    assert_ok(rt_path_remove(w->salts, &err));
    assert_int_equal(rt_ledger_open(&l, w->path, w->p, NULL, &err), RT_INPUT);
    assert_says(err.msg, "0 of 3");
}

/* The part of the next test that is killed; a program of its own, since fault points are read once a process. */
static int write_until_killed(const char *path)
{
    rt_err err = {0};
    rt_ledger *l = NULL;
    rt_permit *p = apache_permit("teacher.gguf");
    rt_status st = rt_ledger_open(&l, path, p, NULL, &err);
    for (int k = 0; st == RT_OK && k < 3; k++) {
        add(l, 2 * k, 2 * k + 2);
        st = rt_ledger_commit(l, NULL, &err);
    }
    return 1;
}

/* Killed between salts and lines, and after the lines: in both cases the next opening finds a whole chain. */
static void a_kill_during_a_commit_loses_at_most_that_commit(void **state)
{
    world *w = *state;
    static const char *const points[] = {"ledger-salts:2", "ledger-lines:2"};
    for (int i = 0; i < 2; i++) {
        rt_err err = {0};
        assert_ok(rt_path_remove(w->path, &err));
        assert_ok(rt_path_remove(w->salts, &err));
        pid_t child = fork();
        if (child == 0) {
            setenv("RETORT_CRASH_AT", points[i], 1);
            execl("/proc/self/exe", "test_ledger", w->path, (char *)NULL);
            _exit(2);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        rt_ledger *l = open_ledger(w);
        assert_int_equal(rt_ledger_at(l).outputs, i == 0 ? 2 : 4);
        add(l, i == 0 ? 2 : 4, 6);
        assert_ok(rt_ledger_finish(l, NULL, &err));
        rt_ledger_close(l);
        for (uint64_t k = 0; k < 6; k++) {
            char text[32];
            bool same;
            snprintf(text, sizeof text, "text number %d", (int)k);
            assert_ok(rt_ledger_match(w->path, k, text, strlen(text), &same, &err));
            assert_true(same);
        }
    }
}

static void running_out_of_memory_leaves_the_file_whole(void **state)
{
    world *w = *state;
    write_run(w, 2);
    for (uint64_t n = 1; n < 20000; n += 1 + n / 30) {
        rt_err err = {0};
        rt_ledger *l = NULL;
        rt_mem_fail_after(n);
        rt_status st = rt_ledger_open(&l, w->path, w->p, NULL, &err);
        rt_ledger_output o = {.what = "text", .positions = 1, .text = "t", .text_bytes = 1};
        st = st == RT_OK ? rt_ledger_add_output(l, &o, &err) : st;
        st = st == RT_OK ? rt_ledger_commit(l, NULL, &err) : st;
        rt_ledger_close(l);
        rt_mem_fail_after(0);
        rt_ledger_report r;
        rt_err why = {0};
        if (rt_ledger_verify(&r, w->path, &why) != RT_OK) {
            fail_msg("allocation %d: %s", (int)n, why.msg);
        }
        rt_ledger_report_release(&r);
        if (st == RT_OK) {
            return;
        }
        assert_int_not_equal(st, RT_INTERNAL);
    }
    fail_msg("never enough memory");
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        return write_until_killed(argv[1]);
    }
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, enter, leave)
        T(a_run_verifies_with_its_counts),
        T(the_hash_is_over_the_bytes_of_the_line),
        T(texts_are_hidden_behind_salts_only_the_owner_has),
        T(any_change_breaks_the_chain_where_it_was_made),
        T(a_forged_count_with_a_right_hash_is_found),
        T(a_torn_last_line_is_cut_and_the_chain_goes_on),
        T(a_damaged_middle_is_not_repaired_silently),
        T(resume_goes_back_to_the_mark_without_doubles),
        T(a_mark_of_another_chain_is_refused),
        T(what_is_not_committed_is_not_there),
        T(a_finished_ledger_can_be_carried_on_in_a_new_session),
        T(what_is_done_over_is_counted_as_repeated),
        T(more_than_there_is_cannot_be_repeated),
        T(an_entry_that_could_not_be_read_back_is_refused),
        T(another_permit_opens_another_session),
        T(one_writer_at_a_time),
        T(lost_salts_stop_the_writer),
        T(a_kill_during_a_commit_loses_at_most_that_commit),
        T(running_out_of_memory_leaves_the_file_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
