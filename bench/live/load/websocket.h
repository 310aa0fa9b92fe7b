/* RFC 6455 framing, both ends: requests, headers, masks. No sockets here. */
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum opcode { OP_CONTINUATION = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

enum { FRAME_HEADER_MAX = 14 };

struct frame {
    enum opcode opcode;
    bool is_final;
    uint8_t *payload;
    size_t size;
};

/* Find the first frame of `data` and unmask it in place; returns the bytes that it takes, 0 where more must come. */
size_t frame_parse(uint8_t *data, size_t size, struct frame *frame);

/* Write a header and return its size; a masked one ends with a mask of zeros, which leaves the payload as it is. */
size_t frame_header(uint8_t *out, enum opcode opcode, size_t size, bool is_masked);

/* The client's request; returns its size. `subprotocol` may be NULL. */
size_t upgrade_request(char *out, size_t capacity, const char *path, int port, const char *subprotocol);

/* The server's answer to a request, NUL-terminated; returns its size, 0 where the request has no key. */
size_t upgrade_answer(char *out, size_t capacity, const char *request);

/* The first bytes of `wanted` in `data`, or NULL. */
char *find(const char *data, size_t size, const char *wanted);

#endif
