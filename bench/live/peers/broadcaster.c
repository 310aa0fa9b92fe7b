/* broadcaster PORT: the least that relaying takes, as the physical floor.
 *
 * One thread, epoll, WebSockets of which the path's number is the room. What a client says goes to everybody in its
 * room as it is, and {"ack":ID} to the client; nothing is parsed but the id, nothing kept, and nobody waited for:
 * a client whose socket is full is dropped. All frames of one read leave each socket in one write.
 */
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

#include "websocket.h"

enum { EVENTS = 1024, READ_SIZE = 1 << 16, UNREAD_MAX = 1 << 14, ROOMS_MAX = 1 << 14 };

struct client {
    int fd;
    struct room *room; /* none before the upgrade */
    uint32_t place;
    uint8_t *unread;
    size_t unread_size;
};

struct room {
    struct client **clients;
    uint32_t size, capacity;
};

static struct room rooms[ROOMS_MAX];
static int epoll_fd;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void enter(struct client *client, unsigned number) {
    struct room *room = &rooms[number % ROOMS_MAX];
    if (room->size == room->capacity) {
        room->capacity = room->capacity ? 2 * room->capacity : 16;
        room->clients = realloc(room->clients, room->capacity * sizeof *room->clients);
    }
    client->room = room;
    client->place = room->size;
    room->clients[room->size++] = client;
}

static void drop(struct client *client) {
    struct room *room = client->room;
    if (room) {
        struct client *last = room->clients[--room->size];
        last->place = client->place;
        room->clients[client->place] = last;
    }
    close(client->fd);
    free(client->unread);
    free(client);
}

/* A client that cannot take all of it is cut off; its next event, the end of its stream, drops it. */
static void write_whole(struct client *client, const uint8_t *data, size_t size) {
    if (send(client->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size) shutdown(client->fd, SHUT_RDWR);
}

static size_t append_frame(uint8_t *out, const void *payload, size_t size) {
    size_t header = frame_header(out, OP_TEXT, size, false);
    memcpy(out + header, payload, size);
    return header + size;
}

static size_t upgrade(struct client *client, uint8_t *data, size_t size) {
    char *end = find((char *)data, size, "\r\n\r\n"), answer[256];
    if (!end) return 0;
    *end = 0;
    char *number = strpbrk((char *)data, "0123456789");
    size_t answered = upgrade_answer(answer, sizeof answer, (char *)data);
    if (!answered || !number) return 0;
    write_whole(client, (uint8_t *)answer, answered);
    enter(client, strtoul(number, NULL, 10));
    return end + 4 - (char *)data;
}

/* Relay all whole frames; returns how much was taken. */
static size_t take_frames(struct client *client, uint8_t *data, size_t size) {
    static uint8_t frames[2 * READ_SIZE], answers[2 * READ_SIZE];
    size_t framed = 0, answered = 0, at = 0;
    struct frame frame;
    for (size_t taken; (taken = frame_parse(data + at, size - at, &frame)); at += taken) {
        if (frame.opcode == OP_CLOSE) shutdown(client->fd, SHUT_RDWR);
        if (frame.opcode != OP_TEXT) continue;
        char answer[32], *id = find((char *)frame.payload, frame.size, "\"id\":");
        framed += append_frame(frames + framed, frame.payload, frame.size);
        int length = snprintf(answer, sizeof answer, "{\"ack\":%lu}", id ? strtoul(id + 5, NULL, 10) : 0);
        answered += append_frame(answers + answered, answer, length);
    }
    for (uint32_t i = 0; framed && i < client->room->size; i++) write_whole(client->room->clients[i], frames, framed);
    if (answered) write_whole(client, answers, answered);
    return at;
}

static void read_client(struct client *client) {
    static uint8_t data[READ_SIZE + 1];
    size_t size = client->unread_size;
    memcpy(data, client->unread, size);
    ssize_t got = recv(client->fd, data + size, READ_SIZE - size, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        drop(client);
        return;
    }
    size += got;
    data[size] = 0;
    size_t taken = client->room ? take_frames(client, data, size) : upgrade(client, data, size);
    if (size - taken > UNREAD_MAX) {
        drop(client);
        return;
    }
    client->unread = realloc(client->unread, size - taken + 1);
    memcpy(client->unread, data + taken, size - taken);
    client->unread_size = size - taken;
}

static void accept_client(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct client *client = calloc(1, sizeof *client);
    client->fd = fd;
    client->unread = malloc(1);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
    if (listen(listener, 4096) < 0) die("listen");
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr) read_client(events[i].data.ptr);
            else accept_client(listener);
        }
    }
}
