/* losses.c - terms of the training loss: their text, formula and weights. */
#include "train/losses.h"

#include <math.h>
#include <string.h>

static bool mixes(rt_loss_kind k)
{
    return k == RT_LOSS_JSD || k == RT_LOSS_SKEW_FORWARD_KL || k == RT_LOSS_SKEW_REVERSE_KL;
}

static double usual_mix(rt_loss_kind k)
{
    return !mixes(k) ? 0.0 : k == RT_LOSS_JSD ? 0.5 : 0.1;
}

rt_train_loss rt_train_loss_of(rt_loss_kind k, double temperature)
{
    return (rt_train_loss){
        .loss = {.kind = k, .temperature = rt_loss_distils(k) ? temperature : 1.0, .mix = usual_mix(k)}, .weight = 1.0};
}

rt_train_loss rt_train_state_loss_of(rt_state_loss k)
{
    return (rt_train_loss){.loss = {.temperature = 1.0}, .state = k, .weight = 1.0};
}

double rt_losses_temperature(const rt_train_loss *l, int n)
{
    for (int i = 0; i < n; i++) {
        if (l[i].state == RT_STATE_NONE && rt_loss_distils(l[i].loss.kind)) {
            return l[i].loss.temperature;
        }
    }
    return 1;
}

const char *rt_train_loss_name(const rt_train_loss *l)
{
    return l->state != RT_STATE_NONE ? rt_state_loss_name(l->state) : rt_loss_name(l->loss.kind);
}

double rt_train_loss_weight(const rt_train_loss *l, int64_t step)
{
    if (l->over == 0) {
        return l->weight;
    }
    double u = step < l->over ? (double)step / (double)l->over : 1.0;
    return l->weight + (l->to - l->weight) * u;
}

rt_status rt_train_loss_check(const rt_train_loss *l, rt_err *err)
{
    const char *name = rt_train_loss_name(l);
    const double largest = fmax(l->weight, l->over > 0 ? l->to : 0.0);
    if (!(l->weight >= 0.0) || !(l->to >= 0.0) || !(largest > 0.0) || !isfinite(largest)) {
        return rt_fail(err, RT_USAGE, 0, "loss '%s' has weight %g, expected a positive number", name, l->weight);
    }
    if (l->over < 0 || (l->over == 0 && l->to != 0.0)) {
        return rt_fail(err, RT_USAGE, 0, "the weight of loss '%s' moves to %g over %lld steps, expected 1 or more",
                       name, l->to, (long long)l->over);
    }
    return RT_OK;
}

bool rt_losses_distil(const rt_train_loss *l, int n)
{
    bool any = false;
    for (int i = 0; i < n; i++) {
        any = any || (l[i].state == RT_STATE_NONE && rt_loss_distils(l[i].loss.kind));
    }
    return any;
}

static bool compare(const rt_train_loss *l, int n, bool layers)
{
    bool any = false;
    for (int i = 0; i < n; i++) {
        any = any || (l[i].state != RT_STATE_NONE && l[i].layers == layers);
    }
    return any;
}

bool rt_losses_compare_states(const rt_train_loss *l, int n)
{
    return compare(l, n, false);
}

bool rt_losses_compare_layers(const rt_train_loss *l, int n)
{
    return compare(l, n, true);
}

bool rt_losses_learn_labels(const rt_train_loss *l, int n)
{
    bool any = false;
    for (int i = 0; i < n; i++) {
        any = any || (l[i].state == RT_STATE_NONE && l[i].loss.kind == RT_LOSS_CE);
    }
    return any;
}

/* --- text to terms ---------------------------------------------------------------------------------------------- */

#define TERM_MAX 96

static rt_status unknown_loss(const char *name, rt_err *err)
{
    rt_str known = {0};
    for (int k = 0; k < RT_LOSS_COUNT; k++) {
        rt_str_printf(&known, "%s%s", k > 0 ? ", " : "", rt_loss_name((rt_loss_kind)k));
    }
    for (int k = RT_STATE_NONE + 1; k < RT_STATE_LOSS_COUNT; k++) {
        rt_str_printf(&known, ", %s", rt_state_loss_name((rt_state_loss)k));
    }
    rt_status st = rt_fail(err, RT_USAGE, 0, "'%s' is no loss; there are %s", name, rt_str_cstr(&known));
    rt_str_release(&known);
    return st;
}

/* "project=1" or "layers=0", of a term between states */
static bool parse_switch(rt_train_loss *l, const char *field)
{
    const struct {
        const char *key;
        bool *to;
    } keys[] = {{"project=", &l->project}, {"layers=", &l->layers}};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const size_t n = strlen(keys[i].key);
        if (strncmp(field, keys[i].key, n) == 0 && (strcmp(field + n, "0") == 0 || strcmp(field + n, "1") == 0)) {
            *keys[i].to = field[n] == '1';
            return true;
        }
    }
    return false;
}

/* "0.9" or "mix=0.3" */
static rt_status parse_field(rt_train_loss *l, const char *field, rt_err *err)
{
    const bool state = l->state != RT_STATE_NONE, mixed = !state && mixes(l->loss.kind);
    const bool labelled = !state && l->loss.kind == RT_LOSS_CE;
    const struct {
        const char *key;
        double *to;
        bool fits;
    } keys[] = {{"weight", &l->weight, true},
                {"to", &l->to, true},
                {"mix", &l->loss.mix, mixed},
                {"smoothing", &l->loss.label_smoothing, labelled}};
    const char *eq = strchr(field, '=');
    if (!eq && rt_parse_f64(field, &l->weight)) {
        return RT_OK;
    }
    if (eq && strncmp(field, "over=", 5) == 0 && rt_parse_count(eq + 1, &l->over)) {
        return RT_OK;
    }
    if (state && parse_switch(l, field)) {
        return RT_OK;
    }
    for (size_t i = 0; eq && i < sizeof keys / sizeof keys[0]; i++) {
        bool is = keys[i].fits && strlen(keys[i].key) == (size_t)(eq - field) &&
                  memcmp(field, keys[i].key, (size_t)(eq - field)) == 0;
        if (is && rt_parse_f64(eq + 1, keys[i].to)) {
            return RT_OK;
        }
    }
    return rt_fail(err, RT_USAGE, 0,
                   "'%s' says nothing about loss '%s': expected a weight, or one of weight, to, over%s as key=number",
                   field, rt_train_loss_name(l),
                   mixed      ? ", mix"
                   : labelled ? ", smoothing"
                   : state    ? ", project, layers"
                              : "");
}

static rt_status parse_term(rt_train_loss *l, char *term, double temperature, rt_err *err)
{
    rt_loss_kind kind;
    rt_state_loss state;
    char *colon = strchr(term, ':');
    if (colon) {
        *colon = '\0';
    }
    if (rt_state_loss_from_name(term, &state)) {
        *l = rt_train_state_loss_of(state);
    } else if (rt_loss_from_name(term, &kind)) {
        *l = rt_train_loss_of(kind, temperature);
    } else {
        return unknown_loss(term, err);
    }
    while (colon) {
        char *field = colon + 1;
        colon = strchr(field, ':');
        if (colon) {
            *colon = '\0';
        }
        rt_status st = parse_field(l, field, err);
        if (st != RT_OK) {
            return st;
        }
    }
    return rt_train_loss_check(l, err);
}

rt_status rt_losses_parse(rt_train_loss out[RT_TRAIN_LOSSES], int *n, const char *text, double temperature, rt_err *err)
{
    *n = 0;
    for (const char *at = text;; at++) {
        char term[TERM_MAX];
        size_t length = strcspn(at, ",");
        if (*n == RT_TRAIN_LOSSES || length >= sizeof term) {
            return rt_fail(err, RT_USAGE, 0, "loss '%s' has more than %d terms, or one that is no term", text,
                           RT_TRAIN_LOSSES);
        }
        memcpy(term, at, length);
        term[length] = '\0';
        rt_status st = parse_term(&out[*n], term, temperature, err);
        if (st != RT_OK) {
            return st;
        }
        ++*n;
        at += length;
        if (*at == '\0') {
            return RT_OK;
        }
    }
}

/* --- terms to text ---------------------------------------------------------------------------------------------- */

void rt_losses_print(rt_str *s, const rt_train_loss *l, int n)
{
    for (int i = 0; i < n; i++, l++) {
        rt_str_printf(s, "%s%s", i > 0 ? "," : "", rt_train_loss_name(l));
        if (l->weight != 1.0) {
            rt_str_printf(s, ":%.15g", l->weight);
        }
        if (l->over > 0) {
            rt_str_printf(s, ":to=%.15g:over=%lld", l->to, (long long)l->over);
        }
        if (l->project) {
            rt_str_puts(s, ":project=1");
        }
        if (l->layers) {
            rt_str_puts(s, ":layers=1");
        }
        if (l->loss.mix != usual_mix(l->loss.kind)) {
            rt_str_printf(s, ":mix=%.15g", l->loss.mix);
        }
        if (l->loss.label_smoothing > 0.0) {
            rt_str_printf(s, ":smoothing=%.15g", l->loss.label_smoothing);
        }
    }
}

static void print_weight(rt_str *s, const rt_train_loss *l)
{
    rt_str_printf(s, "%g", l->weight);
    if (l->over > 0) {
        rt_str_printf(s, "->%g", l->to);
    }
}

static void print_numbers(rt_str *s, const rt_loss *l)
{
    if (mixes(l->kind)) {
        rt_str_printf(s, ", %s = %g", l->kind == RT_LOSS_JSD ? "b" : "a", l->mix);
    }
    if (l->label_smoothing > 0.0) {
        rt_str_printf(s, ", label smoothing %g", l->label_smoothing);
    }
}

void rt_losses_formula(rt_str *s, const rt_train_loss *l, int n)
{
    const bool plain = n == 1 && l->weight == 1.0 && l->over == 0;
    for (int i = 0; i < n; i++, l++) {
        const double factor = rt_loss_factor(&l->loss);
        if (!plain) {
            rt_str_puts(s, i > 0 ? " + " : "");
            print_weight(s, l);
            rt_str_puts(s, factor != 1.0 ? " T^2 (" : " (");
        }
        if (l->state != RT_STATE_NONE) {
            rt_str_printf(
                s, "%s, y = %sstudent's, t = teacher's %s", rt_state_loss_formula(l->state), l->project ? "W x " : "",
                l->layers ? "input of each layer but the first, mean over them" : "state after the final norm");
        } else {
            rt_str_puts(s, rt_loss_formula(l->loss.kind));
            print_numbers(s, &l->loss);
        }
        rt_str_puts(s, plain ? "" : ")");
    }
}
