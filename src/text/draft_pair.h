/* draft_pair.h - whether llama.cpp takes a model as the draft of another without translating tokens between them: the
 * rules of common_speculative in common/speculative.cpp. */
#ifndef RT_TEXT_DRAFT_PAIR_H
#define RT_TEXT_DRAFT_PAIR_H

#include "text/tokenizer.h"

#define RT_DRAFT_MOST_SPARE 128   /* tokens one vocabulary may have behind the end of the other */
#define RT_DRAFT_FIRST_COMPARED 5 /* the ids before it are special tokens that models name as they like */

/* RT_INPUT names the first rule that is broken: kind of vocabulary, what is added around a text and with which ids,
 * number of tokens, the first token from id 5 on whose text differs. `target_path` is for the message. */
RT_MUST_USE rt_status rt_draft_pair_check(const rt_tokenizer *draft, const rt_tokenizer *target,
                                          const char *target_path, rt_err *err);
/* The same for files or folders. */
RT_MUST_USE rt_status rt_draft_pair_check_files(const char *draft_path, const char *target_path, rt_err *err);

#endif
