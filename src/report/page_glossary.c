/* page_glossary.c - what the page's words mean (glossary.def). */
#include "report/page.h"

static const struct {
    const char *word, *meaning;
} terms[] = {
#define RT_TERM(word, meaning) {word, meaning},
#include "report/glossary.def"
#undef RT_TERM
};

void rt_page_glossary(rt_str *out, const json_t *facts)
{
    (void)facts;
    rt_page_section(out, "glossary", "Glossary");
    rt_str_puts(out, "<dl class=\"facts\">\n");
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++) {
        rt_page_pair(out, terms[i].word, terms[i].meaning);
    }
    rt_str_puts(out, "</dl>\n</section>\n");
}
