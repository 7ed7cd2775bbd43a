/* text.h - all of text. */
#ifndef RT_TEXT_TEXT_H
#define RT_TEXT_TEXT_H
#include "text/chat.h"
#include "text/corpus.h"
#include "text/draft_pair.h"
#include "text/tokenizer.h"
#endif
