// board.Flash: NOR flash in the host's file, behind MicroPython's block-device protocol, with wear and a power fuse.
//
// Erasing sets a block's bytes to 0xFF, programming only clears bits. A step is one write of any length or one erased block, as in
// everpin_sim/device/mediums.py, so that a cut here and a cut there leave the same bytes.
#include <string.h>

#include "extmod/vfs.h"
#include "py/mperrno.h"
#include "py/runtime.h"

#include "board.h"

#define PAGE (256)

typedef struct {
    mp_obj_base_t base;
    uint32_t start, length;
} flash_t;

// Bits of one or the other, by a seeded xorshift: the same as everpin_sim/device/cutflash.py's.
static uint32_t mixed_start(uint32_t seed) {
    uint32_t state = seed * 2654435761u + 1;
    return state ? state : 1;
}

static uint8_t mixed(uint32_t *state, uint8_t low, uint8_t high) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    uint8_t mask = *state;
    return (low & mask) | (high & ~mask);
}

// How much of a step is done: all of it, unless the fuse says otherwise.
static uint32_t part(uint32_t kind, uint32_t length) {
    switch (kind) {
        case CUT_BEFORE:
            return 0;
        case CUT_FIRST:
            return 1;
        case CUT_HALF:
            return length / 2;
        case CUT_LAST:
            return length - 1;
        default:
            return length;
    }
}

static bool meets_cut(void) {
    return CONTROL->cut_step == CONTROL->steps + 1;
}

static void done(bool cut, bool erase) {
    if (cut) {
        CONTROL->cut_erase = erase;
        board_exit(EXIT_POWER_CUT);
    }
    CONTROL->steps++;
}

static void nor_program(uint32_t at, const uint8_t *data, uint32_t length) {
    bool cut = meets_cut();
    uint32_t kind = cut ? CONTROL->cut_kind : CUT_AFTER;
    uint32_t state = mixed_start(CONTROL->steps);
    uint32_t count = part(kind, length);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t held = FLASH[at + i];
        // A byte of 0xFF is one that is not programmed.
        if (data[i] != 0xff && (data[i] & ~held)) {
            CONTROL->bad_progs++;
        }
        FLASH[at + i] = held & (kind == CUT_RANDOM ? mixed(&state, data[i], 0xff) : data[i]);
    }
    CONTROL->prog_bytes += count;
    done(cut, false);
}

static void nor_erase(flash_t *self, uint32_t at) {
    bool cut = meets_cut();
    uint32_t kind = cut ? CONTROL->cut_kind : CUT_AFTER;
    CONTROL->erases++;
    CONTROL->wear[at / BLOCK_BYTES]++;
    if (kind == CUT_RANDOM) {
        for (uint32_t page = at; page < at + BLOCK_BYTES; page += PAGE) {
            uint32_t state = mixed_start(CONTROL->steps + (page - self->start) / PAGE);
            for (uint32_t i = 0; i < PAGE; i++) {
                FLASH[page + i] = mixed(&state, FLASH[page + i], 0xff);
            }
        }
    } else {
        memset((uint8_t *)FLASH + at, 0xff, part(kind, BLOCK_BYTES));
    }
    done(cut, true);
}

// ---- the type ----

static mp_obj_t flash_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 2, 2, false);
    flash_t *self = mp_obj_malloc(flash_t, type);
    self->start = mp_obj_get_int(args[0]);
    self->length = mp_obj_get_int(args[1]);
    if ((self->start | self->length) % BLOCK_BYTES || self->start > FLASH_BYTES || self->length > FLASH_BYTES - self->start) {
        mp_raise_ValueError(NULL);
    }
    return MP_OBJ_FROM_PTR(self);
}

// Return where a call's bytes lie: (self, block, buffer, offset inside the block).
static uint32_t place(size_t n_args, const mp_obj_t *args, uint32_t length) {
    flash_t *self = MP_OBJ_TO_PTR(args[0]);
    uint32_t block = mp_obj_get_int(args[1]);
    uint32_t inside = n_args == 4 ? mp_obj_get_int(args[3]) : 0;
    if (block >= self->length / BLOCK_BYTES || inside >= BLOCK_BYTES || length > self->length - block * BLOCK_BYTES - inside) {
        mp_raise_OSError(MP_EINVAL);
    }
    return self->start + block * BLOCK_BYTES + inside;
}

static mp_obj_t flash_readblocks(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(args[2], &buffer, MP_BUFFER_WRITE);
    memcpy(buffer.buf, (uint8_t *)FLASH + place(n_args, args, buffer.len), buffer.len);
    return MP_OBJ_NEW_SMALL_INT(0);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(flash_readblocks_obj, 3, 4, flash_readblocks);

static mp_obj_t flash_writeblocks(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(args[2], &buffer, MP_BUFFER_READ);
    uint32_t at = place(n_args, args, buffer.len);
    if (n_args == 3) {
        // Without an offset a write erases its blocks first.
        for (uint32_t inside = 0; inside < buffer.len; inside += BLOCK_BYTES) {
            nor_erase(MP_OBJ_TO_PTR(args[0]), at + inside);
        }
    }
    nor_program(at, buffer.buf, buffer.len);
    return MP_OBJ_NEW_SMALL_INT(0);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(flash_writeblocks_obj, 3, 4, flash_writeblocks);

static mp_obj_t flash_ioctl(mp_obj_t self_in, mp_obj_t op, mp_obj_t arg) {
    flash_t *self = MP_OBJ_TO_PTR(self_in);
    switch (mp_obj_get_int(op)) {
        case MP_BLOCKDEV_IOCTL_BLOCK_COUNT:
            return MP_OBJ_NEW_SMALL_INT(self->length / BLOCK_BYTES);
        case MP_BLOCKDEV_IOCTL_BLOCK_SIZE:
            return MP_OBJ_NEW_SMALL_INT(BLOCK_BYTES);
        case MP_BLOCKDEV_IOCTL_BLOCK_ERASE: {
            uint32_t block = mp_obj_get_int(arg);
            if (block >= self->length / BLOCK_BYTES) {
                return MP_OBJ_NEW_SMALL_INT(-MP_EINVAL);
            }
            nor_erase(self, self->start + block * BLOCK_BYTES);
            return MP_OBJ_NEW_SMALL_INT(0);
        }
        default:
            return MP_OBJ_NEW_SMALL_INT(0);
    }
}
static MP_DEFINE_CONST_FUN_OBJ_3(flash_ioctl_obj, flash_ioctl);

static const mp_rom_map_elem_t flash_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_readblocks), MP_ROM_PTR(&flash_readblocks_obj) },
    { MP_ROM_QSTR(MP_QSTR_writeblocks), MP_ROM_PTR(&flash_writeblocks_obj) },
    { MP_ROM_QSTR(MP_QSTR_ioctl), MP_ROM_PTR(&flash_ioctl_obj) },
};
static MP_DEFINE_CONST_DICT(flash_locals, flash_locals_table);

MP_DEFINE_CONST_OBJ_TYPE(
    board_flash_type, MP_QSTR_Flash, MP_TYPE_FLAG_NONE, make_new, flash_make_new, locals_dict, &flash_locals);
