// A TLS 1.2 client: MicroPython's common configuration for bare metal, which has ECDHE, AES-GCM and no PSK; and ChaCha20-Poly1305,
// which is cheaper here than AES without hardware.
#ifndef MICROPY_INCLUDED_MBEDTLS_CONFIG_H
#define MICROPY_INCLUDED_MBEDTLS_CONFIG_H

#include <time.h>

time_t board_time(time_t *out);
#define MBEDTLS_PLATFORM_TIME_MACRO board_time
#define MBEDTLS_PLATFORM_MS_TIME_ALT
#define MBEDTLS_PLATFORM_GMTIME_R_ALT
#define MICROPY_MBEDTLS_CONFIG_BARE_METAL (1)

// Reduction modulo P-256 by the prime's shape, as MicroPython's boards have it.
#define MBEDTLS_ECP_NIST_OPTIM
#define MBEDTLS_CHACHA20_C
#define MBEDTLS_POLY1305_C
#define MBEDTLS_CHACHAPOLY_C
#define MBEDTLS_CIPHER_MODE_CTR // cryptolib's mode 6

#include "extmod/mbedtls/mbedtls_config_common.h"

#endif
