/* load DIALECT CONNECTIONS: one client for every server, so that the servers differ and nothing else does.
 *
 * CONNECTIONS is a file of lines: port, room, path, credential, topic, separated by tabs. Once all are in, it says so
 * and takes commands, a line each:
 *
 *   run MESSAGES_PER_S WINDOW BURST WARM_UP_S SECONDS DRAIN_S   one of the first two is 0; see workload.c
 *   stall INDEX                                                 a connection reads no more
 *   back PORT                                                   who loses the connection comes back there
 *
 * It says what happens as JSON, a line each, and ends with its input.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

enum { EVENTS = 1024, LINE = 16384 };
/* Whoever waits to open a connection is looked at this often. */
static const uint64_t OPENING_TICK_NS = 1000 * 1000;

const struct dialect *dialect;
struct connection *connections;
uint32_t connection_count, ready_count;

uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ull + now.tv_nsec;
}

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "load: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    exit(1);
}

static const struct dialect *dialect_named(const char *name) {
    static const struct dialect *const all[] = {&plain, &nchan, &feira, &socketio, &xmpp};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i]->name, name)) return all[i];
    fail("no dialect is named %s", name);
}

static char *next_field(char **line) {
    char *field = strsep(line, "\t\n");
    if (!field || !*line) fail("a connection's line has five fields");
    return strdup(field);
}

static void read_connections(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) fail("%s: %s", path, strerror(errno));
    char line[LINE];
    while (fgets(line, sizeof line, file)) {
        connections = realloc(connections, (connection_count + 1) * sizeof *connections);
        char *rest = line;
        struct connection c = {.index = connection_count};
        c.port = atoi(next_field(&rest));
        c.room = atoi(next_field(&rest));
        c.path = next_field(&rest);
        c.credential = next_field(&rest);
        c.topic = next_field(&rest);
        connections[connection_count++] = c;
    }
    fclose(file);
}

static void obey(char *line) {
    struct run run;
    uint32_t number;
    if (sscanf(line, "run %lf %u %u %lf %lf %lf", &run.messages_per_s, &run.window, &run.burst, &run.warm_up_s,
               &run.seconds, &run.drain_s) == 6) {
        if (!run.burst || run.burst > BURST_MAX || !(run.messages_per_s > 0) == !run.window) fail("cannot %s", line);
        run_start(run);
    } else if (sscanf(line, "stall %u", &number) == 1 && number < connection_count) {
        stall(&connections[number]);
    } else if (sscanf(line, "back %u", &number) == 1) {
        come_back_to(number);
    } else {
        fail("not a command: %s", line);
    }
}

static void read_commands(void) {
    static char text[LINE];
    static size_t size;
    ssize_t got = read(STDIN_FILENO, text + size, sizeof text - 1 - size);
    if (got <= 0) exit(0);
    size += got;
    text[size] = 0;
    for (char *end; (end = strchr(text, '\n'));) {
        *end = 0;
        obey(text);
        size -= end + 1 - text;
        memmove(text, end + 1, size + 1);
    }
}

static void wait_until(int epoll, uint64_t next) {
    struct epoll_event events[EVENTS];
    uint64_t now = now_ns(), left = next > now ? next - now : 0;
    struct timespec timeout = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    int count = epoll_pwait2(epoll, events, EVENTS, next ? &timeout : NULL, NULL);
    if (count < 0 && errno != EINTR) fail("epoll_pwait2: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr) socket_event(events[i].data.ptr, events[i].events);
        else read_commands();
    }
}

int main(int argc, char **argv) {
    if (argc != 3) fail("usage: load DIALECT CONNECTIONS");
    dialect = dialect_named(argv[1]);
    read_connections(argv[2]);
    workload_start();
    /* Timetables of microseconds need timers of microseconds. */
    prctl(PR_SET_TIMERSLACK, 1);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event commands = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &commands);
    sockets_start(epoll);
    for (;;) {
        uint64_t now = now_ns();
        sockets_open_due(now);
        uint64_t next = run_advance(now);
        if (ready_count < connection_count && (!next || next > now + OPENING_TICK_NS)) next = now + OPENING_TICK_NS;
        wait_until(epoll, next);
    }
}
