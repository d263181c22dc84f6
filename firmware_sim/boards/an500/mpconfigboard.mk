# mps2-an500: Cortex-M7 with a double-precision FPU.
QEMU_MACHINE = mps2-an500
CFLAGS += -mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-d16 -DBOARD_PSRAM=0x60000000u
CFLAGS += -DMICROPY_HW_MCU_NAME='"Cortex-M7"'
MPY_CROSS_FLAGS += -march=armv7emdp
include $(BOARD_DIR)/../mps2/common.mk
