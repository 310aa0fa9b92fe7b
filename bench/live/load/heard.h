/* Which of a sender's last messages one receiver has. */
#ifndef HEARD_H
#define HEARD_H

#include <stdbool.h>
#include <stdint.h>

enum arrival { IN_TURN, LATE, AGAIN };

struct heard {
    uint32_t last;
    uint64_t recent; /* bit 0 is `last`, bit 1 the one before, and so on */
};

static inline enum arrival heard_add(struct heard *heard, uint32_t number) {
    if (number > heard->last) {
        uint32_t steps = number - heard->last;
        heard->recent = (steps < 64 ? heard->recent << steps : 0) | 1;
        heard->last = number;
        return IN_TURN;
    }
    uint32_t back = heard->last - number;
    if (back >= 64 || heard->recent >> back & 1) return AGAIN;
    heard->recent |= 1ull << back;
    return LATE;
}

#endif
