/* A message's name in every dialect, written as a UUID: who said it, as which of its messages, when. */
#include <stdio.h>

#include "load.h"

void write_tag(char *out, uint32_t sender, uint32_t number, uint64_t at) {
    char digits[33];
    snprintf(digits, sizeof digits, "%08x%08x%016llx", sender, number, (unsigned long long)at);
    snprintf(out, TAG_SIZE + 1, "%.8s-%.4s-%.4s-%.4s-%.12s", digits, digits + 8, digits + 12, digits + 16, digits + 20);
}

/* The next `digits` hexadecimal digits, passing over hyphens; NULL behind what is no tag. */
static const char *read_hex(const char *text, int digits, uint64_t *value) {
    for (*value = 0; text && digits; text++) {
        char digit = *text;
        if (digit == '-') continue;
        if (digit >= '0' && digit <= '9') *value = *value << 4 | (digit - '0');
        else if (digit >= 'a' && digit <= 'f') *value = *value << 4 | (digit - 'a' + 10);
        else return NULL;
        digits--;
    }
    return text;
}

bool read_tag(const char *tag, uint32_t *sender, uint32_t *number, uint64_t *said_at) {
    uint64_t first, second;
    const char *end = read_hex(read_hex(read_hex(tag, 8, &first), 8, &second), 16, said_at);
    *sender = first;
    *number = second;
    return end;
}
