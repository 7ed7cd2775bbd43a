/* spm_rules.h - from scores to merges and back, for writing a SentencePiece vocabulary in the other format. */
#ifndef RT_TEXT_SPM_RULES_H
#define RT_TEXT_SPM_RULES_H

#include "text/bpe.h"

/* [v->n] scores: those it has, or such that the tokens merge in the order of its list. */
RT_MUST_USE rt_status rt_spm_scores(const rt_bpe *b, const rt_vocab *v, float *scores, rt_err *err);
/* Of rules by score: all pairs of tokens that make a token, the best score first. To be freed with rt_free. */
RT_MUST_USE rt_status rt_spm_merges(const rt_bpe *b, const rt_vocab *v, rt_merge **merges, size_t *n, rt_err *err);

#endif
