// Random numbers from the bench's seed: the same in each run for the same seed and number of boots, and unpredictable for who does not
// know the seed. SHA-256 over seed, boots and a count: no block comes twice.
#include <string.h>

#include "mbedtls/sha256.h"

#include "board.h"

static struct {
    uint8_t seed[sizeof(CONTROL->seed)];
    uint32_t boots;
    uint32_t count;
} input;

void random_init(void) {
    memcpy(input.seed, (const uint8_t *)CONTROL->seed, sizeof(input.seed));
    input.boots = CONTROL->boots;
}

void random_bytes(void *out, size_t length) {
    uint8_t block[32];
    for (size_t at = 0; at < length; at += sizeof(block)) {
        mbedtls_sha256((const uint8_t *)&input, sizeof(input), block, 0);
        input.count++;
        size_t left = length - at;
        memcpy((uint8_t *)out + at, block, left < sizeof(block) ? left : sizeof(block));
    }
}
