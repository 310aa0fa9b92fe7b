/* XMPP over WebSockets (RFC 7395): sign in as nobody, join a room (XEP-0045), say to the room. */
#include <stdio.h>
#include <string.h>

#include "load.h"

#define OPEN "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>"
#define AUTH "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>"
#define BIND_NAMESPACE "urn:ietf:params:xml:ns:xmpp-bind"
#define BIND "<iq xmlns='jabber:client' type='set' id='bind'><bind xmlns='" BIND_NAMESPACE "'/></iq>"

static void opened(struct connection *c) { write_text(c, OPEN, strlen(OPEN)); }

static size_t say(struct connection *c, uint32_t number, const char *tag, char *out) {
    return snprintf(out, MESSAGE_MAX,
                    "<message xmlns='jabber:client' to='room%u@conference.localhost' type='groupchat' id='%u'>"
                    "<body>%s %s</body></message>",
                    c->room, number, tag, TEXT);
}

static void join(struct connection *c) {
    char text[512];
    int size = snprintf(text, sizeof text,
                        "<presence xmlns='jabber:client' to='room%u@conference.localhost/member%u'>"
                        "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>",
                        c->room, c->index);
    write_text(c, text, size);
}

static bool starts(const char *text, const char *with) { return !strncmp(text, with, strlen(with)); }

static void heard(struct connection *c, char *text, size_t size) {
    char *body = find(text, size, "<body>");
    if (body) {
        delivered(c, body + 6);
    } else if (find(text, size, "type='error'") || starts(text, "<failure") || starts(text, "<close")) {
        fail("refused: %.*s", (int)size, text);
    } else if (find(text, size, "ANONYMOUS")) {
        write_text(c, AUTH, strlen(AUTH));
    } else if (starts(text, "<success")) {
        write_text(c, OPEN, strlen(OPEN));
    } else if (starts(text, "<iq")) {
        if (find(text, size, BIND_NAMESPACE)) join(c);
    } else if (find(text, size, BIND_NAMESPACE)) {
        write_text(c, BIND, strlen(BIND));
    } else if (starts(text, "<message") && c->state == JOINING) {
        /* The room's subject is the last thing on the way in. */
        joined(c);
    }
    /* The rest is presence. */
}

const struct dialect xmpp = {.name = "xmpp",
                             .subprotocol = "xmpp",
                             .acknowledges = false,
                             .opened = opened,
                             .heard = heard,
                             .say = say};
