# mps2-an385: Cortex-M3, no FPU. The figures are this one's.
QEMU_MACHINE = mps2-an385
CFLAGS += -mcpu=cortex-m3 -mfloat-abi=soft -DBOARD_PSRAM=0x21000000u
CFLAGS += -DMICROPY_HW_MCU_NAME='"Cortex-M3"'
MPY_CROSS_FLAGS += -march=armv7m
include $(BOARD_DIR)/../mps2/common.mk
