/* collapse.h - is a student that learns on its own text still writing? It may fall silent, end every text at once,
 * never end, or repeat itself, while its loss keeps falling. What is written is put into four numbers and watched. */
#ifndef RT_TRAIN_COLLAPSE_H
#define RT_TRAIN_COLLAPSE_H

#include "format/json.h"
#include "infer/generate.h"

typedef struct rt_writing {
    double length;   /* tokens a text, mean */
    double stubs;    /* share of texts that their first token ends */
    double ended;    /* share of texts that an end token ends */
    double repeated; /* share of runs of four tokens that stood before in the same text */
} rt_writing;
rt_writing rt_writing_of(const rt_generation *g);

typedef struct rt_collapse {
    rt_writing first, recent; /* of the first texts; smoothed over the latest */
    int64_t seen;             /* how often texts were looked at */
} rt_collapse;

typedef enum rt_alarm { RT_ALARM_NONE, RT_ALARM_WARN, RT_ALARM_STOP } rt_alarm;
/* Takes in the latest texts. `what` gets the loudest alarm in words, "" when there is none. */
rt_alarm rt_collapse_watch(rt_collapse *c, const rt_writing *w, char what[160]);

json_t *rt_collapse_json(const rt_collapse *c); /* NULL: memory is out, or a number is none */
/* false: not what rt_collapse_json wrote. */
bool rt_collapse_parse(const json_t *j, rt_collapse *out);

#endif
