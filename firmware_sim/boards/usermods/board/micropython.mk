BOARD_MOD := $(USERMOD_DIR)
SRC_USERMOD_C += $(addprefix $(BOARD_MOD)/, clock.c flash.c main.c module.c uarts.c)
# These include mbedTLS, whose headers the search for interned strings does not see.
SRC_USERMOD_LIB_C += $(addprefix $(BOARD_MOD)/, random.c tls_platform.c)
CFLAGS_USERMOD += -I$(BOARD_MOD)
