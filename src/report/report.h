/* report.h - what a run made, kept and lost, on one static HTML page: inline style and SVG, no script, nothing fetched.
 *
 * Facts: a JSON object. Every part may be absent or null and is then said to be unknown or not measured, never guessed.
 *
 *   name, created, tool, command, recipe    texts; recipe is the YAML
 *   teacher    {name, path, sha256, architecture, parameters, layers, bytes, type, licence, verdict,
 *              duties: [text | {text}]}
 *   student    {parameters, layers, keep: [int], init, bytes, file, type, start: {kl, perplexity}}
 *   data       [{name, documents, tokens, origin, licence, use: "train" | "valid"}]
 *   provenance_complete    false or absent: the page opens with a warning
 *   answers    {task, n, temperature, asked: {given, excluded: {rule: n}, asked, answers, tokens}, filter: {kept,
 *              prompts_kept, dropped: {rule: n}}, held_out: {task, metric, n, margin, models: [{id, label, metrics,
 *              beside: {teacher, constant, twin: rt_family_json}}], examples: [as samples, with gold]}}
 *   collect    {targets, draws, k, temperature, tokens, positions, bytes, bytes_per_token, seconds, tokens_per_s,
 *              teacher_nll}
 *   train      {loss, formula, temperature, steps, tokens, seconds, tokens_per_s, lr, schedule, batch_tokens,
 *              first_loss, last_loss, stopped,
 *              curve: [{tokens, loss, kl, lr}], validations: [{tokens, kl, top1}]}
 *              the tokens of a point are those so far: `total_tokens`, or `tokens` where that is absent
 *   retain     {answers, weight, watch: [{name, value, min, max, holds}], kl, beside, kl_without, price}
 *   twin       as train
 *   models     [{id: "teacher" | "student" | "twin" | "cut", file, bytes, parameters, layers, type,
 *              fidelity: rt_fidelity_json, tasks: [rt_task_json],
 *              distinct: [{order, mean, stderr, n}] of greedy continuations}]
 *   gap        rt_gap_report; slices: what rt_heldout_measure_slices says of the student
 *   variety    rt_family_json of distinct-n, the student beside the teacher
 *   samples    [{prompt, outputs: {teacher, student, twin, cut}}]; {harmful: true}: its texts are never shown
 *   cost       {seconds, cpu_seconds, peak_bytes, stages: [{name, seconds, cpu_seconds, peak_bytes}]}
 *   machine    {cpu, isa, threads, gemm, precision}
 *   not_measured    [text]
 *   files      [{path, bytes, sha256}]
 *   ledger     {head, entries, outputs, positions}
 *   permit     rt_permit_json
 *
 * Texts are hostile: none can act in the page, and characters that hide or reorder text are made visible. */
#ifndef RT_REPORT_REPORT_H
#define RT_REPORT_REPORT_H

#include <jansson.h>

#include "core/core.h"

/* Appends the page to `out`, which is as before on failure. The same facts give the same bytes. Below 1 MB: long texts
 * and lists are cut, and the page says where. RT_INPUT when the facts are no object. */
RT_MUST_USE rt_status rt_report_html(rt_str *out, const json_t *facts, rt_err *err);
/* The same into a file, atomically. */
RT_MUST_USE rt_status rt_report_write(const char *path, const json_t *facts, rt_err *err);

/* The sentences, verdicts and slices as Markdown; texts of the facts cannot act in it. */
RT_MUST_USE rt_status rt_report_markdown(rt_str *out, const json_t *facts, rt_err *err);

/* The five sentences of the first screen, as plain text. */
typedef enum rt_sentence {
    RT_SENTENCE_MADE,    /* made from */
    RT_SENTENCE_ALLOWED, /* allowed by what */
    RT_SENTENCE_KEPT,
    RT_SENTENCE_LOST,
    RT_SENTENCE_UNMEASURED,
    RT_SENTENCE_COUNT
} rt_sentence;
void rt_report_sentence(rt_str *out, const json_t *facts, rt_sentence which);

#endif
