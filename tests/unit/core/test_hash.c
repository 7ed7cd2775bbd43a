/* test_hash.c - digests against published vectors, and the memo of file hashes. */
#include <jansson.h>
#include <sys/stat.h>
#include <utime.h>

#include "rt_test.h"

static void assert_hex(rt_digest d, const char *hex)
{
    char got[65];
    rt_digest_hex(d, got);
    assert_string_equal(got, hex);
}

/* FIPS 180-4 examples. */
#define SHA_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void sha256_matches_the_standard(void **state)
{
    (void)state;
    assert_hex(rt_sha256_of("", 0), SHA_EMPTY);
    assert_hex(rt_sha256_of("abc", 3), SHA_ABC);
}

static void pieces_hash_as_the_whole(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_sha256 h;
    assert_ok(rt_sha256_open(&h, &err));
    rt_sha256_add(&h, "a", 1);
    rt_sha256_add(&h, "", 0);
    rt_sha256_add(&h, "bc", 2);
    assert_hex(rt_sha256_close(&h), SHA_ABC);
}

static void hex_parses_back_and_only_hex(void **state)
{
    (void)state;
    rt_digest d;
    assert_int_equal(rt_digest_parse(SHA_ABC, &d), 0);
    assert_hex(d, SHA_ABC);
    assert_int_not_equal(rt_digest_parse("ba78", &d), 0);
    assert_int_not_equal(rt_digest_parse("zz7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", &d), 0);
    assert_int_not_equal(rt_digest_parse(SHA_ABC "0", &d), 0);
}

static void xxh3_matches_the_published_vector(void **state)
{
    (void)state;
    assert_int_equal(rt_xxh64("", 0), UINT64_C(0x2d06800538d394c2));
    assert_int_not_equal(rt_xxh64("a", 1), rt_xxh64("b", 1));
}

static void set_mtime(const char *path, long t)
{
    assert_int_equal(utime(path, &(struct utimbuf){t, t}), 0);
}

static void a_file_hash_is_remembered_until_the_file_changes(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_digest d;
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "a"), *memo = rt_path_join(dir, "memo.json");
    assert_ok(rt_file_write(path, "abc", 3, &err));
    set_mtime(path, 1000000000);
    assert_ok(rt_file_sha256(path, memo, &d, &err));
    assert_hex(d, SHA_ABC);

    /* The second time the memo answers: an altered entry shows it was asked. */
    json_t *root = json_load_file(memo, 0, NULL);
    assert_int_equal(json_object_size(root), 1);
    json_object_set_new(json_object_iter_value(json_object_iter(root)), "sha256", json_string(SHA_EMPTY));
    assert_int_equal(json_dump_file(root, memo, 0), 0);
    json_decref(root);
    assert_ok(rt_file_sha256(path, memo, &d, &err));
    assert_hex(d, SHA_EMPTY);

    set_mtime(path, 1000000001);
    assert_ok(rt_file_sha256(path, memo, &d, &err));
    assert_hex(d, SHA_ABC);

    /* A fresh file may change again within one tick of the clock: not remembered. */
    char *fresh = rt_path_join(dir, "fresh");
    assert_ok(rt_file_write(fresh, "abc", 3, &err));
    assert_ok(rt_file_sha256(fresh, memo, &d, &err));
    root = json_load_file(memo, 0, NULL);
    assert_int_equal(json_object_size(root), 1);
    json_decref(root);
    rt_free(fresh);
    rt_free(memo);
    rt_free(path);
    rt_test_scratch_drop(dir);
}

static void a_broken_memo_only_costs_time(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_digest d;
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "a"), *memo = rt_path_join(dir, "memo.json");
    assert_ok(rt_file_write(path, "abc", 3, &err));
    assert_ok(rt_file_write(memo, "{not json", 9, &err));
    assert_ok(rt_file_sha256(path, memo, &d, &err));
    assert_hex(d, SHA_ABC);
    assert_ok(rt_file_sha256(path, "/nowhere/memo.json", &d, &err));
    assert_ok(rt_file_sha256(path, NULL, &d, &err));
    assert_hex(d, SHA_ABC);
    assert_int_equal(rt_file_sha256("/nowhere/a", memo, &d, &err), RT_NOT_FOUND);
    assert_says(err.msg, "/nowhere/a");
    rt_free(memo);
    rt_free(path);
    rt_test_scratch_drop(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_matches_the_standard),
        cmocka_unit_test(pieces_hash_as_the_whole),
        cmocka_unit_test(hex_parses_back_and_only_hex),
        cmocka_unit_test(xxh3_matches_the_published_vector),
        cmocka_unit_test(a_file_hash_is_remembered_until_the_file_changes),
        cmocka_unit_test(a_broken_memo_only_costs_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
