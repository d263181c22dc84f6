// Included by MicroPython's extmod/modos.c.
void random_bytes(void *out, size_t length);

static mp_obj_t mp_os_urandom(mp_obj_t length) {
    vstr_t made;
    vstr_init_len(&made, mp_obj_get_int(length));
    random_bytes(made.buf, made.len);
    return mp_obj_new_bytes_from_vstr(&made);
}
static MP_DEFINE_CONST_FUN_OBJ_1(mp_os_urandom_obj, mp_os_urandom);
