// Included by MicroPython's extmod/modtime.c.
#include "shared/timeutils/timeutils.h"

int64_t clock_unix_us(void);

// Seconds of this firmware's epoch; negative where the bench has set a clock before it.
static int64_t seconds(void) {
    return clock_unix_us() / 1000000 - BOARD_EPOCH;
}

static mp_obj_t mp_time_localtime_get(void) {
    timeutils_struct_time_t made;
    timeutils_seconds_since_epoch_to_struct_time(seconds() < 0 ? 0 : seconds(), &made);
    mp_obj_t parts[8] = {
        mp_obj_new_int(made.tm_year), mp_obj_new_int(made.tm_mon), mp_obj_new_int(made.tm_mday),
        mp_obj_new_int(made.tm_hour), mp_obj_new_int(made.tm_min), mp_obj_new_int(made.tm_sec),
        mp_obj_new_int(made.tm_wday), mp_obj_new_int(made.tm_yday),
    };
    return mp_obj_new_tuple(8, parts);
}

static mp_obj_t mp_time_time_get(void) {
    return mp_obj_new_int_from_ll(seconds());
}
