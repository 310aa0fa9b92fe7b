/* What the parts of the load client know of each other.
 *
 * sockets.c   connections: opening, reading frames, writing, coming back
 * dialect_*.c what clients of one kind of server say
 * tag.c       the names of messages
 * workload.c  rooms: who says what when, what must arrive, and how long it took
 * load.c      the loop and its commands
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heard.h"
#include "websocket.h"

enum { TAG_SIZE = 36, MESSAGE_MAX = 2048, BURST_MAX = 64, SLOTS = 64 };

#define TEXT "Is this still available? I could come by on Saturday morning and pick it up myself."

/* A message under way: complete when its sender has the answer and every receiver has it. */
struct slot {
    uint64_t said_at;
    uint32_t number, waits_for;
    bool is_acknowledged, is_refused;
};

enum state { CLOSED, UPGRADING, JOINING, READY, STALLED };

struct connection {
    /* Given. */
    uint32_t index, room, member;
    int port;
    char *path, *credential, *topic;
    /* The socket. */
    int fd;
    enum state state;
    uint8_t *unread, *unwritten;
    size_t unread_size, unwritten_size;
    uint64_t opens_at;
    /* What was said and heard. */
    uint32_t said;
    struct slot slots[SLOTS];
    struct heard *heard_from; /* by member of the room */
    uint64_t heard, order_hash;
    uint64_t says_again_at; /* never, where 0 */
    /* Where a dialect keeps its place in a log. */
    uint64_t topic_seq;
    char topic_epoch[44];
    char *early; /* what was pushed before the answer that says where it belongs */
    size_t early_size;
};

struct dialect {
    const char *name, *subprotocol;
    /* Without acknowledgements the sender's own delivery is one. */
    bool acknowledges;
    /* The socket is open: begin to join; then or later call `joined`. */
    void (*opened)(struct connection *);
    /* A text came; the byte behind it may be overwritten by nobody but holds no text. */
    void (*heard)(struct connection *, char *text, size_t size);
    /* Write a message as text into MESSAGE_MAX bytes and return its size. */
    size_t (*say)(struct connection *, uint32_t number, const char *tag, char *out);
};

extern const struct dialect plain, nchan, feira, socketio, xmpp;
extern const struct dialect *dialect;
extern struct connection *connections;
extern uint32_t connection_count, ready_count;

uint64_t now_ns(void);
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* sockets.c */
void sockets_start(int epoll);
void sockets_open_due(uint64_t now); /* those that are closed and whose time has come, not too many at once */
void socket_event(struct connection *, uint32_t events);
void write_bytes(struct connection *, const uint8_t *data, size_t size);
void write_text(struct connection *, const char *text, size_t size);
void stall(struct connection *);
void come_back_to(int port); /* whoever loses the connection opens another there */

/* Said by dialects. */
void joined(struct connection *);
void delivered(struct connection *, const char *tag);
void acknowledged(struct connection *, uint32_t number);
void refused(struct connection *, uint32_t number); /* for now: it is said again in a second */
void noticed(const char *id); /* something else that has happened, by its UUID */

/* tag.c */
void write_tag(char *out, uint32_t sender, uint32_t number, uint64_t said_at);
bool read_tag(const char *tag, uint32_t *sender, uint32_t *number, uint64_t *said_at);

/* workload.c */
struct run {
    double messages_per_s; /* on a timetable; or, where 0, */
    uint32_t window;       /* as soon as fewer than this are under way in a room */
    uint32_t burst;        /* messages of one sender in one write */
    double warm_up_s, seconds, drain_s;
};

void workload_start(void);
void run_start(struct run);
/* Say what is due and go on to the next phase; returns when to call again, or 0 for "when something happened". */
uint64_t run_advance(uint64_t now);
void say_again(struct connection *); /* what was not acknowledged */

#endif
