/* chat_layout.c - which template text stands around which content, by the data of the tokenizer's form. */
#include "text/chat_layout.h"

#include <string.h>

#include "text/tokenizer_impl.h"

/* Of one message: system content in front of a user's with what parts them, frame, lead and content; and as many around
 * all of them. */
#define PARTS_A_MESSAGE 6
#define PARTS_AROUND 8

static void add(rt_chat_layout *l, rt_chat_part_kind kind, rt_slice text)
{
    if (text.n > 0) {
        l->parts[l->n++] = (rt_chat_part){kind, text};
    }
}

static rt_slice slice_of(const char *text)
{
    return text ? (rt_slice){text, strlen(text)} : (rt_slice){0};
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static rt_slice content_of(const rt_chat_form_info *form, const char *content)
{
    rt_slice s = slice_of(content);
    while (form->trims && s.n > 0 && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (form->trims && s.n > 0 && is_space(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

static const rt_chat_frame *frame_of(const rt_chat_form_info *form, const char *role)
{
    const struct {
        const char *role;
        const rt_chat_frame *frame;
    } frames[] = {
        {"system", &form->system}, {"user", &form->user}, {"assistant", &form->assistant}, {"tool", &form->tool}};
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        if (strcmp(frames[i].role, role) == 0) {
            return frames[i].frame;
        }
    }
    return NULL;
}

/* The user's turn whose content the system's goes in front of; n where there is none. */
static size_t user_for_system(const rt_chat_form_info *form, const rt_chat_message *m, size_t n)
{
    size_t found = n;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(m[i].role, "user") == 0 && (found == n || form->system_place == RT_SYSTEM_IN_LAST_USER)) {
            found = i;
        }
    }
    return found;
}

/* Roles become template text, so only those a form has turns for are let in. */
static rt_status check_messages(const rt_chat_form_info *form, const rt_chat_message *m, size_t n, rt_err *err)
{
    if (n == 0) {
        return rt_fail(err, RT_INPUT, 0, "conversation has no messages");
    }
    for (size_t i = 0; i < n; i++) {
        const rt_chat_frame *frame = frame_of(form, m[i].role);
        if (!frame) {
            return rt_fail(err, RT_INPUT, 0, "role '%.32s' of message %zu is none of system, user, assistant, tool",
                           m[i].role, i + 1);
        }
        const bool placed = i == 0 && frame == &form->system && user_for_system(form, m, n) < n;
        if (!frame->open && !(placed && form->system_place != RT_SYSTEM_TURN)) {
            return rt_fail(err, RT_INPUT, 0, "chat form '%s' has no turn for role '%s' of message %zu%s", form->name,
                           m[i].role, i + 1,
                           frame == &form->system ? ": its content can only go first, and before a user's" : "");
        }
    }
    return RT_OK;
}

static void add_turn(rt_chat_layout *l, const rt_chat_form_info *form, rt_chat_message m, const char *system, bool last)
{
    const rt_chat_frame *frame = frame_of(form, m.role);
    const bool reply = frame == &form->assistant;
    const rt_chat_part_kind kind = reply ? RT_PART_REPLY : RT_PART_CONTENT;
    const char *close = reply && last && form->last_close ? form->last_close : frame->close;
    add(l, RT_PART_TEMPLATE, slice_of(frame->open));
    if (system) {
        add(l, RT_PART_CONTENT, content_of(form, system));
        add(l, RT_PART_TEMPLATE, slice_of("\n\n"));
    }
    add(l, kind, slice_of(reply ? form->reply_lead : NULL));
    add(l, kind, content_of(form, m.content));
    add(l, reply ? RT_PART_END : RT_PART_TEMPLATE, slice_of(close));
}

/* The system content that the template puts first when the conversation brings none; NULL when there is none. */
static const char *default_system(const rt_tokenizer *t, const rt_chat_message *m)
{
    if (strcmp(m[0].role, "system") == 0) {
        return NULL;
    }
    return t->chat_system ? t->chat_system : t->chat_form->system_default;
}

rt_status rt_chat_lay_out(rt_chat_layout *l, const rt_tokenizer *t, const rt_chat_message *m, size_t n, bool open_reply,
                          rt_err *err)
{
    rt_status st = RT_OK;
    const rt_chat_form_info *form = t->chat_form;
    RT_TRY(check_messages(form, m, n, err));
    RT_TRY(RT_NEW(&l->parts, n * PARTS_A_MESSAGE + PARTS_AROUND, "parts of a conversation", err));
    const char *system = default_system(t, m);
    size_t user = n, first = 0;
    if (form->bos && t->bos >= 0) {
        add(l, RT_PART_TEMPLATE, t->vocab.tokens[t->bos].text);
    }
    add(l, RT_PART_TEMPLATE, slice_of(form->head));
    if (system) {
        add_turn(l, form, (rt_chat_message){"system", system}, NULL, false);
    } else if (form->system_place != RT_SYSTEM_TURN && strcmp(m[0].role, "system") == 0) {
        system = m[0].content;
        user = user_for_system(form, m, n);
        first = 1;
    }
    for (size_t i = first; i < n; i++) {
        add_turn(l, form, m[i], i == user ? system : NULL, i + 1 == n);
    }
    if (open_reply) {
        add(l, RT_PART_TEMPLATE, slice_of(form->assistant.open));
    }
out:
    return st;
}

void rt_chat_layout_release(rt_chat_layout *l)
{
    rt_free(l->parts);
    *l = (rt_chat_layout){0};
}
