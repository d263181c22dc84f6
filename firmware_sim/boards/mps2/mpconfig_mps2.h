// What these boards have beside the stock configuration of MicroPython's ports/qemu.
#include "mpconfigport.h"

#undef MICROPY_PY_SELECT
#undef MICROPY_PY_TIME
#undef MICROPY_PY_ASYNCIO
#define MICROPY_PY_SELECT (1)
#define MICROPY_PY_TIME (1)
#define MICROPY_PY_ASYNCIO (1)

// As on the ESP32, time is counted from 2000.
#define MICROPY_EPOCH_IS_1970 (0)
#define BOARD_EPOCH (946684800)
#define MICROPY_PY_TIME_GMTIME_LOCALTIME_MKTIME (1)
#define MICROPY_PY_TIME_TIME_TIME_NS (1)
#define MICROPY_PY_TIME_INCLUDEFILE "modtime_mps2.h"
#define MICROPY_PY_OS_INCLUDEFILE "modos_mps2.h"
#define MICROPY_PY_OS_URANDOM (1)

// mbedTLS allocates from the heap, and gives back what a socket that was forgotten held.
#define MICROPY_TRACKED_ALLOC (1)
#define MICROPY_PY_SSL_FINALISER (1)
#define MICROPY_ENABLE_FINALISER (1)
#define MICROPY_PY_HASHLIB_SHA1 (1)
#define MICROPY_PY_CRYPTOLIB (1)
#define MICROPY_PY_CRYPTOLIB_CTR (1)

#define MICROPY_STACK_CHECK_MARGIN (1024)

// Waiting ends with the next byte of a UART.
#define MICROPY_INTERNAL_WFE(timeout_ms) clock_idle((uint32_t)(timeout_ms) < 1000 ? (uint32_t)(timeout_ms) * 1000 : 1000000)
extern void clock_idle(uint32_t us);
