# Both machines of the MPS2 family share this port layer; a board's own file says which processor it has and where its PSRAM lies.
# Built by everpin_sim/build_mcu.py inside MicroPython's ports/qemu.
QEMU_ARCH = arm
CFLAGS += -mthumb -DQEMU_SOC_MPS2
CFLAGS += -DMP_CONFIGFILE='"mpconfig_mps2.h"' -I$(BOARD_DIR)/../mps2

# The least RAM is a setting of the control page; this is what a firmware takes when the bench says nothing.
RAM_BYTES ?= 524288
STACK_BYTES ?= 16384
LDSCRIPT = $(BOARD_DIR)/../mps2/mps2.ld
LDFLAGS += -Wl,--defsym=__ram_bytes=$(RAM_BYTES) -Wl,--defsym=__stack_bytes=$(STACK_BYTES)

SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o

# What usermods/board defines itself is renamed in the port's files; the linker drops it there.
$(BUILD)/main.o: CFLAGS += -Dmain=port_main -Dgc_collect=port_gc_collect
$(BUILD)/mphalport.o: CFLAGS += -Dmp_hal_stdin_rx_chr=port_stdin_rx_chr
$(BUILD)/mcu/arm/errorhandler.o: CFLAGS += -DHardFault_Handler=port_HardFault_Handler

MICROPY_VFS_LFS2 = 1
MICROPY_PY_SSL = 1
MICROPY_SSL_MBEDTLS = 1
# The port's extra warnings are for its own code.
$(BUILD)/lib/mbedtls/%.o: CFLAGS += -Wno-error -Wno-double-promotion -Wno-float-conversion

SRC_THIRDPARTY_C += shared/timeutils/timeutils.c
