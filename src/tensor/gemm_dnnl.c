/* gemm_dnnl.c - the one file that knows oneDNN. f32 tiles are plain sgemm calls; bf16 tiles are matmul primitives
 * made at one thread, with scratch memory of ours, so that a tile never leaves the thread it runs on. */
#define _GNU_SOURCE
#include "tensor/gemm_dnnl.h"

#ifndef RT_NO_ONEDNN

#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { N_BUCKETS = 1024, MAX_PLANS = 4096 };

typedef struct plan_key {
    int64_t m, n, k, lda, ldb, ldc;
    int64_t trans_a, trans_b, accumulate; /* as wide as the rest: the key is hashed and compared as bytes */
} plan_key;

struct rt_dnnl_plan {
    plan_key key;
    dnnl_primitive_t primitive;
    dnnl_memory_desc_t a, b, c, scratch;
    size_t scratch_bytes;
    uint64_t used; /* value of `clock` at the last use */
    int users;
    rt_dnnl_plan *next;
};

static struct {
    pthread_mutex_t lock;
    pthread_once_t once;
    rt_isa isa; /* oneDNN's own level, fixed before its first use */
    dnnl_engine_t engine;
    void (*set_threads)(int); /* of the OpenMP library that oneDNN brings; our team may be another */
    char name[32];
    rt_dnnl_plan *buckets[N_BUCKETS];
    int64_t n_plans;
    uint64_t clock;
} dnnl = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

/* Member i of the team alone touches workspace i. */
static struct {
    void *scratch;
    size_t bytes;
    dnnl_stream_t stream;
} workspace[RT_MAX_THREADS];

static void start(void)
{
    static const dnnl_cpu_isa_t levels[RT_ISA_COUNT] = {
        [RT_ISA_GENERIC] = dnnl_cpu_isa_sse41,
        [RT_ISA_AVX2] = dnnl_cpu_isa_avx2,
        [RT_ISA_AVX512] = dnnl_cpu_isa_avx512_core,
        [RT_ISA_AVX512BF16] = dnnl_cpu_isa_avx512_core_bf16,
        [RT_ISA_AMX] = dnnl_cpu_isa_all,
    };
    *(void **)&dnnl.set_threads = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    dnnl.isa = rt_cpu_get()->isa;
    dnnl_set_max_cpu_isa(levels[dnnl.isa]);
    if (dnnl_engine_create(&dnnl.engine, dnnl_cpu, 0) != dnnl_success) {
        dnnl.engine = NULL;
        return;
    }
    const dnnl_version_t *v = dnnl_version();
    snprintf(dnnl.name, sizeof dnnl.name, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
}

const char *rt_dnnl_name(void)
{
    pthread_once(&dnnl.once, start);
    return dnnl.engine ? dnnl.name : NULL;
}

/* Without the instructions oneDNN emulates bf16 at a fifth of f32's rate: widening in the portable product wins. */
bool rt_dnnl_serves(rt_isa isa, rt_dtype type)
{
    pthread_once(&dnnl.once, start);
    return dnnl.engine && isa == dnnl.isa && isa >= (type == RT_BF16 ? RT_ISA_AVX512BF16 : RT_ISA_AVX2);
}

/* oneDNN asks OpenMP how many threads the calling one may use, when it makes a primitive and when it runs one. */
static void stay_on_this_thread(void)
{
    if (dnnl.set_threads) {
        dnnl.set_threads(1);
    }
}

/* --- plans --- */

static plan_key key_of(const rt_gemm *g)
{
    return (plan_key){.m = g->m,
                      .n = g->n,
                      .k = g->k,
                      .lda = g->lda,
                      .ldb = g->ldb,
                      .ldc = g->ldc,
                      .trans_a = g->trans_a,
                      .trans_b = g->trans_b,
                      .accumulate = g->accumulate};
}

static rt_dnnl_plan **bucket_of(const plan_key *key)
{
    return &dnnl.buckets[rt_xxh64(key, sizeof *key) % N_BUCKETS];
}

static dnnl_status_t describe(dnnl_memory_desc_t *md, int64_t rows, int64_t columns, dnnl_data_type_t type, int64_t ld,
                              bool transposed)
{
    dnnl_dims_t dims = {rows, columns}, strides = {transposed ? 1 : ld, transposed ? ld : 1};
    return dnnl_memory_desc_init_by_strides(md, 2, dims, type, strides);
}

static dnnl_status_t make_attributes(dnnl_primitive_attr_t *attr, bool accumulate)
{
    dnnl_status_t st = dnnl_primitive_attr_create(attr);
    if (st == dnnl_success) {
        st = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    }
    if (st == dnnl_success && accumulate) {
        dnnl_post_ops_t sum = NULL;
        st = dnnl_post_ops_create(&sum);
        if (st == dnnl_success) {
            st = dnnl_post_ops_append_sum(sum, 1.0f);
        }
        if (st == dnnl_success) {
            st = dnnl_primitive_attr_set_post_ops(*attr, sum);
        }
        dnnl_post_ops_destroy(sum);
    }
    return st;
}

static bool make_primitive(rt_dnnl_plan *p)
{
    const plan_key *g = &p->key;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_matmul_desc_t op;
    bool ok = describe(&p->a, g->m, g->k, dnnl_bf16, g->lda, g->trans_a) == dnnl_success &&
              describe(&p->b, g->k, g->n, dnnl_bf16, g->ldb, g->trans_b) == dnnl_success &&
              describe(&p->c, g->m, g->n, dnnl_f32, g->ldc, false) == dnnl_success &&
              dnnl_matmul_desc_init(&op, &p->a, &p->b, NULL, &p->c) == dnnl_success &&
              make_attributes(&attr, g->accumulate) == dnnl_success &&
              dnnl_primitive_desc_create(&desc, &op, attr, dnnl.engine, NULL) == dnnl_success;
    if (ok) {
        p->scratch = *dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
        p->scratch_bytes = dnnl_memory_desc_get_size(&p->scratch);
        ok = dnnl_primitive_create(&p->primitive, desc) == dnnl_success;
    }
    dnnl_primitive_desc_destroy(desc);
    dnnl_primitive_attr_destroy(attr);
    return ok;
}

static rt_dnnl_plan *new_plan(const plan_key *key)
{
    rt_dnnl_plan *p = rt_calloc(1, sizeof *p);
    if (!p) {
        return NULL;
    }
    p->key = *key;
    stay_on_this_thread();
    if (!make_primitive(p)) {
        rt_free(p);
        return NULL;
    }
    return p;
}

static void drop_oldest(void)
{
    rt_dnnl_plan **oldest = NULL;
    for (int i = 0; i < N_BUCKETS; i++) {
        for (rt_dnnl_plan **p = &dnnl.buckets[i]; *p; p = &(*p)->next) {
            if ((*p)->users == 0 && (!oldest || (*p)->used < (*oldest)->used)) {
                oldest = p;
            }
        }
    }
    if (oldest) {
        rt_dnnl_plan *gone = *oldest;
        *oldest = gone->next;
        dnnl_primitive_destroy(gone->primitive);
        rt_free(gone);
        dnnl.n_plans--;
    }
}

rt_dnnl_plan *rt_dnnl_acquire(const rt_gemm *tile)
{
    plan_key key = key_of(tile);
    pthread_mutex_lock(&dnnl.lock);
    rt_dnnl_plan **bucket = bucket_of(&key);
    rt_dnnl_plan *p = *bucket;
    while (p && memcmp(&p->key, &key, sizeof key) != 0) {
        p = p->next;
    }
    if (!p) {
        p = new_plan(&key);
        if (p) {
            if (dnnl.n_plans == MAX_PLANS) {
                drop_oldest();
            }
            p->next = *bucket;
            *bucket = p;
            dnnl.n_plans++;
        }
    }
    if (p) {
        p->users++;
        p->used = ++dnnl.clock;
    }
    pthread_mutex_unlock(&dnnl.lock);
    return p;
}

void rt_dnnl_release(rt_dnnl_plan *plan)
{
    if (plan) {
        pthread_mutex_lock(&dnnl.lock);
        plan->users--;
        pthread_mutex_unlock(&dnnl.lock);
    }
}

int64_t rt_dnnl_n_plans(void)
{
    pthread_mutex_lock(&dnnl.lock);
    int64_t n = dnnl.n_plans;
    pthread_mutex_unlock(&dnnl.lock);
    return n;
}

/* --- tiles --- */

static bool prepare_workspace(int thread, size_t bytes)
{
    if (workspace[thread].bytes < bytes) {
        rt_free(workspace[thread].scratch);
        workspace[thread].scratch = rt_malloc(bytes);
        workspace[thread].bytes = workspace[thread].scratch ? bytes : 0;
    }
    if (!workspace[thread].stream) {
        dnnl_stream_create(&workspace[thread].stream, dnnl.engine, dnnl_stream_default_flags);
    }
    return workspace[thread].bytes >= bytes && workspace[thread].stream;
}

/* The four memory objects cost 0.5 us, a tile 20 us and up. */
static bool run_matmul(const rt_dnnl_plan *p, const rt_gemm *g, int thread)
{
    const struct {
        int name;
        const dnnl_memory_desc_t *desc;
        void *data;
    } operands[] = {
        {DNNL_ARG_SRC, &p->a, (void *)g->a},
        {DNNL_ARG_WEIGHTS, &p->b, (void *)g->b},
        {DNNL_ARG_DST, &p->c, g->c},
        {DNNL_ARG_SCRATCHPAD, &p->scratch, workspace[thread].scratch},
    };
    enum { N = sizeof operands / sizeof operands[0] };
    dnnl_exec_arg_t args[N] = {{0}};
    dnnl_status_t st = dnnl_success;
    for (int i = 0; i < N && st == dnnl_success; i++) {
        args[i].arg = operands[i].name;
        st = dnnl_memory_create(&args[i].memory, operands[i].desc, dnnl.engine, operands[i].data);
    }
    if (st == dnnl_success) {
        st = dnnl_primitive_execute(p->primitive, workspace[thread].stream, N, args);
    }
    for (int i = 0; i < N; i++) {
        dnnl_memory_destroy(args[i].memory);
    }
    return st == dnnl_success;
}

bool rt_dnnl_run(const rt_dnnl_plan *plan, const rt_gemm *g, int thread)
{
    stay_on_this_thread();
    if (g->type == RT_F32) {
        return dnnl_sgemm(g->trans_a ? 'T' : 'N', g->trans_b ? 'T' : 'N', g->m, g->n, g->k, 1.0f, g->a, g->lda, g->b,
                          g->ldb, g->accumulate ? 1.0f : 0.0f, g->c, g->ldc) == dnnl_success;
    }
    return plan && prepare_workspace(thread, plan->scratch_bytes) && run_matmul(plan, g, thread);
}

#else

const char *rt_dnnl_name(void)
{
    return NULL;
}

bool rt_dnnl_serves(rt_isa isa, rt_dtype type)
{
    (void)isa;
    (void)type;
    return false;
}

rt_dnnl_plan *rt_dnnl_acquire(const rt_gemm *tile)
{
    (void)tile;
    return NULL;
}

void rt_dnnl_release(rt_dnnl_plan *plan)
{
    (void)plan;
}

bool rt_dnnl_run(const rt_dnnl_plan *plan, const rt_gemm *tile, int thread)
{
    (void)plan;
    (void)tile;
    (void)thread;
    return false;
}

int64_t rt_dnnl_n_plans(void)
{
    return 0;
}

#endif
