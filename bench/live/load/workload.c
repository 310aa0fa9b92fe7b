/* Rooms: who says what and when, what has to arrive where, and how long it took.
 *
 * A run warms up, measures, and drains: everything said must be acknowledged to its sender and delivered to all
 * members of the room, the sender too, once each, and to all of them in the same order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "histogram.h"
#include "load.h"

static const uint64_t SAY_AGAIN_NS = 1000000000ull, LOOK_AGAIN_NS = 10000000ull;

struct room {
    struct connection **members;
    uint32_t size, next_speaker, under_way;
};

enum phase { IDLE, WARMING_UP, MEASURING, DRAINING };

static struct room *rooms;
static uint32_t room_count, next_room;
static enum phase phase;
static struct run run;
static uint64_t begins_at, ends_at, drained_by, next_due;

static struct {
    uint64_t said, acknowledged, delivered, not_said, refused, repeated, late;
    double cpu_s;
    struct histogram ack, delivery;
} counted;
static uint64_t acknowledged_ever, under_way_total, refused_looked_at;
static uint32_t refused_count; /* connections with something to say again */

static double cpu_s(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

void workload_start(void) {
    for (uint32_t i = 0; i < connection_count; i++)
        if (connections[i].room >= room_count) room_count = connections[i].room + 1;
    rooms = calloc(room_count, sizeof *rooms);
    for (uint32_t i = 0; i < connection_count; i++) {
        struct room *room = &rooms[connections[i].room];
        room->members = realloc(room->members, (room->size + 1) * sizeof *room->members);
        connections[i].member = room->size;
        room->members[room->size++] = &connections[i];
    }
    for (uint32_t i = 0; i < connection_count; i++)
        connections[i].heard_from = calloc(rooms[connections[i].room].size, sizeof(struct heard));
}

static bool is_measured(uint64_t said_at) { return said_at >= begins_at && said_at < ends_at; }

static uint32_t receivers_of(const struct room *room) {
    uint32_t receivers = 0;
    for (uint32_t i = 0; i < room->size; i++) receivers += room->members[i]->state != STALLED;
    return receivers;
}

static struct connection *next_speaker(struct room *room) {
    for (uint32_t tried = 0; tried < room->size; tried++) {
        struct connection *c = room->members[room->next_speaker++ % room->size];
        if (c->state == READY) return c;
    }
    return NULL;
}

static size_t write_message(struct connection *c, const struct slot *slot, uint8_t *out) {
    char tag[TAG_SIZE + 1], text[MESSAGE_MAX];
    write_tag(tag, c->index, slot->number, slot->said_at);
    size_t size = dialect->say(c, slot->number, tag, text);
    size_t header = frame_header(out, OP_TEXT, size, true);
    memcpy(out + header, text, size);
    return header + size;
}

static void say(struct room *room, uint64_t at) {
    static uint8_t out[BURST_MAX * (FRAME_HEADER_MAX + MESSAGE_MAX)];
    struct connection *c = next_speaker(room);
    size_t size = 0;
    uint32_t waits_for = receivers_of(room) + dialect->acknowledges;
    for (uint32_t i = 0; i < run.burst; i++) {
        struct slot *slot = c ? &c->slots[(c->said + 1) % SLOTS] : NULL;
        if (!slot || slot->waits_for) {
            counted.not_said += run.burst - i;
            break;
        }
        *slot = (struct slot){.number = ++c->said, .said_at = at, .waits_for = waits_for};
        size += write_message(c, slot, out + size);
        room->under_way++;
        under_way_total++;
        counted.said += phase == MEASURING;
    }
    if (size) write_bytes(c, out, size);
}

static void write_again(struct connection *c, bool only_refused) {
    refused_count -= c->says_again_at > 0;
    c->says_again_at = 0;
    uint8_t out[FRAME_HEADER_MAX + MESSAGE_MAX];
    for (int i = 0; i < SLOTS; i++) {
        struct slot *slot = &c->slots[i];
        if (!slot->waits_for || slot->is_acknowledged || (only_refused && !slot->is_refused)) continue;
        slot->is_refused = false;
        write_bytes(c, out, write_message(c, slot, out));
    }
}

void say_again(struct connection *c) { write_again(c, false); }

void refused(struct connection *c, uint32_t number) {
    struct slot *slot = &c->slots[number % SLOTS];
    if (slot->number != number || !slot->waits_for || slot->is_acknowledged) fail("%u was not asked", number);
    slot->is_refused = true;
    counted.refused++;
    refused_count += !c->says_again_at;
    c->says_again_at = now_ns() + SAY_AGAIN_NS;
}

static void say_refused_again(uint64_t now) {
    if (now < refused_looked_at + LOOK_AGAIN_NS) return;
    refused_looked_at = now;
    for (uint32_t i = 0; i < connection_count; i++) {
        struct connection *c = &connections[i];
        /* Whoever lost the connection meanwhile says it again on coming back. */
        if (c->says_again_at && c->says_again_at <= now && c->state == READY) write_again(c, true);
    }
}

static void fill_window(struct room *room, uint64_t now) {
    while (room->under_way + run.burst <= run.window) {
        uint32_t before = room->under_way;
        say(room, now);
        if (room->under_way == before) return;
    }
}

static void arrived(struct connection *sender, struct slot *slot) {
    if (--slot->waits_for) return;
    struct room *room = &rooms[sender->room];
    room->under_way--;
    under_way_total--;
    if (run.window && (phase == WARMING_UP || phase == MEASURING)) fill_window(room, now_ns());
}

static void took_note_of_answer(struct slot *slot, uint64_t now) {
    slot->is_acknowledged = true;
    acknowledged_ever++;
    counted.acknowledged += phase == MEASURING;
    if (is_measured(slot->said_at)) histogram_add(&counted.ack, now - slot->said_at);
}

void acknowledged(struct connection *c, uint32_t number) {
    struct slot *slot = &c->slots[number % SLOTS];
    if (slot->number != number || !slot->waits_for || slot->is_acknowledged) fail("%u was not asked", number);
    took_note_of_answer(slot, now_ns());
    arrived(c, slot);
}

void delivered(struct connection *c, const char *tag) {
    uint32_t index, number;
    uint64_t said_at, now = now_ns();
    if (!read_tag(tag, &index, &number, &said_at) || index >= connection_count || connections[index].room != c->room)
        fail("connection %u got what nobody in its room said", c->index);
    struct connection *sender = &connections[index];
    enum arrival arrival = heard_add(&c->heard_from[sender->member], number);
    counted.repeated += arrival == AGAIN;
    counted.late += arrival == LATE;
    if (arrival == AGAIN) return;
    c->heard++;
    c->order_hash = (c->order_hash ^ ((uint64_t)index << 32 | number)) * 0x9e3779b97f4a7c15ull;
    counted.delivered += phase == MEASURING;
    if (is_measured(said_at)) histogram_add(&counted.delivery, now - said_at);
    struct slot *slot = &sender->slots[number % SLOTS];
    if (slot->number != number || !slot->waits_for) return;
    if (!dialect->acknowledges && sender == c) took_note_of_answer(slot, now);
    arrived(sender, slot);
}

void noticed(const char *id) {
    printf("{\"event\":\"noticed\",\"id\":\"%.36s\",\"at_ns\":%llu}\n", id, (unsigned long long)now_ns());
    fflush(stdout);
}

void run_start(struct run wanted) {
    uint64_t now = now_ns();
    run = wanted;
    memset(&counted, 0, sizeof counted);
    begins_at = now + (uint64_t)(run.warm_up_s * 1e9);
    ends_at = begins_at + (uint64_t)(run.seconds * 1e9);
    next_due = now;
    phase = WARMING_UP;
    if (run.window)
        for (uint32_t i = 0; i < room_count; i++) fill_window(&rooms[i], now);
}

/* Rooms whose members have not all heard the same in the same order. */
static uint32_t rooms_that_differ(void) {
    uint32_t differing = 0;
    for (uint32_t i = 0; i < room_count; i++) {
        const struct connection *first = NULL;
        for (uint32_t j = 0; j < rooms[i].size; j++) {
            const struct connection *c = rooms[i].members[j];
            if (c->state == STALLED) continue;
            if (!first) first = c;
            if (c->heard != first->heard || c->order_hash != first->order_hash) {
                differing++;
                break;
            }
        }
    }
    return differing;
}

static uint64_t give_up_missing(void) {
    uint64_t missing = 0;
    for (uint32_t i = 0; i < connection_count; i++)
        for (int j = 0; j < SLOTS; j++) {
            missing += connections[i].slots[j].waits_for;
            connections[i].slots[j].waits_for = 0;
        }
    for (uint32_t i = 0; i < room_count; i++) rooms[i].under_way = 0;
    under_way_total = 0;
    return missing;
}

static void print_latencies(const char *name, const struct histogram *h) {
    printf(",\"%s\":{\"count\":%llu,\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"p999_ms\":%.4f}", name,
           (unsigned long long)h->total, histogram_at(h, 0.5) / 1e6, histogram_at(h, 0.99) / 1e6,
           histogram_at(h, 0.999) / 1e6);
}

static void print_result(void) {
    printf("{\"event\":\"result\",\"seconds\":%.6f,\"said\":%llu,\"acknowledged\":%llu,\"acknowledged_ever\":%llu,\"delivered\":%llu,"
           "\"not_said\":%llu,\"refused\":%llu,\"repeated\":%llu,\"late\":%llu,\"missing\":%llu,\"rooms_differing\":%u,"
           "\"client_cpu_s\":%.3f",
           (ends_at - begins_at) / 1e9, (unsigned long long)counted.said, (unsigned long long)counted.acknowledged,
           (unsigned long long)acknowledged_ever,
           (unsigned long long)counted.delivered, (unsigned long long)counted.not_said, (unsigned long long)counted.refused,
           (unsigned long long)counted.repeated, (unsigned long long)counted.late,
           (unsigned long long)give_up_missing(), rooms_that_differ(), counted.cpu_s);
    print_latencies("ack", &counted.ack);
    print_latencies("delivery", &counted.delivery);
    printf("}\n");
    fflush(stdout);
}

static void say_what_is_due(uint64_t now) {
    uint64_t every = (uint64_t)(1e9 * run.burst / run.messages_per_s);
    while (next_due <= now) {
        /* By the timetable's clock: a late client makes nothing look faster. */
        say(&rooms[next_room++ % room_count], next_due);
        next_due += every;
    }
}

static uint64_t drain_ns(void) { return (uint64_t)(run.drain_s * 1e9); }

static uint64_t advance(uint64_t now) {
    if (phase == WARMING_UP && now >= begins_at) {
        phase = MEASURING;
        counted.cpu_s = -cpu_s();
        printf("{\"event\":\"begin\"}\n");
        fflush(stdout);
    }
    if (phase == MEASURING && now >= ends_at) {
        phase = DRAINING;
        drained_by = now + drain_ns();
        counted.cpu_s += cpu_s();
        printf("{\"event\":\"end\"}\n");
        fflush(stdout);
    }
    if (phase == DRAINING && ready_count < connection_count) drained_by = now + drain_ns();
    if (phase == DRAINING && (!under_way_total || now >= drained_by)) {
        print_result();
        phase = IDLE;
    }
    if (phase == IDLE) return 0;
    if (phase == DRAINING) return drained_by;
    uint64_t next = phase == WARMING_UP ? begins_at : ends_at;
    if (run.window) return next;
    say_what_is_due(now);
    return next_due < next ? next_due : next;
}

uint64_t run_advance(uint64_t now) {
    uint64_t next = advance(now);
    if (!refused_count) return next;
    say_refused_again(now);
    uint64_t look = now + LOOK_AGAIN_NS;
    return next && next < look ? next : look;
}
