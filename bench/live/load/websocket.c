#define _GNU_SOURCE
#include "websocket.h"

#include <stdio.h>
#include <string.h>

size_t frame_parse(uint8_t *data, size_t size, struct frame *frame) {
    if (size < 2) return 0;
    size_t at = 2;
    uint64_t length = data[1] & 0x7f;
    bool is_masked = data[1] & 0x80;
    if (length == 126) {
        if (size < 4) return 0;
        length = (uint64_t)data[2] << 8 | data[3];
        at = 4;
    } else if (length == 127) {
        if (size < 10) return 0;
        length = 0;
        for (int i = 2; i < 10; i++) length = length << 8 | data[i];
        at = 10;
    }
    uint8_t *mask = data + at;
    if (is_masked) at += 4;
    if (size < at || size - at < length) return 0;
    frame->opcode = data[0] & 0x0f;
    frame->is_final = data[0] & 0x80;
    frame->payload = data + at;
    frame->size = length;
    if (is_masked)
        for (size_t i = 0; i < length; i++) frame->payload[i] ^= mask[i & 3];
    return at + length;
}

size_t frame_header(uint8_t *out, enum opcode opcode, size_t size, bool is_masked) {
    size_t at = 2;
    out[0] = 0x80 | opcode;
    out[1] = is_masked ? 0x80 : 0;
    if (size < 126) {
        out[1] |= size;
    } else if (size < 65536) {
        out[1] |= 126;
        out[2] = size >> 8;
        out[3] = size & 0xff;
        at = 4;
    } else {
        out[1] |= 127;
        for (int i = 0; i < 8; i++) out[2 + i] = (uint64_t)size >> (56 - 8 * i) & 0xff;
        at = 10;
    }
    if (is_masked) {
        memset(out + at, 0, 4);
        at += 4;
    }
    return at;
}

size_t upgrade_request(char *out, size_t capacity, const char *path, int port, const char *subprotocol) {
    return snprintf(out, capacity,
                    "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                    "Origin: http://127.0.0.1:%d\r\n%s%s%s\r\n",
                    path, port, port, subprotocol ? "Sec-WebSocket-Protocol: " : "",
                    subprotocol ? subprotocol : "", subprotocol ? "\r\n" : "");
}

static uint32_t rotate(uint32_t x, int n) { return x << n | x >> (32 - n); }

/* SHA-1 of a message of at most 119 bytes, that is two blocks; handshakes need no more. */
static void sha1(const char *message, size_t size, uint8_t digest[20]) {
    uint8_t padded[128] = {0};
    size_t blocks = size < 56 ? 1 : 2;
    memcpy(padded, message, size);
    padded[size] = 0x80;
    for (int i = 0; i < 8; i++) padded[64 * blocks - 1 - i] = (uint64_t)size * 8 >> 8 * i & 0xff;
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    for (size_t block = 0; block < blocks; block++) {
        uint32_t w[80], v[5];
        for (int i = 0; i < 16; i++) {
            const uint8_t *p = padded + 64 * block + 4 * i;
            w[i] = (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
        }
        for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        memcpy(v, h, sizeof v);
        for (int i = 0; i < 80; i++) {
            uint32_t f, k;
            if (i < 20) f = (v[1] & v[2]) | (~v[1] & v[3]), k = 0x5a827999;
            else if (i < 40) f = v[1] ^ v[2] ^ v[3], k = 0x6ed9eba1;
            else if (i < 60) f = (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3]), k = 0x8f1bbcdc;
            else f = v[1] ^ v[2] ^ v[3], k = 0xca62c1d6;
            uint32_t next = rotate(v[0], 5) + f + v[4] + k + w[i];
            v[4] = v[3], v[3] = v[2], v[2] = rotate(v[1], 30), v[1] = v[0], v[0] = next;
        }
        for (int i = 0; i < 5; i++) h[i] += v[i];
    }
    for (int i = 0; i < 20; i++) digest[i] = h[i / 4] >> (24 - 8 * (i % 4)) & 0xff;
}

static void base64_of_20(const uint8_t digest[20], char out[29]) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t padded[21] = {0};
    memcpy(padded, digest, 20);
    for (int i = 0; i < 7; i++) {
        uint32_t three = (uint32_t)padded[3 * i] << 16 | padded[3 * i + 1] << 8 | padded[3 * i + 2];
        for (int j = 0; j < 4; j++) out[4 * i + j] = alphabet[three >> (18 - 6 * j) & 63];
    }
    out[27] = '=';
    out[28] = 0;
}

size_t upgrade_answer(char *out, size_t capacity, const char *request) {
    static const char header[] = "Sec-WebSocket-Key: ";
    const char *key = strcasestr(request, header);
    if (!key) return 0;
    key += sizeof header - 1;
    char text[120];
    int size = snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    uint8_t digest[20];
    char accept[29];
    sha1(text, size, digest);
    base64_of_20(digest, accept);
    return snprintf(out, capacity,
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Accept: %s\r\n\r\n",
                    accept);
}

char *find(const char *data, size_t size, const char *wanted) {
    return memmem(data, size, wanted, strlen(wanted));
}
