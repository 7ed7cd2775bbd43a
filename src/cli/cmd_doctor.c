/* retort doctor: what this machine offers, and what is missing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <utf8proc.h>
#include <xxhash.h>
#include <yaml.h>
#include <zstd.h>

#include "cli/command.h"
#include "record/licence.h"
#include "teacher/http.h"
#include "tensor/gemm.h"

static const char *const about =
    "Says what this machine offers: processor, instruction sets (and which of them RETORT_ISA leaves in\n"
    "use), cores, memory, disk, libraries; and what is missing or makes things slow, each with its\n"
    "remedy.\n"
    "\n"
    "example:  RETORT_ISA=avx2 retort doctor";

enum { MIN_MEMORY = 1 << 30, MIN_DISK = 1 << 30 };

static const char *const teacher = "models/SmolLM2-135M-Instruct.Q4_1.gguf";

static bool pcre2_has_jit(void)
{
    uint32_t jit = 0;
    return pcre2_config(PCRE2_CONFIG_JIT, &jit) >= 0 && jit != 0;
}

static json_t *libraries(void)
{
    char pcre[64] = "", xxhash[32];
    const unsigned xx = XXH_versionNumber();
    (void)pcre2_config(PCRE2_CONFIG_VERSION, pcre);
    snprintf(xxhash, sizeof xxhash, "%u.%u.%u", xx / 10000, xx / 100 % 100, xx % 100);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s*}", "gemm", rt_gemm_backend(), "jansson",
                     jansson_version_str(), "libyaml", yaml_get_version_string(), "pcre2", pcre, "utf8proc",
                     utf8proc_version(), "zstd", ZSTD_versionString(), "openssl",
                     OpenSSL_version(OPENSSL_VERSION_STRING), "xxhash", xxhash, "http", rt_http_library());
}

static json_t *instruction_sets(const rt_cpu *cpu)
{
    const char *asked = getenv("RETORT_ISA");
    json_t *levels = json_array();
    for (int i = 0; i < RT_ISA_COUNT; i++) {
        json_array_append_new(levels, json_pack("{s:s, s:b, s:b}", "name", rt_isa_name((rt_isa)i), "available",
                                                (rt_isa)i <= cpu->detected, "in_use", (rt_isa)i <= cpu->isa));
    }
    return json_pack("{s:s, s:s, s:s?, s:o}", "detected", rt_isa_name(cpu->detected), "in_use", rt_isa_name(cpu->isa),
                     "RETORT_ISA", asked, "levels", levels);
}

static void note(json_t *list, bool condition, const char *what, const char *remedy)
{
    if (condition) {
        json_array_append_new(list, json_pack("{s:s, s:s}", "what", what, "remedy", remedy));
    }
}

static json_t *missing(const rt_cpu *cpu, int64_t memory, int64_t disk)
{
    json_t *list = json_array();
    note(list, cpu->detected < RT_ISA_AVX2, "no AVX2: everything runs on the portable loops, about ten times slower",
         "use a newer processor");
    note(list, cpu->isa < cpu->detected, "RETORT_ISA keeps faster instruction sets out of use", "unset RETORT_ISA");
    note(list, strcmp(rt_gemm_backend(), "portable") == 0, "no oneDNN: matrix products are slow",
         "build with gcc, libdnnl-dev and -DRETORT_ONEDNN=ON");
    note(list, !pcre2_has_jit(), "PCRE2 without JIT: tokenizing is slow", "install Debian's libpcre2-8-0");
    note(list, rt_http_library() == NULL, "no libcurl: a server cannot be the teacher",
         "install libcurl4-openssl-dev and build again");
    note(list, memory >= 0 && memory < MIN_MEMORY, "less than 1 GiB of memory is free",
         "end other programs, or choose a smaller teacher");
    note(list, disk >= 0 && disk < MIN_DISK, "less than 1 GiB of disk is free here",
         "make room, or work in another directory");
    note(list, !rt_path_exists(teacher), "the quickstart's teacher is not in models/",
         "run make fetch, or ./quickstart");
    return list;
}

static rt_status examine(json_t **out, rt_err *err)
{
    rt_licence_table *table = NULL;
    const rt_status st = rt_licence_table_open(&table, NULL, err);
    if (st != RT_OK) {
        return st;
    }
    const rt_cpu *cpu = rt_cpu_get();
    const int64_t memory = rt_mem_available(), disk = rt_disk_free(".");
    json_t *j = json_pack("{s:s, s:s, s:i, s:i, s:o, s:b, s:s}", "version", rt_version(), "cpu", cpu->model,
                          "processors", cpu->n_cpu, "threads", rt_team_threads(), "isa", instruction_sets(cpu), "amx",
                          cpu->detected >= RT_ISA_AMX, "matrix_inputs", cpu->fast_bf16 ? "bf16" : "f32");
    json_object_set_new(j, "caches",
                        json_pack("{s:I, s:I, s:I}", "l1d", (json_int_t)cpu->l1d, "l2", (json_int_t)cpu->l2, "l3",
                                  (json_int_t)cpu->l3));
    json_object_set_new(j, "memory_available", json_integer(memory));
    json_object_set_new(j, "disk_free", json_integer(disk));
    json_object_set_new(j, "libraries", libraries());
    json_object_set_new(j, "architectures", json_string(rt_arch_list()));
    json_object_set_new(j, "licence_table", json_string(rt_licence_table_version(table)));
    json_object_set_new(j, "missing", missing(cpu, memory, disk));
    rt_licence_table_close(table);
    *out = j;
    return RT_OK;
}

static void print_text(const json_t *j)
{
    size_t i;
    const char *name;
    json_t *v;
    const rt_cpu *cpu = rt_cpu_get();
    const double gib = 1.0 / (1 << 30);
    printf("retort %s\n", rt_version());
    printf("processor     %s, %d for this process, %d threads\n", cpu->model, cpu->n_cpu, rt_team_threads());
    printf("instructions ");
    for (int l = 0; l < RT_ISA_COUNT; l++) {
        const char *mark = (rt_isa)l > cpu->detected ? " (not here)"
                           : (rt_isa)l > cpu->isa    ? " (kept out by RETORT_ISA)"
                                                     : "";
        printf(" %s%s%s", rt_isa_name((rt_isa)l), mark, l + 1 < RT_ISA_COUNT ? "," : "\n");
    }
    printf("products      inputs in %s; RETORT_ISA=generic|avx2|avx512|avx512bf16|amx lowers the level, --precision "
           "f32 forbids bf16\n",
           rt_json_str(j, "matrix_inputs", ""));
    printf("memory        %.1f GiB free\n", (double)rt_json_i64(j, "memory_available", 0) * gib);
    printf("disk          %.1f GiB free here\n", (double)rt_json_i64(j, "disk_free", 0) * gib);
    printf("architectures %s\n", rt_json_str(j, "architectures", ""));
    printf("licences      table of %s\n", rt_json_str(j, "licence_table", ""));
    json_object_foreach(json_object_get((json_t *)j, "libraries"), name, v)
    {
        printf("  %-16s %s\n", name, json_string_value(v));
    }
    json_array_foreach(json_object_get(j, "missing"), i, v)
    {
        printf("missing       %s: %s\n", rt_json_str(v, "what", ""), rt_json_str(v, "remedy", ""));
    }
    if (json_array_size(json_object_get(j, "missing")) == 0) {
        printf("nothing is missing\n");
    }
}

int rt_cmd_doctor(int argc, char **argv)
{
    rt_cli c;
    int code;
    if (!rt_cli_begin(&c, "doctor", argc, argv, "doctor", about, NULL, 0, 0, "no operand is taken", &code)) {
        return code;
    }
    json_t *j = NULL;
    const rt_status st = examine(&j, &c.err);
    if (st == RT_OK) {
        (c.common.json ? rt_cli_print_json : print_text)(j);
    }
    json_decref(j);
    return rt_cli_end(&c, st);
}
