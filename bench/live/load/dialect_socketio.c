/* Socket.IO 4 over Engine.IO 4, WebSocket only: join a room by an event, say by an event with an acknowledgement. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

enum { FIRST_SAY_ID = 10 };

static void opened(struct connection *c) { (void)c; /* The server speaks first. */ }

static size_t say(struct connection *c, uint32_t number, const char *tag, char *out) {
    (void)c;
    return snprintf(out, MESSAGE_MAX, "42%u[\"say\",{\"client_id\":\"%s\",\"text\":\"%s\"}]", FIRST_SAY_ID + number,
                    tag, TEXT);
}

static void heard(struct connection *c, char *text, size_t size) {
    if (text[0] == '2') {
        write_text(c, "3", 1);
    } else if (text[0] == '0') {
        write_text(c, "40", 2);
    } else if (!strncmp(text, "40", 2)) {
        char join[64];
        write_text(c, join, snprintf(join, sizeof join, "420[\"join\",%u]", c->room));
    } else if (!strncmp(text, "43", 2)) {
        uint32_t id = strtoul(text + 2, NULL, 10);
        if (id >= FIRST_SAY_ID) acknowledged(c, id - FIRST_SAY_ID);
        else joined(c);
    } else if (!strncmp(text, "42", 2)) {
        char *tag = find(text, size, "\"client_id\":\"");
        if (!tag) fail("not a message: %.*s", (int)size, text);
        delivered(c, tag + 13);
    } else {
        fail("not of this protocol: %.*s", (int)size, text);
    }
}

const struct dialect socketio = {
    .name = "socketio", .acknowledges = true, .opened = opened, .heard = heard, .say = say};
