/* adapter.h - low-rank adaptation (Hu et al. 2021): a frozen model whose chosen matrices act as W + (alpha/rank) B A,
 * with A [rank, in] and B [out, rank] the only parameters that are trained. The pair belongs to its matrix: products
 * with the matrix (rows.c, maps.c) take it along, blocks know nothing of it. */
#ifndef RT_MODEL_ADAPTER_H
#define RT_MODEL_ADAPTER_H

#include "model/model.h"

typedef struct rt_adapter_options {
    int64_t rank; /* 0: none */
    double alpha;
    bool targets[RT_ROLE_COUNT];
    uint64_t seed; /* of A; B begins at 0, so that an adapted model begins as the model it was */
} rt_adapter_options;

/* "rank=16,alpha=32,targets=q,k,v,o,gate,up,down"; alpha is twice the rank, and all are targets, where nothing is said.
 * RT_USAGE names what is wrong. */
RT_MUST_USE rt_status rt_adapter_parse(rt_adapter_options *o, const char *text, rt_err *err);
/* Adds targets "q", "k", ... of a list. */
RT_MUST_USE rt_status rt_adapter_target(rt_adapter_options *o, const char *name, rt_err *err);

/* What was not said: alpha is twice the rank, all are targets. */
void rt_adapter_settle(rt_adapter_options *o);

/* Freezes the parameters of a model, which need not be opened for training, and adds the pairs: it is trainable then,
 * its flat block that of the pairs alone. RT_UNSUPPORTED: mixtures of experts, other attention than grouped, streamed
 * models. */
RT_MUST_USE rt_status rt_model_adapt(rt_model *m, const rt_adapter_options *o, rt_err *err);
void rt_adapter_free(rt_adapter *a); /* with the model; accepts NULL */
/* `plain`, trainable, the model that `adapted` was before: its matrices become W + (alpha/rank) B A. */
void rt_adapter_merge(rt_model *plain, const rt_model *adapted);

/* adapter_model.safetensors and adapter_config.json as PEFT reads them; `base`: where the model comes from. */
RT_MUST_USE rt_status rt_adapter_save(const rt_model *m, const char *base, const char *dir, rt_err *err);

#endif
