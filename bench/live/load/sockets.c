/* Connections: opening some at a time, reading frames, writing, coming back after a loss. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

enum { OPENING_MAX = 64, READ_SIZE = 1 << 18, PATH_MAX_SIZE = 1024 };
/* Coming back, as clients should: at a random moment within a second, all on their own. */
static const uint64_t BACK_WITHIN_NS = 1000 * 1000 * 1000ull;

static int epoll_fd;
static uint32_t opening_count;
static int back_at_port;
static uint64_t lost_at;

static void watch(struct connection *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll_fd, operation, c->fd, &event) < 0) fail("epoll_ctl: %s", strerror(errno));
}

void sockets_start(int epoll) { epoll_fd = epoll; }

void come_back_to(int port) { back_at_port = port; }

static void open_socket(struct connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(c->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) fail("socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        fail("connect to port %d: %s", c->port, strerror(errno));
    c->state = UPGRADING;
    opening_count++;
    watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
    char request[PATH_MAX_SIZE];
    size_t size = upgrade_request(request, sizeof request, c->path, c->port, dialect->subprotocol);
    c->unwritten = malloc(size);
    memcpy(c->unwritten, request, size);
    c->unwritten_size = size;
}

void sockets_open_due(uint64_t now) {
    if (ready_count + opening_count == connection_count) return;
    /* At the start they queue up; those who come back know nothing of each other. */
    uint32_t at_once = back_at_port ? connection_count : OPENING_MAX;
    for (uint32_t i = 0; i < connection_count && opening_count < at_once; i++)
        if (connections[i].state == CLOSED && connections[i].opens_at <= now) open_socket(&connections[i]);
}

static void lost(struct connection *c, const char *why) {
    if (!back_at_port) fail("connection %u was lost: %s", c->index, why);
    if (c->state == READY) {
        ready_count--;
        if (!lost_at) lost_at = now_ns();
    } else {
        opening_count--;
    }
    close(c->fd);
    free(c->unread), free(c->unwritten);
    c->unread = c->unwritten = NULL;
    c->unread_size = c->unwritten_size = 0;
    c->state = CLOSED;
    c->port = back_at_port;
    c->opens_at = now_ns() + (uint64_t)(drand48() * BACK_WITHIN_NS);
}

void joined(struct connection *c) {
    if (c->state != JOINING) fail("connection %u joined twice", c->index);
    c->state = READY;
    opening_count--;
    ready_count++;
    say_again(c);
    if (ready_count < connection_count) return;
    if (lost_at) printf("{\"event\":\"back\",\"first_lost_at_ns\":%llu,", (unsigned long long)lost_at);
    else printf("{\"event\":\"ready\",");
    printf("\"at_ns\":%llu}\n", (unsigned long long)now_ns());
    fflush(stdout);
    lost_at = 0;
}

void stall(struct connection *c) {
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &(int){1}, sizeof(int));
    watch(c, EPOLL_CTL_DEL, 0);
    c->state = STALLED;
}

static void flush_unwritten(struct connection *c) {
    ssize_t sent = send(c->fd, c->unwritten, c->unwritten_size, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != ENOTCONN) lost(c, strerror(errno));
        return;
    }
    c->unwritten_size -= sent;
    memmove(c->unwritten, c->unwritten + sent, c->unwritten_size);
    if (c->unwritten_size) return;
    free(c->unwritten);
    c->unwritten = NULL;
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

void write_bytes(struct connection *c, const uint8_t *data, size_t size) {
    ssize_t sent = 0;
    if (!c->unwritten_size) {
        sent = send(c->fd, data, size, MSG_NOSIGNAL);
        if (sent == (ssize_t)size) return;
        /* A reset is seen by the next read. */
        if (sent < 0) sent = 0;
        watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    c->unwritten = realloc(c->unwritten, c->unwritten_size + size - sent);
    memcpy(c->unwritten + c->unwritten_size, data + sent, size - sent);
    c->unwritten_size += size - sent;
}

static void write_frame(struct connection *c, enum opcode opcode, const void *payload, size_t size) {
    uint8_t frame[FRAME_HEADER_MAX + 8192];
    if (size > sizeof frame - FRAME_HEADER_MAX) fail("a frame of %zu bytes is too large", size);
    size_t header = frame_header(frame, opcode, size, true);
    memcpy(frame + header, payload, size);
    write_bytes(c, frame, header + size);
}

void write_text(struct connection *c, const char *text, size_t size) { write_frame(c, OP_TEXT, text, size); }

static void handle(struct connection *c, struct frame *frame) {
    switch (frame->opcode) {
    case OP_TEXT:
        if (!frame->is_final) fail("a fragmented message");
        dialect->heard(c, (char *)frame->payload, frame->size);
        break;
    case OP_PING:
        write_frame(c, OP_PONG, frame->payload, frame->size);
        break;
    case OP_PONG:
        break;
    case OP_CLOSE:
        lost(c, frame->size > 2 ? (char *)frame->payload + 2 : "a close frame");
        break;
    default:
        fail("a frame of an unknown kind: %d", frame->opcode);
    }
}

/* Take the answer to the upgrade off the front; returns its size, 0 where more must come. */
static size_t upgraded(struct connection *c, uint8_t *data, size_t size) {
    char *end = find((char *)data, size, "\r\n\r\n");
    if (!end) return 0;
    if (!find((char *)data, size < 16 ? size : 16, " 101 ")) {
        lost(c, "no upgrade");
        return 0;
    }
    c->state = JOINING;
    dialect->opened(c);
    return end + 4 - (char *)data;
}

static void read_some(struct connection *c) {
    static uint8_t data[READ_SIZE + 1];
    size_t size = c->unread_size;
    if (size) memcpy(data, c->unread, size);
    ssize_t got = recv(c->fd, data + size, READ_SIZE - size, 0);
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN) return;
        lost(c, got ? strerror(errno) : "end of stream");
        return;
    }
    size += got;
    size_t at = c->state == UPGRADING ? upgraded(c, data, size) : 0;
    struct frame frame;
    for (size_t taken; c->state > UPGRADING && (taken = frame_parse(data + at, size - at, &frame)); at += taken) {
        uint8_t *end = frame.payload + frame.size, behind = *end;
        *end = 0;
        handle(c, &frame);
        *end = behind;
    }
    if (c->state == CLOSED) return;
    if (size == READ_SIZE && !at) fail("a frame is larger than %d bytes", READ_SIZE);
    if (size - at > c->unread_size) c->unread = realloc(c->unread, size - at);
    memcpy(c->unread, data + at, size - at);
    c->unread_size = size - at;
}

void socket_event(struct connection *c, uint32_t events) {
    if (events & EPOLLOUT && c->unwritten_size) flush_unwritten(c);
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP) && c->state != CLOSED) read_some(c);
}
