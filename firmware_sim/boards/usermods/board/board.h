// The emulated board, for its own C files: flash and control page as memory, clock, random numbers, the second UART.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "control.h"

#define FLASH ((volatile uint8_t *)BOARD_PSRAM)
#define WINDOW ((uint8_t *)BOARD_PSRAM + WINDOW_OFFSET)
#define CONTROL ((volatile control_t *)(BOARD_PSRAM + CONTROL_OFFSET))

#define TICKS_PER_US 25

void board_exit(uint32_t code) __attribute__((noreturn));
void board_phase(uint32_t phase);

void clock_init(void);
// 25 MHz since power-on, of the emulator's time; asked at least every 171 seconds, as each wait does.
uint64_t clock_ticks(void);
// Those of them that were spent waiting.
uint64_t clock_idle_ticks(void);
int64_t clock_unix_us(void);
// Wait until a UART has a byte, or until the time is over.
void clock_idle(uint32_t us);

void random_init(void);
void random_bytes(void *out, size_t length);

// Let the UARTs end a wait; forget what they said; whether one has a byte.
void uarts_init(void);
void uarts_clear(void);
bool uarts_any(void);
