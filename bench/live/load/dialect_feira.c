/* Feira's own protocol, JSON: connect, subscribe, send; one message a line. A reconnected client resumes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

enum { CONNECT_ID = 1, SUBSCRIBE_ID = 2, FIRST_SEND_ID = 10 };
enum { CONNECT_MAX = 8192 };

static void opened(struct connection *c) {
    c->early_size = 0;
    char text[CONNECT_MAX];
    int size;
    if (c->topic_epoch[0])
        size = snprintf(text, sizeof text,
                        "{\"id\":%d,\"connect\":{\"token\":\"%s\",\"resume\":{\"%s\":{\"seq\":%llu,\"epoch\":\"%s\"}}}}",
                        CONNECT_ID, c->credential, c->topic, (unsigned long long)c->topic_seq, c->topic_epoch);
    else
        size = snprintf(text, sizeof text, "{\"id\":%d,\"connect\":{\"token\":\"%s\"}}", CONNECT_ID, c->credential);
    write_text(c, text, size);
}

static size_t say(struct connection *c, uint32_t number, const char *tag, char *out) {
    return snprintf(out, MESSAGE_MAX,
                    "{\"id\":%u,\"send\":{\"topic\":\"%s\",\"client_id\":\"%s\",\"text\":\"%s\"}}",
                    FIRST_SEND_ID + number, c->topic, tag, TEXT);
}

static void event(struct connection *c, char *line, size_t size) {
    char *seq = find(line, size, "\"seq\":");
    if (!seq) fail("an event without a number: %.*s", (int)size, line);
    uint64_t number = strtoull(seq + 6, NULL, 10);
    char *topic = find(line, size, c->topic);
    if (!topic) return; /* of the inbox */
    if (number != c->topic_seq + 1)
        fail("%s: event %llu came after %llu", c->topic, (unsigned long long)number,
             (unsigned long long)c->topic_seq);
    c->topic_seq = number;
    char *tag = find(line, size, "\"client_id\":\""), *order = find(line, size, "\"order\":\"");
    if (tag) delivered(c, tag + 13);
    else if (order) noticed(order + 9);
}

static void keep_for_later(struct connection *c, const char *line, size_t size) {
    c->early = realloc(c->early, c->early_size + size + 1);
    memcpy(c->early + c->early_size, line, size);
    c->early_size += size;
    c->early[c->early_size++] = '\n';
}

static void catch_up(struct connection *c) {
    char *line = c->early, *end = line + c->early_size;
    for (char *line_end; line < end; line = line_end + 1) {
        line_end = memchr(line, '\n', end - line);
        char *seq = find(line, line_end - line, "\"seq\":");
        /* The answer may be younger than what was pushed before it. */
        if (seq && strtoull(seq + 6, NULL, 10) > c->topic_seq) event(c, line, line_end - line);
    }
    c->early_size = 0;
}

/* Where the topic stands, and what was missed: the same body in the answers to connect and subscribe. */
static void subscribed(struct connection *c, char *body, size_t size) {
    char *end = body + size, *epoch = find(body, size, "\"epoch\":\""), *at = find(body, size, "\"seq\":");
    if (!epoch || !at || !find(body, size, "\"recovered\":true")) fail("not resumed: %.*s", (int)size, body);
    uint64_t seq = strtoull(at + 6, NULL, 10);
    bool resumes = c->topic_epoch[0];
    snprintf(c->topic_epoch, sizeof c->topic_epoch, "%.*s", (int)strcspn(epoch + 9, "\""), epoch + 9);
    for (char *missed = resumes ? find(body, size, "\"events\":[") : NULL; missed;) {
        missed = find(missed, end - missed, "\"client_id\":\"");
        if (!missed) break;
        missed += 13;
        c->topic_seq++;
        delivered(c, missed);
    }
    if (resumes && c->topic_seq != seq) fail("resumed to %llu: %.*s", (unsigned long long)c->topic_seq, (int)size, body);
    c->topic_seq = seq;
    catch_up(c);
    joined(c);
}

static void answered(struct connection *c, char *line, size_t size) {
    uint32_t id = strtoul(line + 6, NULL, 10);
    if (find(line, size, "\"error\":{")) {
        if (!find(line, size, "\"retryable\":true")) fail("refused: %.*s", (int)size, line);
        /* A server that takes nobody in right now closes the connection: coming back is the way to try again. */
        if (id >= FIRST_SEND_ID) refused(c, id - FIRST_SEND_ID);
        return;
    }
    if (id >= FIRST_SEND_ID) {
        acknowledged(c, id - FIRST_SEND_ID);
        return;
    }
    if (id == SUBSCRIBE_ID || c->topic_epoch[0]) {
        char *body = id == SUBSCRIBE_ID ? line : find(line, size, "\"topics\":");
        subscribed(c, body, line + size - body);
        return;
    }
    char text[256];
    int written = snprintf(text, sizeof text, "{\"id\":%d,\"subscribe\":{\"topic\":\"%s\"}}", SUBSCRIBE_ID, c->topic);
    write_text(c, text, written);
}

static void heard(struct connection *c, char *text, size_t size) {
    for (char *end = text + size; text < end;) {
        char *line_end = memchr(text, '\n', end - text);
        if (!line_end) line_end = end;
        size_t line_size = line_end - text;
        if (line_size > 6 && !memcmp(text, "{\"id\":", 6)) answered(c, text, line_size);
        else if (line_size > 9 && !memcmp(text, "{\"event\":", 9)) {
            if (c->state == JOINING) keep_for_later(c, text, line_size);
            else event(c, text, line_size);
        }
        else if (find(text, line_size, "\"error\":{") || find(text, line_size, "\"unsubscribed\":"))
            fail("refused: %.*s", (int)line_size, text);
        /* The rest is presence, cursors and unread counts. */
        text = line_end + 1;
    }
}

const struct dialect feira = {.name = "feira",
                              .subprotocol = "feira.v1.json",
                              .acknowledges = true,
                              .opened = opened,
                              .heard = heard,
                              .say = say};
