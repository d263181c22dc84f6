"""Mounts the littlefs that lies behind the raw partition. Only a board that says so has none yet: any other mount that fails is a
loss of data, said loudly and counted, and what is left of it stays as it is.
"""

import json

import board
import vfs

# Pages as large as those of rp2's flash.
_PAGE = 256


def _boot():
    def mount():
        vfs.mount(vfs.VfsLfs2(part, readsize=_PAGE, progsize=_PAGE), "/")

    part = board.Flash(board.RAW_BYTES, board.FLASH_BYTES - board.RAW_BYTES)
    if board.first_boot():
        vfs.VfsLfs2.mkfs(part, readsize=_PAGE, progsize=_PAGE)
        mount()
        board.files_made()
    else:
        try:
            mount()
        except OSError as error:
            board.files_lost()
            print(json.dumps({"event": "files-lost", "errno": error.args[0]}))
            return
    board.phase(board.PHASE_MOUNTED)


_boot()
del _boot
