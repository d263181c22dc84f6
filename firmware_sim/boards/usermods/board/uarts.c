// The two UARTs: the console's input without busy waiting, and the network's bytes. Each holds one byte; the emulator waits with
// the next one, so none is ever lost.
#include "py/mphal.h"
#include "py/runtime.h"

#include "board.h"

typedef struct {
    volatile uint32_t data, state, ctrl, intstatus, bauddiv;
} uart_t;

#define CONSOLE ((uart_t *)0x40004000)
#define LINK ((uart_t *)0x40005000)
#define TX_FULL (1)
#define RX_FULL (2)
#define ENABLE (1 | 2 | 8) // send, receive, receive interrupt
#define RX_INTERRUPT (2)

static void uart_start(uart_t *uart) {
    uart->bauddiv = 16;
    uart->ctrl = ENABLE;
    // The emulator may have looked before, seen a UART that is off, and gone to sleep: reading makes it look again.
    (void)uart->data;
}

void uarts_init(void) {
    uart_start(CONSOLE);
    uart_start(LINK);
}

void uarts_clear(void) {
    CONSOLE->intstatus = RX_INTERRUPT;
    LINK->intstatus = RX_INTERRUPT;
}

bool uarts_any(void) {
    return ((CONSOLE->state | LINK->state) & RX_FULL) != 0;
}

int mp_hal_stdin_rx_chr(void) {
    while (!(CONSOLE->state & RX_FULL)) {
        // Bytes of the network wake it too; nobody reads them here.
        clock_idle(10000);
    }
    return CONSOLE->data & 0xff;
}

// ---- the network's bytes, for frozen/socket.py ----

// link_any(): whether there is a byte.
static mp_obj_t board_link_any(void) {
    return mp_obj_new_bool(LINK->state & RX_FULL);
}
MP_DEFINE_CONST_FUN_OBJ_0(board_link_any_obj, board_link_any);

// link_read(buffer, wait_ms): fill a buffer; return how many bytes came, fewer when none came for wait_ms.
static mp_obj_t board_link_read(mp_obj_t buffer_in, mp_obj_t wait_in) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(buffer_in, &buffer, MP_BUFFER_WRITE);
    uint64_t wait = (uint64_t)mp_obj_get_int(wait_in) * 1000 * TICKS_PER_US;
    uint8_t *out = buffer.buf;
    size_t count = 0;
    uint64_t until = clock_ticks() + wait;
    while (count < buffer.len) {
        if (LINK->state & RX_FULL) {
            out[count++] = LINK->data;
            until = clock_ticks() + wait;
        } else if (clock_ticks() >= until) {
            break;
        } else {
            mp_event_handle_nowait();
            clock_idle(1000);
        }
    }
    return mp_obj_new_int_from_uint(count);
}
MP_DEFINE_CONST_FUN_OBJ_2(board_link_read_obj, board_link_read);

// link_write(buffer)
static mp_obj_t board_link_write(mp_obj_t buffer_in) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(buffer_in, &buffer, MP_BUFFER_READ);
    const uint8_t *data = buffer.buf;
    for (size_t i = 0; i < buffer.len; i++) {
        while (LINK->state & TX_FULL) {
        }
        LINK->data = data[i];
    }
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_1(board_link_write_obj, board_link_write);
