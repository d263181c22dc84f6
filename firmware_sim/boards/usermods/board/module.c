// The Python module `board`: what the frozen files and the bench's commands need of it.
#include "py/objarray.h"
#include "py/runtime.h"

#include "board.h"

static mp_obj_t ticks(void) {
    return mp_obj_new_int_from_ull(clock_ticks());
}
static MP_DEFINE_CONST_FUN_OBJ_0(ticks_obj, ticks);

// busy_ticks(): ticks that were not spent waiting. With the emulator's -icount they count instructions.
static mp_obj_t busy_ticks(void) {
    uint64_t now = clock_ticks();
    return mp_obj_new_int_from_ull(now - clock_idle_ticks());
}
static MP_DEFINE_CONST_FUN_OBJ_0(busy_ticks_obj, busy_ticks);

// mark(n): an address that a plugin of the emulator finds by its name.
mp_obj_t board_mark(mp_obj_t number) __attribute__((noinline));
mp_obj_t board_mark(mp_obj_t number) {
    __asm__ volatile ("nop");
    return number;
}
static MP_DEFINE_CONST_FUN_OBJ_1(mark_obj, board_mark);

static mp_obj_t phase(mp_obj_t number) {
    board_phase(mp_obj_get_int(number));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(phase_obj, phase);

static mp_obj_t leave(mp_obj_t code) {
    board_exit(mp_obj_get_int(code));
}
static MP_DEFINE_CONST_FUN_OBJ_1(exit_obj, leave);

static mp_obj_t medium(void) {
    return mp_obj_new_int_from_uint(CONTROL->medium);
}
static MP_DEFINE_CONST_FUN_OBJ_0(medium_obj, medium);

// key(): the device key, as from eFuses; None for a board without one.
static mp_obj_t key(void) {
    if (!CONTROL->has_key) {
        return mp_const_none;
    }
    return mp_obj_new_bytes((const byte *)CONTROL->device_key, sizeof(CONTROL->device_key));
}
static MP_DEFINE_CONST_FUN_OBJ_0(key_obj, key);

// counter(): the monotonic counter, None for a board without one; counter(n) raises it to n.
static mp_obj_t counter(size_t n_args, const mp_obj_t *args) {
    if (!CONTROL->has_counter) {
        return mp_const_none;
    }
    if (n_args == 1 && (uint32_t)mp_obj_get_int(args[0]) > CONTROL->counter) {
        CONTROL->counter = mp_obj_get_int(args[0]);
    }
    return mp_obj_new_int_from_uint(CONTROL->counter);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(counter_obj, 0, 1, counter);

// first_boot(): whether there is no littlefs yet; files_made() says that there is.
static mp_obj_t first_boot(void) {
    return mp_obj_new_bool(CONTROL->first_boot);
}
static MP_DEFINE_CONST_FUN_OBJ_0(first_boot_obj, first_boot);

static mp_obj_t files_made(void) {
    CONTROL->first_boot = 0;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(files_made_obj, files_made);

static mp_obj_t files_lost(void) {
    CONTROL->lost_files = 1;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(files_lost_obj, files_lost);

// window(): the memory through which files are passed, writable.
static mp_obj_t window(void) {
    return mp_obj_new_memoryview('B' | MP_OBJ_ARRAY_TYPECODE_FLAG_RW, WINDOW_BYTES, WINDOW);
}
static MP_DEFINE_CONST_FUN_OBJ_0(window_obj, window);

extern const mp_obj_type_t board_flash_type;
extern const mp_obj_fun_builtin_fixed_t board_link_any_obj, board_link_read_obj, board_link_write_obj;

#define CONSTANT(name) { MP_ROM_QSTR(MP_QSTR_##name), MP_ROM_INT(name) }

static const mp_rom_map_elem_t globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_board) },
    { MP_ROM_QSTR(MP_QSTR_Flash), MP_ROM_PTR(&board_flash_type) },
    CONSTANT(FLASH_BYTES),
    CONSTANT(RAW_BYTES),
    CONSTANT(MEDIUM_RAW),
    CONSTANT(PHASE_MOUNTED),
    CONSTANT(PHASE_AGENT),
    CONSTANT(PHASE_DIAL),
    CONSTANT(PHASE_CONNECTED),
    CONSTANT(PHASE_ACCEPTED),
    CONSTANT(PHASE_CONFIRMED),
    CONSTANT(PHASE_REPORT),
    CONSTANT(PHASE_ACKED),
    CONSTANT(PHASE_REFUSED),
    CONSTANT(PHASE_RESCUE),
    CONSTANT(PHASE_OPERATION),
    CONSTANT(PHASE_PROG),
    CONSTANT(PHASE_PROG_DONE),
    CONSTANT(PHASE_ERASE),
    CONSTANT(PHASE_ERASE_DONE),
    CONSTANT(PHASE_SYNC_DONE),
    { MP_ROM_QSTR(MP_QSTR_ticks), MP_ROM_PTR(&ticks_obj) },
    { MP_ROM_QSTR(MP_QSTR_busy_ticks), MP_ROM_PTR(&busy_ticks_obj) },
    { MP_ROM_QSTR(MP_QSTR_mark), MP_ROM_PTR(&mark_obj) },
    { MP_ROM_QSTR(MP_QSTR_phase), MP_ROM_PTR(&phase_obj) },
    { MP_ROM_QSTR(MP_QSTR_exit), MP_ROM_PTR(&exit_obj) },
    { MP_ROM_QSTR(MP_QSTR_medium), MP_ROM_PTR(&medium_obj) },
    { MP_ROM_QSTR(MP_QSTR_key), MP_ROM_PTR(&key_obj) },
    { MP_ROM_QSTR(MP_QSTR_counter), MP_ROM_PTR(&counter_obj) },
    { MP_ROM_QSTR(MP_QSTR_first_boot), MP_ROM_PTR(&first_boot_obj) },
    { MP_ROM_QSTR(MP_QSTR_files_made), MP_ROM_PTR(&files_made_obj) },
    { MP_ROM_QSTR(MP_QSTR_files_lost), MP_ROM_PTR(&files_lost_obj) },
    { MP_ROM_QSTR(MP_QSTR_window), MP_ROM_PTR(&window_obj) },
    { MP_ROM_QSTR(MP_QSTR_link_any), MP_ROM_PTR(&board_link_any_obj) },
    { MP_ROM_QSTR(MP_QSTR_link_read), MP_ROM_PTR(&board_link_read_obj) },
    { MP_ROM_QSTR(MP_QSTR_link_write), MP_ROM_PTR(&board_link_write_obj) },
};
static MP_DEFINE_CONST_DICT(globals, globals_table);

const mp_obj_module_t board_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&globals,
};
MP_REGISTER_MODULE(MP_QSTR_board, board_module);
