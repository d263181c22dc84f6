// From reset to Python: takes the place of the port's own main, which has a heap of a fixed size and no filesystem.
#include "py/cstack.h"
#include "py/gc.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "shared/runtime/gchelper.h"
#include "shared/runtime/pyexec.h"

#include "board.h"

#define RAM_START (0x20000000)
#define PAINT (0xa5a5a5a5)

// By the linker script: the stack lies at the beginning of RAM, so that the heap's end is the RAM's, whatever size the bench asks for.
extern uint32_t _sstack, _estack, _ebss, __ram_bytes;

// Leave the emulator: ARM semihosting, SYS_EXIT_EXTENDED with ADP_Stopped_ApplicationExit.
void board_exit(uint32_t code) {
    uint32_t block[2] = { 0x20026, code };
    register uint32_t r0 __asm__("r0") = 0x20;
    register uint32_t *r1 __asm__("r1") = block;
    __asm__ volatile ("bkpt 0xAB" : "+r" (r0) : "r" (r1) : "memory");
    for (;;) {
    }
}

void board_phase(uint32_t phase) {
    CONTROL->phase = phase;
    if (CONTROL->cut_phase == phase && CONTROL->cut_times && --CONTROL->cut_times == 0) {
        board_exit(EXIT_POWER_CUT);
    }
}

// Every fault ends here, for no other handler is enabled: a board that hangs would look like one that waits. The stack may be what
// is broken.
__attribute__((naked)) void HardFault_Handler(void) {
    __asm__ volatile (
        "ldr r0, =_estack\n"
        "mov sp, r0\n"
        "mov r0, %0\n"
        "b board_exit\n" : : "i" (EXIT_FAULT));
}

static uint32_t stack_used(void) {
    uint32_t *at = &_sstack;
    while (at < &_estack && *at == PAINT) {
        at++;
    }
    return (uint8_t *)&_estack - (uint8_t *)at;
}

void gc_collect(void) {
    gc_collect_start();
    gc_helper_collect_regs_and_stack();
    gc_collect_end();
    gc_info_t info;
    gc_info(&info);
    if (info.used > CONTROL->heap_peak) {
        CONTROL->heap_peak = info.used;
    }
    CONTROL->stack_peak = stack_used();
}

static void start(void) {
    #if defined(__ARM_FP)
    // CPACR: the port's startup leaves the FPU off.
    *(volatile uint32_t *)0xE000ED88 |= 0xf << 20;
    __asm__ volatile ("dsb\nisb" ::: "memory");
    #endif
    for (uint32_t *at = &_sstack; (uintptr_t)at < (uintptr_t)__builtin_frame_address(0) - 64; at++) {
        *at = PAINT;
    }
    clock_init();
    uarts_init();
    if (CONTROL->magic != CONTROL_MAGIC) {
        mp_printf(&mp_plat_print, "no control page\n");
        board_exit(EXIT_FAULT);
    }
    CONTROL->boots++;
    CONTROL->steps = 0;
    CONTROL->heap_peak = 0;
    random_init();
    board_phase(PHASE_BOOT);
}

int main(int argc, char **argv) {
    start();
    uint32_t ram = CONTROL->ram_bytes ? CONTROL->ram_bytes : (uint32_t)&__ram_bytes;
    for (;;) {
        mp_cstack_init_with_top(&_estack, (uint8_t *)&_estack - (uint8_t *)&_sstack);
        gc_init(&_ebss, (void *)(RAM_START + ram));
        mp_init();
        pyexec_frozen_module("_boot.py", false);
        if (CONTROL->mode == MODE_AGENT) {
            pyexec_frozen_module("_agent.py", false);
            board_exit(EXIT_ENDED);
        }
        while ((pyexec_mode_kind == PYEXEC_MODE_RAW_REPL ? pyexec_raw_repl() : pyexec_friendly_repl()) == 0) {
        }
        mp_printf(&mp_plat_print, "MPY: soft reboot\n");
        gc_sweep_all();
        mp_deinit();
    }
}
