/* Latencies in nanoseconds, counted in buckets less than 1 % wide. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>
#include <string.h>

enum { SUB_BITS = 7, SUB_BUCKETS = 1 << SUB_BITS, BUCKETS = (64 - SUB_BITS) * SUB_BUCKETS };

struct histogram {
    uint64_t total;
    uint64_t counts[BUCKETS];
};

static inline void histogram_clear(struct histogram *h) { memset(h, 0, sizeof *h); }

static inline void histogram_add(struct histogram *h, uint64_t value) {
    if (value < SUB_BUCKETS) {
        h->counts[value]++;
    } else {
        int shift = 63 - __builtin_clzll(value) - SUB_BITS;
        /* The leading bit is the bucket's; what follows it is the place in it. */
        h->counts[(shift + 1) * SUB_BUCKETS + (value >> shift) - SUB_BUCKETS]++;
    }
    h->total++;
}

/* The lower edge of the bucket in which the given share of the values is reached. */
static inline uint64_t histogram_at(const struct histogram *h, double share) {
    uint64_t wanted = (uint64_t)(share * h->total), seen = 0;
    for (int i = 0; i < BUCKETS; i++) {
        seen += h->counts[i];
        if (seen > wanted || (seen && seen == h->total)) {
            int group = i / SUB_BUCKETS, place = i % SUB_BUCKETS;
            return group == 0 ? (uint64_t)place : (uint64_t)(place + SUB_BUCKETS) << (group - 1);
        }
    }
    return 0;
}

#endif
