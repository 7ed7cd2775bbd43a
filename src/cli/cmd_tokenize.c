/* retort tokenize: JSON lines in, JSON lines out. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "cli/command.h"
#include "format/json.h"
#include "text/text.h"

static const char *const about =
    "Reads lines {\"text\": ...} or {\"b64\": ...} from standard input and writes {\"ids\": [...]} a line; no\n"
    "BOS or EOS is added. With --decode reads {\"ids\": [...]} and writes {\"text\": ...}, or {\"b64\": ...}\n"
    "where the bytes are no UTF-8.\n"
    "\n"
    "example:  echo '{\"text\": \"Hello world\"}' | retort tokenize model.gguf";

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static rt_status base64_decode(const char *in, rt_str *out, rt_err *err)
{
    const size_t n = strlen(in);
    const size_t padding = n > 0 && in[n - 1] == '=' ? (n > 1 && in[n - 2] == '=' ? 2 : 1) : 0;
    if (n % 4 != 0 || n > INT_MAX || strspn(in, base64_alphabet) != n - padding) {
        return rt_fail(err, RT_INPUT, 0, "'b64' is no base64");
    }
    uint8_t *buf = rt_malloc(n);
    if (buf == NULL) {
        return rt_fail(err, RT_MEMORY, 0, "out of memory");
    }
    const int got = EVP_DecodeBlock(buf, (const unsigned char *)in, (int)n); /* counts padding as bytes */
    rt_str_add(out, buf, got > 0 ? (size_t)got - padding : 0);
    rt_free(buf);
    return RT_OK;
}

static void base64_encode(const rt_str *in, rt_str *out)
{
    uint8_t quad[5];
    for (size_t i = 0; i < in->n; i += 3) {
        const size_t n = in->n - i < 3 ? in->n - i : 3;
        EVP_EncodeBlock(quad, (const unsigned char *)in->p + i, (int)n);
        rt_str_add(out, quad, 4);
    }
}

static rt_status encode_line(const rt_tokenizer *t, const json_t *line, int flags, rt_str *out, rt_err *err)
{
    rt_status st = RT_OK;
    rt_ids ids = {0};
    rt_str bytes = {0};
    const json_t *text = json_object_get(line, "text");
    const char *b64 = rt_json_str(line, "b64", NULL);
    if (json_is_string(text)) {
        rt_str_add(&bytes, json_string_value(text), json_string_length(text));
    } else if (b64 != NULL) {
        RT_TRY(base64_decode(b64, &bytes, err));
    } else {
        RT_FAIL_OUT(err, RT_INPUT, 0, "a line needs 'text' or 'b64'");
    }
    RT_TRY(rt_encode_text(t, rt_str_cstr(&bytes), bytes.n, flags, &ids, err));
    rt_str_puts(out, "{\"ids\":[");
    for (size_t i = 0; i < ids.n; i++) {
        rt_str_printf(out, i > 0 ? ",%d" : "%d", ids.p[i]);
    }
    rt_str_puts(out, "]}");
out:
    rt_ids_release(&ids);
    rt_str_release(&bytes);
    return st;
}

static rt_status decode_line(const rt_tokenizer *t, const json_t *line, rt_str *out, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str bytes = {0}, b64 = {0};
    json_t *j = NULL;
    const json_t *ids = json_object_get(line, "ids");
    if (!json_is_array(ids)) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "a line needs 'ids'");
    }
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_int_t id = json_integer_value(json_array_get(ids, i));
        if (!json_is_integer(json_array_get(ids, i)) || id < 0 || id >= rt_tokenizer_n_vocab(t)) {
            RT_FAIL_OUT(err, RT_INPUT, 0, "entry %zu of 'ids' is no token id below %d", i, rt_tokenizer_n_vocab(t));
        }
        RT_TRY(rt_decode_id(t, (int32_t)id, &bytes, err));
    }
    if (rt_utf8_valid(rt_str_cstr(&bytes), bytes.n)) {
        j = json_pack("{s:s%}", "text", rt_str_cstr(&bytes), bytes.n);
    } else {
        base64_encode(&bytes, &b64);
        j = json_pack("{s:s}", "b64", rt_str_cstr(&b64));
    }
    rt_json_append(out, j);
out:
    json_decref(j);
    rt_str_release(&bytes);
    rt_str_release(&b64);
    return st;
}

/* The next line without its line feed; false at the end. Lines may hold any bytes and be of any length. */
static bool next_line(rt_str *line)
{
    int ch;
    rt_str_clear(line);
    while ((ch = getc_unlocked(stdin)) != EOF && ch != '\n') {
        rt_str_putc(line, (char)ch);
    }
    return ch != EOF || line->n > 0;
}

static rt_status convert_line(const rt_tokenizer *t, bool decode, int flags, const rt_str *line, rt_str *out,
                              rt_err *err)
{
    json_t *j = NULL;
    rt_status st = rt_json_parse(&j, rt_str_cstr(line), line->n, "line", err);
    if (st == RT_OK) {
        st = decode ? decode_line(t, j, out, err) : encode_line(t, j, flags, out, err);
    }
    json_decref(j);
    return st == RT_OK && out->failed ? rt_fail(err, RT_MEMORY, 0, "out of memory") : st;
}

static rt_status convert(const rt_tokenizer *t, bool decode, int flags, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str line = {0}, out = {0};
    for (unsigned long long number = 1; st == RT_OK && next_line(&line); number++) {
        if (line.failed) {
            st = rt_fail(err, RT_MEMORY, 0, "out of memory");
        } else if (rt_str_cstr(&line)[strspn(rt_str_cstr(&line), " \t\r")] != '\0') {
            rt_str_clear(&out);
            st = convert_line(t, decode, flags, &line, &out, err);
        } else {
            continue;
        }
        if (st != RT_OK) {
            st = rt_err_wrap(err, st, "standard input:%llu", number);
        } else {
            puts(rt_str_cstr(&out));
        }
    }
    if (st == RT_OK && ferror(stdin)) {
        st = rt_fail(err, RT_IO, 0, "reading standard input: %s", strerror(errno));
    }
    rt_str_release(&line);
    rt_str_release(&out);
    return st;
}

/* A tokenizer.json will do in place of a model. */
static bool is_json(const char *path)
{
    const size_t n = strlen(path);
    return n > 5 && strcmp(path + n - 5, ".json") == 0;
}

int rt_cmd_tokenize(int argc, char **argv)
{
    rt_cli c;
    int code;
    bool decode = false, plain = false;
    const rt_opt opts[] = {
        {"decode", 'd', RT_OPT_FLAG, &decode, NULL, "ids to text"},
        {"no-special", 0, RT_OPT_FLAG, &plain, NULL, "special tokens in the text are ordinary text"},
        {0},
    };
    if (!rt_cli_begin(&c, "tokenize", argc, argv, "tokenize MODEL [options] < lines.jsonl", about, opts, 1, 1,
                      "one model is needed", &code)) {
        return code;
    }
    rt_status st = RT_OK;
    rt_tokenizer *t = NULL;
    const char *model = c.operands.v[0];
    if (!is_json(model) && !rt_path_is_dir(model)) {
        RT_TRY(rt_cli_check_model(&c, model));
    }
    RT_TRY(rt_tokenizer_open(&t, model, &c.err));
    RT_TRY(convert(t, decode, plain ? RT_ENCODE_PLAIN : 0, &c.err));
out:
    rt_tokenizer_close(t);
    return rt_cli_end(&c, st);
}
