/* test_file.c - mapping, reading, atomic replacement, paths. */
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "rt_test.h"

static int make_scratch(void **state)
{
    *state = rt_test_scratch();
    return 0;
}

static int drop_scratch(void **state)
{
    rt_test_scratch_drop(*state);
    return 0;
}

static char *inside(void **state, const char *name)
{
    return rt_path_join(*state, name);
}

static void assert_file_holds(const char *path, const char *text)
{
    rt_err err = {0};
    rt_str s = {0};
    assert_ok(rt_file_read(&s, path, 1 << 20, &err));
    assert_string_equal(rt_str_cstr(&s), text);
    rt_str_release(&s);
}

static int count_entries(const char *dir)
{
    char command[400];
    int n = -1;
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", dir);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &n), 1);
    pclose(f);
    return n;
}

static void a_written_file_maps_and_reads_back(void **state)
{
    rt_err err = {0};
    rt_map m;
    char *path = inside(state, "a.bin");
    assert_ok(rt_file_write(path, "retort", 6, &err));
    assert_ok(rt_map_open(&m, path, &err));
    assert_int_equal(m.size, 6);
    assert_memory_equal(m.data, "retort", 6);
    rt_map_close(&m);
    rt_map_close(&m);
    assert_file_holds(path, "retort");
    assert_int_equal(rt_path_size(path), 6);
    assert_int_equal(count_entries(*state), 1);
    rt_free(path);
}

static void an_empty_file_maps_to_nothing(void **state)
{
    rt_err err = {0};
    rt_map m;
    char *path = inside(state, "empty");
    assert_ok(rt_file_write(path, NULL, 0, &err));
    assert_ok(rt_map_open(&m, path, &err));
    assert_null(m.data);
    assert_int_equal(m.size, 0);
    rt_map_close(&m);
    rt_free(path);
}

static void missing_files_and_directories_are_told_apart(void **state)
{
    rt_err err = {0};
    rt_map m;
    rt_str s = {0};
    char *path = inside(state, "none.gguf");
    assert_int_equal(rt_map_open(&m, path, &err), RT_NOT_FOUND);
    assert_says(err.msg, "none.gguf");
    assert_says(err.msg, strerror(ENOENT));
    assert_int_equal(rt_map_open(&m, *state, &err), RT_INPUT);
    assert_says(err.msg, "is a directory");
    assert_int_equal(rt_file_read(&s, path, 10, &err), RT_NOT_FOUND);
    assert_int_equal(rt_map_open(&m, "/dev/null", &err), RT_INPUT);
    assert_int_equal(rt_path_size(path), -1);
    rt_free(path);
}

static void reading_stops_at_the_limit(void **state)
{
    rt_err err = {0};
    rt_str s = {0};
    char *path = inside(state, "a");
    assert_ok(rt_file_write(path, "12345678", 8, &err));
    assert_ok(rt_file_read(&s, path, 8, &err));
    assert_int_equal(rt_file_read(&s, path, 7, &err), RT_INPUT);
    assert_says(err.msg, "7 bytes");
    rt_str_release(&s);
    rt_free(path);
}

static void discarding_leaves_the_old_file(void **state)
{
    rt_err err = {0};
    rt_atomic a;
    char *path = inside(state, "a");
    assert_ok(rt_file_write(path, "old", 3, &err));
    assert_ok(rt_atomic_open(&a, path, &err));
    assert_ok(rt_fwrite(a.f, "new", 3, path, &err));
    rt_atomic_discard(&a);
    rt_atomic_discard(&a);
    assert_file_holds(path, "old");
    assert_int_equal(count_entries(*state), 1);
    rt_free(path);
}

static void committing_replaces_and_leaves_no_temporary(void **state)
{
    rt_err err = {0};
    rt_atomic a;
    char *path = inside(state, "a");
    assert_ok(rt_file_write(path, "old and longer", 14, &err));
    assert_ok(rt_atomic_open(&a, path, &err));
    assert_ok(rt_fwrite(a.f, "new", 3, path, &err));
    assert_file_holds(path, "old and longer");
    assert_ok(rt_atomic_commit(&a, &err));
    rt_atomic_discard(&a);
    assert_file_holds(path, "new");
    assert_int_equal(count_entries(*state), 1);
    rt_free(path);
}

/* Runs a replacement in a child that dies at `point`. */
static void die_while_replacing(const char *path, const char *point)
{
    pid_t child = fork();
    if (child == 0) {
        char spec[64];
        snprintf(spec, sizeof spec, "%s:1", point);
        setenv("RETORT_CRASH_AT", spec, 1);
        rt_status st = rt_file_write(path, "new", 3, NULL);
        _exit(st == RT_OK ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

/* Runs first and writes the old file by hand: a process reads RETORT_CRASH_AT at its first fault point, here the
 * children's. */
static void a_crash_leaves_the_old_or_the_new_file(void **state)
{
    char *path = inside(state, "a");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fputs("old", f) >= 0 && fclose(f) == 0, 1);
    die_while_replacing(path, "atomic_written");
    assert_file_holds(path, "old");
    die_while_replacing(path, "atomic_renamed");
    assert_file_holds(path, "new");
    rt_free(path);
}

static void a_full_disk_is_reported(void **state)
{
    (void)state;
    rt_err err = {0};
    static char bytes[1 << 16];
    FILE *full = fopen("/dev/full", "wb");
    assert_non_null(full);
    assert_int_equal(rt_fwrite(full, bytes, sizeof bytes, "out.gguf", &err), RT_IO);
    assert_int_equal(err.os_errno, ENOSPC);
    assert_says(err.msg, "out.gguf");
    assert_says(err.msg, strerror(ENOSPC));
    fclose(full);
}

static void a_full_disk_at_commit_keeps_the_old_file(void **state)
{
    rt_err err = {0};
    rt_atomic a;
    char *path = inside(state, "a");
    assert_ok(rt_file_write(path, "old", 3, &err));
    assert_ok(rt_atomic_open(&a, path, &err));
    /* The bytes sit in the stream's buffer until commit; the stream now ends at a device without room. */
    assert_non_null(freopen("/dev/full", "wb", a.f));
    assert_ok(rt_fwrite(a.f, "new", 3, path, &err));
    assert_int_equal(rt_atomic_commit(&a, &err), RT_IO);
    assert_int_equal(err.os_errno, ENOSPC);
    assert_file_holds(path, "old");
    assert_int_equal(count_entries(*state), 1);
    rt_free(path);
}

static void a_directory_that_refuses_is_reported(void **state)
{
    rt_err err = {0};
    char *locked = inside(state, "locked"), *path = rt_path_join(locked, "a");
    assert_ok(rt_mkdirs(locked, &err));
    assert_int_equal(chmod(locked, 0500), 0);
    if (geteuid() != 0) { /* nothing is read-only to root */
        assert_int_equal(rt_file_write(path, "x", 1, &err), RT_IO);
        assert_int_equal(err.os_errno, EACCES);
        assert_int_equal(count_entries(locked), 0);
    }
    rt_free(path);
    path = inside(state, "file");
    assert_ok(rt_file_write(path, "x", 1, &err));
    char *below = rt_path_join(path, "b");
    assert_int_equal(rt_file_write(below, "x", 1, &err), RT_IO);
    assert_int_equal(err.os_errno, ENOTDIR);
    assert_says(err.msg, below);
    assert_int_equal(rt_mkdirs(below, &err), RT_IO);
    assert_int_equal(rt_file_write("/nowhere/at/all", "x", 1, &err), RT_IO);
    rt_free(below);
    rt_free(path);
    rt_free(locked);
}

static void lost_memory_leaves_no_file(void **state)
{
    rt_err err = {0};
    char *path = inside(state, "a");
    for (uint64_t n = 1; n <= 3; n++) {
        rt_mem_fail_after(n);
        rt_status st = rt_file_write(path, "x", 1, &err);
        rt_mem_fail_after(0);
        assert_int_equal(st, RT_MEMORY);
        rt_status ignored = rt_path_remove(path, NULL);
        (void)ignored;
        assert_int_equal(count_entries(*state), 0);
    }
    rt_free(path);
}

static void directories_are_made_to_any_depth(void **state)
{
    rt_err err = {0};
    char *deep = inside(state, "a/b//c/");
    assert_ok(rt_mkdirs(deep, &err));
    assert_ok(rt_mkdirs(deep, &err));
    assert_true(rt_path_is_dir(deep));
    assert_true(rt_path_exists(deep));
    assert_ok(rt_mkdirs("/", &err));
    rt_free(deep);
}

static void paths_join_and_part(void **state)
{
    (void)state;
    const char *rows[][3] = {
        {"a", "b", "a/b"}, {"a/", "/b", "a/b"}, {"/", "b", "/b"}, {"", "b", "b"}, {"a//", "b", "a/b"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *p = rt_path_join(rows[i][0], rows[i][1]);
        assert_string_equal(p, rows[i][2]);
        rt_free(p);
    }
    const char *dirs[][3] = {{"a/b.c", "a", "b.c"}, {"x", ".", "x"}, {"/x", "/", "x"}, {"/a/b/c", "/a/b", "c"}};
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        char *p = rt_path_dir(dirs[i][0]);
        assert_string_equal(p, dirs[i][1]);
        assert_string_equal(rt_path_base(dirs[i][0]), dirs[i][2]);
        rt_free(p);
    }
}

static void removing_twice_is_no_error(void **state)
{
    rt_err err = {0};
    char *path = inside(state, "a");
    assert_ok(rt_file_write(path, "x", 1, &err));
    assert_ok(rt_path_remove(path, &err));
    assert_ok(rt_path_remove(path, &err));
    assert_int_equal(rt_path_remove(*state, &err), RT_IO);
    assert_false(rt_path_exists(path));
    rt_free(path);
}

static void free_space_is_known_before_the_file_is(void **state)
{
    char *path = inside(state, "not/yet/there");
    assert_true(rt_disk_free(*state) > 0);
    assert_true(rt_disk_free(path) > 0);
    assert_true(rt_disk_free("relative-and-absent") > 0);
    rt_free(path);
}

#define with_scratch(f) cmocka_unit_test_setup_teardown(f, make_scratch, drop_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_scratch(a_crash_leaves_the_old_or_the_new_file),
        with_scratch(a_written_file_maps_and_reads_back),
        with_scratch(an_empty_file_maps_to_nothing),
        with_scratch(missing_files_and_directories_are_told_apart),
        with_scratch(reading_stops_at_the_limit),
        with_scratch(discarding_leaves_the_old_file),
        with_scratch(committing_replaces_and_leaves_no_temporary),
        with_scratch(a_full_disk_is_reported),
        with_scratch(a_full_disk_at_commit_keeps_the_old_file),
        with_scratch(a_directory_that_refuses_is_reported),
        with_scratch(lost_memory_leaves_no_file),
        with_scratch(directories_are_made_to_any_depth),
        with_scratch(paths_join_and_part),
        with_scratch(removing_twice_is_no_error),
        with_scratch(free_space_is_known_before_the_file_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
