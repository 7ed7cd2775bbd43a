/* replay.c - runs a fuzz target's entry point over files, so that a corpus is a test without a fuzzer.
 * Arguments are files and directories; at least one input must be found. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_LIMIT ((size_t)64 << 20)

static rt_status replay_file(const char *path, int *n_inputs, rt_err *err)
{
    rt_str bytes = {0};
    uint8_t *exact = NULL;
    rt_status st = RT_OK;
    RT_TRY(rt_file_read(&bytes, path, INPUT_LIMIT, err));
    /* A block without the string's spare bytes lets sanitizers see a read past the end. */
    RT_TRY(RT_NEW(&exact, bytes.n, "a fuzz input", err));
    if (bytes.n > 0) {
        memcpy(exact, bytes.p, bytes.n);
    }
    LLVMFuzzerTestOneInput(exact, bytes.n);
    ++*n_inputs;
out:
    rt_free(exact);
    rt_str_release(&bytes);
    return st;
}

static rt_status replay_directory(const char *path, int *n_inputs, rt_err *err)
{
    rt_status st = RT_OK;
    DIR *dir = opendir(path);
    char *file = NULL;
    if (!dir) {
        RT_FAIL_OUT(err, RT_NOT_FOUND, 0, "cannot list '%s'", path);
    }
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        file = rt_path_join(path, entry->d_name);
        if (!file) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a file name");
        }
        RT_TRY(replay_file(file, n_inputs, err));
        rt_free(file);
        file = NULL;
    }
out:
    rt_free(file);
    if (dir) {
        closedir(dir);
    }
    return st;
}

int main(int argc, char **argv)
{
    rt_err err = {0};
    int n_inputs = 0;
    for (int i = 1; i < argc; i++) {
        rt_status st = rt_path_is_dir(argv[i]) ? replay_directory(argv[i], &n_inputs, &err)
                                               : replay_file(argv[i], &n_inputs, &err);
        if (st != RT_OK) {
            fprintf(stderr, "%s\n", err.msg);
            return 1;
        }
    }
    printf("%d inputs\n", n_inputs);
    return n_inputs > 0 ? 0 : 1;
}
