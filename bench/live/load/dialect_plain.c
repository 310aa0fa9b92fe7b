/* JSON over bare WebSockets: the room is in the path. Servers relay a message and answer it with {"ack": its id}. */
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

static size_t say(struct connection *c, uint32_t number, const char *tag, char *out) {
    (void)c;
    return snprintf(out, MESSAGE_MAX, "{\"id\":%u,\"client_id\":\"%s\",\"text\":\"%s\"}", number, tag, TEXT);
}

/* Some encoders put a space behind the colon. */
static char *value_of(char *text, size_t size, const char *key) {
    char *value = find(text, size, key);
    if (!value) return NULL;
    for (value += __builtin_strlen(key); *value == ':' || *value == ' ' || *value == '"'; value++) continue;
    return value;
}

static void heard(struct connection *c, char *text, size_t size) {
    char *tag = value_of(text, size, "\"client_id\"");
    if (tag) {
        delivered(c, tag);
        return;
    }
    char *answered = value_of(text, size, "\"ack\"");
    if (!answered) fail("neither a message nor an answer: %.*s", (int)size, text);
    acknowledged(c, strtoul(answered, NULL, 10));
}

static void heard_published(struct connection *c, char *text, size_t size) {
    char *tag = value_of(text, size, "\"client_id\"");
    if (!tag) fail("not a message: %.*s", (int)size, text);
    delivered(c, tag);
}

const struct dialect plain = {
    .name = "plain", .acknowledges = true, .opened = joined, .heard = heard, .say = say};
/* nchan publishes what comes over the socket as it is, and answers nothing. */
const struct dialect nchan = {
    .name = "nchan", .acknowledges = false, .opened = joined, .heard = heard_published, .say = say};
