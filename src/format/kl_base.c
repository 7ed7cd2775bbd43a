/* kl_base.c - llama.cpp's logits file, read and written from front to back. */
#include "format/kl_base.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

static const char magic[8] = "_logits_";

/* Beyond any model and any text; a header above it is damage. */
#define MAX_CTX ((int64_t)1 << 24)
#define MAX_VOCAB ((int64_t)1 << 24)
#define MAX_IDS ((int64_t)1 << 30)

#define RANGE 16.0f /* logits further below the largest are raised to this */
#define TOP 65535   /* largest q */

struct rt_kl_base {
    FILE *f;
    bool own; /* closes f */
    char *name;
    rt_kl_base_shape shape;
    int32_t *ids;
    int64_t row; /* next to read */
};

size_t rt_kl_base_row_bytes(int64_t n_vocab)
{
    return 2 * sizeof(float) + (size_t)((n_vocab + 1) / 2 * 2) * sizeof(uint16_t);
}

static rt_status read_exactly(rt_kl_base *b, void *dst, size_t n, const char *what, rt_err *err)
{
    if (fread(dst, 1, n, b->f) == n) {
        return RT_OK;
    }
    if (ferror(b->f)) {
        return rt_fail(err, RT_IO, 0, "reading '%s': %s", b->name, strerror(errno));
    }
    return rt_fail(err, RT_INPUT, 0, "'%s' ends within its %s: it was not written to its end", b->name, what);
}

static rt_status read_shape(rt_kl_base *b, rt_err *err)
{
    rt_status st = RT_OK;
    char head[sizeof magic];
    int32_t n[3];
    RT_TRY(read_exactly(b, head, sizeof head, "header", err));
    if (memcmp(head, magic, sizeof magic) != 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0,
                    "'%s' is no logits file of llama.cpp (those begin with '_logits_'); make one with "
                    "llama-perplexity --kl-divergence-base",
                    b->name);
    }
    RT_TRY(read_exactly(b, n, sizeof n, "header", err));
    b->shape = (rt_kl_base_shape){.n_ctx = (int64_t)(uint32_t)n[0], .n_vocab = n[1], .n_chunk = n[2]};
    const rt_kl_base_shape *s = &b->shape;
    if (s->n_ctx < 4 || s->n_ctx > MAX_CTX || s->n_vocab < 1 || s->n_vocab > MAX_VOCAB || s->n_chunk < 1 ||
        s->n_chunk > MAX_IDS / s->n_ctx) {
        RT_FAIL_OUT(err, RT_INPUT, 8, "'%s' speaks of %lld chunks of %lld tokens from a vocabulary of %lld: damaged",
                    b->name, (long long)s->n_chunk, (long long)s->n_ctx, (long long)s->n_vocab);
    }
out:
    return st;
}

/* What a header promises must be there before memory is spent on it. */
static rt_status check_size(const rt_kl_base *b, rt_err *err)
{
    struct stat sb;
    const rt_kl_base_shape *s = &b->shape;
    if (fstat(fileno(b->f), &sb) != 0 || !S_ISREG(sb.st_mode)) {
        return RT_OK;
    }
    const double want = 20.0 + 4.0 * (double)(s->n_ctx * s->n_chunk) +
                        (double)(s->n_chunk * rt_kl_base_scored(s)) * (double)rt_kl_base_row_bytes(s->n_vocab);
    if ((double)sb.st_size != want) {
        return rt_fail(err, RT_INPUT, 0,
                       "'%s' has %lld bytes, its header says %.0f: it was not written to its end, or is damaged",
                       b->name, (long long)sb.st_size, want);
    }
    return RT_OK;
}

/* In pieces that grow with what really comes. */
static rt_status read_ids(rt_kl_base *b, rt_err *err)
{
    rt_status st = RT_OK;
    const int64_t n = b->shape.n_ctx * b->shape.n_chunk;
    int64_t room = 0;
    for (int64_t done = 0; done < n; done = room) {
        room = room == 0 ? (int64_t)1 << 16 : 2 * room;
        room = room < n ? room : n;
        int32_t *more = rt_realloc(b->ids, (size_t)room * sizeof *b->ids);
        if (!more) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the %lld tokens of '%s'", (long long)n, b->name);
        }
        b->ids = more;
        RT_TRY(read_exactly(b, b->ids + done, (size_t)(room - done) * sizeof *b->ids, "tokens", err));
        for (int64_t i = done; i < room; i++) {
            if (b->ids[i] < 0 || b->ids[i] >= b->shape.n_vocab) {
                RT_FAIL_OUT(err, RT_INPUT, 20 + 4 * (size_t)i, "token %lld of '%s' is %d, its vocabulary has %lld",
                            (long long)i, b->name, b->ids[i], (long long)b->shape.n_vocab);
            }
        }
    }
out:
    return st;
}

rt_status rt_kl_base_read(rt_kl_base **out, FILE *f, const char *name, rt_err *err)
{
    rt_status st = RT_OK;
    rt_kl_base *b = NULL;
    RT_TRY(RT_NEW(&b, 1, "logits file", err));
    b->f = f;
    b->name = rt_strdup(name);
    if (!b->name) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(read_shape(b, err));
    RT_TRY(check_size(b, err));
    RT_TRY(read_ids(b, err));
    *out = b;
    b = NULL;
out:
    rt_kl_base_close(b);
    return st;
}

rt_status rt_kl_base_open(rt_kl_base **out, const char *path, rt_err *err)
{
    FILE *f = fopen(path, "rbe");
    if (!f) {
        return rt_fail(err, errno == ENOENT ? RT_NOT_FOUND : RT_IO, 0, "cannot open '%s': %s", path, strerror(errno));
    }
    const rt_status st = rt_kl_base_read(out, f, path, err);
    if (st != RT_OK) {
        (void)fclose(f); /* nothing was written */
        return st;
    }
    (*out)->own = true;
    return RT_OK;
}

void rt_kl_base_close(rt_kl_base *b)
{
    if (!b) {
        return;
    }
    if (b->own) {
        (void)fclose(b->f);
    }
    rt_free(b->name);
    rt_free(b->ids);
    rt_free(b);
}

rt_kl_base_shape rt_kl_base_shape_of(const rt_kl_base *b)
{
    return b->shape;
}

const int32_t *rt_kl_base_ids(const rt_kl_base *b)
{
    return b->ids;
}

rt_kl_base_row rt_kl_base_row_at(const void *rows, int64_t n_vocab, int64_t i)
{
    const char *at = (const char *)rows + (size_t)i * rt_kl_base_row_bytes(n_vocab);
    rt_kl_base_row r;
    memcpy(&r.scale, at, sizeof r.scale);
    memcpy(&r.least, at + sizeof(float), sizeof r.least);
    r.q = (const uint16_t *)(const void *)(at + 2 * sizeof(float)); /* rows begin at multiples of 4 */
    return r;
}

rt_status rt_kl_base_next(rt_kl_base *b, void *rows, int64_t n, rt_err *err)
{
    const int64_t scored = rt_kl_base_scored(&b->shape);
    char place[64];
    for (int64_t i = 0; i < n; i++, b->row++) {
        char *row = (char *)rows + (size_t)i * rt_kl_base_row_bytes(b->shape.n_vocab);
        snprintf(place, sizeof place, "chunk %lld, position %lld", (long long)(b->row / scored),
                 (long long)(rt_kl_base_first(&b->shape) + b->row % scored));
        const rt_status st = read_exactly(b, row, rt_kl_base_row_bytes(b->shape.n_vocab), place, err);
        if (st != RT_OK) {
            return st;
        }
        const rt_kl_base_row r = rt_kl_base_row_at(row, b->shape.n_vocab, 0);
        if (!(r.scale >= 0.0f && r.scale <= 1.0f) || !isfinite(r.least)) {
            return rt_fail(err, RT_INPUT, 0, "'%s', %s: a scale of %g from %g makes no log-probabilities", b->name,
                           place, (double)r.scale, (double)r.least);
        }
    }
    return RT_OK;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

rt_status rt_kl_base_write_head(FILE *f, const rt_kl_base_shape *s, const int32_t *ids, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    const int32_t n[3] = {(int32_t)s->n_ctx, (int32_t)s->n_vocab, (int32_t)s->n_chunk};
    RT_TRY(rt_fwrite(f, magic, sizeof magic, path, err));
    RT_TRY(rt_fwrite(f, n, sizeof n, path, err));
    RT_TRY(rt_fwrite(f, ids, (size_t)(s->n_ctx * s->n_chunk) * sizeof *ids, path, err));
out:
    return st;
}

void rt_kl_base_encode(void *row, const float *logits, int64_t n_vocab)
{
    float most = logits[0], least = logits[0];
    double sum = 0;
    for (int64_t i = 1; i < n_vocab; i++) {
        most = logits[i] > most ? logits[i] : most;
        least = logits[i] < least ? logits[i] : least;
    }
    least = least > most - RANGE ? least : most - RANGE;
    for (int64_t i = 0; i < n_vocab; i++) {
        sum += (double)expf(logits[i] - most);
    }
    const float head[2] = {(most - least) / TOP, least - most - (float)log(sum)};
    const float per_unit = head[0] > 0 ? 1.0f / head[0] : 0.0f;
    uint16_t *q = (uint16_t *)(void *)((char *)row + sizeof head);
    memcpy(row, head, sizeof head);
    for (int64_t i = 0; i < n_vocab; i++) {
        const long code = logits[i] > least ? lrintf(per_unit * (logits[i] - least)) : 0;
        q[i] = (uint16_t)(code < TOP ? code : TOP);
    }
    if (n_vocab % 2 != 0) {
        q[n_vocab] = 0;
    }
}
