// Time: a timer that counts the emulator's time, a calendar that the bench sets, and waiting without burning the host's CPU.
#include "py/mphal.h"
#include "py/runtime.h"

#include "board.h"

typedef struct {
    volatile uint32_t ctrl, value, reload, intstatus;
} timer_t;

#define TIMER0 ((timer_t *)0x40000000)
#define TIMER1 ((timer_t *)0x40001000)
#define TIMER_ENABLE (1)
#define TIMER_INTERRUPT (8)
#define NVIC_ENABLE (*(volatile uint32_t *)0xE000E100)
#define NVIC_CLEAR (*(volatile uint32_t *)0xE000E280)
// UART0 receive, UART1 receive, timer 1: what ends a wait.
#define WAKE ((1u << 0) | (1u << 2) | (1u << 9))

#define IDLE_MAX_US (1000000)

static uint32_t last, wraps;
static uint64_t idle;
// Unix time at tick 0, and which setting of the bench it comes from.
static int64_t epoch_us;
static uint32_t set;

void clock_init(void) {
    // No interrupt is ever taken: a pending one ends a wait even so, and needs no handler.
    __asm__ volatile ("cpsid i");
    NVIC_ENABLE = WAKE;
    TIMER0->reload = TIMER0->value = 0xffffffff;
    TIMER0->ctrl = TIMER_ENABLE;
}

uint64_t clock_ticks(void) {
    uint32_t now = ~TIMER0->value;
    wraps += now < last;
    last = now;
    return (uint64_t)wraps << 32 | now;
}

uint64_t clock_idle_ticks(void) {
    return idle;
}

int64_t clock_unix_us(void) {
    int64_t now = clock_ticks() / TICKS_PER_US;
    if (set != CONTROL->clock_set) {
        set = CONTROL->clock_set;
        int64_t seconds = (int64_t)((uint64_t)CONTROL->clock_high << 32 | CONTROL->clock_low);
        epoch_us = seconds * 1000000 - now;
    }
    // A board whose clock was never set counts from the epoch of its firmware.
    int64_t start = CONTROL->clock_known ? epoch_us : BOARD_EPOCH * 1000000LL;
    return start + now;
}

void clock_idle(uint32_t us) {
    uint64_t start = clock_ticks();
    // This sets the value as well.
    TIMER1->reload = (us < IDLE_MAX_US ? us : IDLE_MAX_US) * TICKS_PER_US;
    TIMER1->ctrl = TIMER_ENABLE | TIMER_INTERRUPT;
    // First the interrupts of bytes that were read, then a look: a byte that comes after it is pending, and ends the wait.
    uarts_clear();
    NVIC_CLEAR = WAKE;
    if (!uarts_any()) {
        __asm__ volatile ("wfi" ::: "memory");
    }
    TIMER1->ctrl = 0;
    TIMER1->intstatus = 1;
    idle += clock_ticks() - start;
}

// Wait until then, or until a UART has a byte; return whether there was something to wait for.
static bool idle_until(uint64_t end) {
    uint64_t now = clock_ticks();
    if (now >= end) {
        return false;
    }
    uint64_t us = (end - now) / TICKS_PER_US + 1;
    clock_idle(us < IDLE_MAX_US ? us : IDLE_MAX_US);
    return true;
}

// ---- what MicroPython asks for ----

mp_uint_t mp_hal_ticks_ms(void) {
    return clock_ticks() / (TICKS_PER_US * 1000);
}

mp_uint_t mp_hal_ticks_us(void) {
    return clock_ticks() / TICKS_PER_US;
}

mp_uint_t mp_hal_ticks_cpu(void) {
    return clock_ticks();
}

uint64_t mp_hal_time_ns(void) {
    int64_t since = clock_unix_us() - BOARD_EPOCH * 1000000LL;
    return since < 0 ? 0 : since * 1000;
}

void mp_hal_delay_us(mp_uint_t us) {
    uint64_t end = clock_ticks() + (uint64_t)us * TICKS_PER_US;
    while (idle_until(end)) {
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    uint64_t end = clock_ticks() + (uint64_t)ms * TICKS_PER_US * 1000;
    do {
        mp_handle_pending(true);
    } while (idle_until(end));
}
