// What mbedTLS asks of its platform: random numbers and the time of day.
#include "mbedtls/mbedtls_config_port.h"
#include "mbedtls/platform_time.h"
#include "mbedtls/platform_util.h"
// Of MicroPython 1.25's timeutils.h this must stand before it.
#include "py/obj.h"
#include "shared/timeutils/timeutils.h"

#include "board.h"

int mbedtls_hardware_poll(void *data, unsigned char *out, size_t length, size_t *made) {
    (void)data;
    random_bytes(out, length);
    *made = length;
    return 0;
}

time_t board_time(time_t *out) {
    time_t seconds = clock_unix_us() / 1000000;
    if (out) {
        *out = seconds;
    }
    return seconds;
}

mbedtls_ms_time_t mbedtls_ms_time(void) {
    return clock_unix_us() / 1000;
}

struct tm *mbedtls_platform_gmtime_r(const mbedtls_time_t *when, struct tm *out) {
    timeutils_struct_time_t made;
    int64_t since = (int64_t)*when - BOARD_EPOCH;
    timeutils_seconds_since_epoch_to_struct_time(since < 0 ? 0 : since, &made);
    out->tm_year = made.tm_year - 1900;
    out->tm_mon = made.tm_mon - 1;
    out->tm_mday = made.tm_mday;
    out->tm_hour = made.tm_hour;
    out->tm_min = made.tm_min;
    out->tm_sec = made.tm_sec;
    out->tm_wday = made.tm_wday;
    out->tm_yday = made.tm_yday - 1;
    return out;
}
