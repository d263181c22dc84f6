// The control page: what the bench tells the board, and what the board tells the bench.
//
// One host file is the board's PSRAM: the NOR flash at its beginning, a window to pass files through, and this page. The board
// reads and writes it as memory, the bench as a mapped file, while the board runs. everpin_sim/targets/control.py reads this header
// and makes its own view of it: plain numbers in #define, then one structure of fields whose size is written here.
#pragma once
#include <stdint.h>

#define FLASH_BYTES 1048576 // the NOR flash, from the beginning of the file
#define BLOCK_BYTES 4096 // what is erased at once
#define RAW_BYTES 163840 // the flash's beginning: a raw partition for the device's region; a littlefs has the rest
#define WINDOW_OFFSET 1048576 // where files are passed between bench and board
#define WINDOW_BYTES 1048576
#define CONTROL_OFFSET 16711680
#define FILE_BYTES 16777216

#define CONTROL_MAGIC 1129337413 // "EvPC"

// Exit codes of the emulator. 0 is a reset that the firmware asked for.
#define EXIT_POWER_CUT 66 // the fuse, or the phase that the bench waits for
#define EXIT_FAULT 67 // a fault of the processor, or no control page
#define EXIT_ENDED 68 // the agent ended: its traceback is on the console

// `mode`: what the board does once its filesystem is mounted.
#define MODE_PROMPT 0 // MicroPython's prompt, for commands of the bench
#define MODE_AGENT 1 // the agent, for ever

// `medium`: what the device's region lies on.
#define MEDIUM_FILES 0 // a file for each sector, on the littlefs
#define MEDIUM_RAW 1 // the raw partition

// `cut_kind`: how much of the step that meets the cut is done, as in everpin_sim/device/cutflash.py.
#define CUT_BEFORE 0
#define CUT_FIRST 1 // its first byte
#define CUT_HALF 2
#define CUT_LAST 3 // all but the last byte
#define CUT_RANDOM 4 // some bits of all bytes, by the number of the step
#define CUT_AFTER 5

// `phase`: what the board is at. Flash steps add the record's kind (1 to 7, everpin/core/record.py), 0 where it is none.
#define PHASE_BOOT 1
#define PHASE_MOUNTED 2
#define PHASE_AGENT 3
#define PHASE_DIAL 4 // TCP connect
#define PHASE_CONNECTED 5 // the pinned MQTT session is up
#define PHASE_ACCEPTED 6
#define PHASE_CONFIRMED 7
#define PHASE_REPORT 8
#define PHASE_ACKED 9
#define PHASE_REFUSED 10
#define PHASE_RESCUE 11
#define PHASE_OPERATION 12 // an operation of a sweep's path is done
#define PHASE_PROG 32
#define PHASE_PROG_DONE 48
#define PHASE_ERASE 64
#define PHASE_ERASE_DONE 80
#define PHASE_SYNC_DONE 96

typedef struct {
    uint32_t magic; // CONTROL_MAGIC
    // ---- set by the bench before the power comes on ----
    uint32_t mode;
    uint32_t medium;
    uint32_t ram_bytes; // RAM that there is: data, stack and heap together; 0 for what the firmware was built with
    uint32_t has_key; // 1: device_key is the board's; 0: it has none
    uint32_t has_counter; // 1: the board has a monotonic counter
    uint32_t first_boot; // 1: there is no littlefs yet; the board makes one and sets this to 0
    uint32_t cut_step; // the power goes in this step of the flash, counted from 1 at power-on; 0: never
    uint32_t cut_kind;
    uint32_t cut_phase; // the power goes when this phase is reached for the cut_times-th time; 0: never
    uint32_t cut_times;
    uint8_t seed[64]; // of the random numbers; as unpredictable as the bench likes
    uint8_t device_key[32];
    // ---- set by the bench at any time ----
    uint32_t clock_set; // changes when the bench has set the clock
    uint32_t clock_known; // 0: the clock was never set
    uint32_t clock_low; // Unix seconds, 64 bits, at the moment when clock_set changed
    uint32_t clock_high;
    // ---- set by the board ----
    uint32_t boots;
    uint32_t phase;
    uint32_t steps; // flash steps since power-on: one for each write, one for each erased block
    uint32_t prog_bytes; // over the part's life, as all below
    uint32_t erases;
    uint32_t bad_progs; // bytes whose programming would have to set bits: a mistake of whoever wrote them
    uint32_t lost_files; // 1: a littlefs was there and could not be mounted
    uint32_t counter; // the monotonic counter
    uint32_t cut_erase; // 1: the step that met the cut was an erase
    uint32_t heap_peak; // bytes in use at most, when the collector was done
    uint32_t stack_peak; // bytes
    uint16_t wear[256]; // erases of each block
} control_t;
