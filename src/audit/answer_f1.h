/* answer_f1.h - words that an answer and the right one have in common, as SQuAD counts them (Rajpurkar et al. 2016).
 * Private to audit. */
#ifndef RT_AUDIT_ANSWER_F1_H
#define RT_AUDIT_ANSWER_F1_H

#include "core/core.h"

/* 2PR/(P+R) with P and R the shares of common words, each as often as both have it. Before: lower case, ASCII
 * punctuation deleted, the articles a, an and the left out. Two texts without words are equal, 1. Texts are well-formed
 * UTF-8. */
RT_MUST_USE rt_status rt_answer_f1(double *f1, rt_slice answer, rt_slice gold, rt_err *err);

#endif
