"""The C library, by its compiled cffi module. Nobody else imports that module.

Each name here is a function of csrc/api.h without its prefix, where the contracts are. Objects
pass by address and keep their identity; handles are ints, 0 is none. The functions keep the GIL.
"""

from ._native_cffi import lib

init = lib.pc_init
thread_begin = lib.pc_thread_begin
thread_end = lib.pc_thread_end
thread_call = lib.pc_thread_call
thread_remaining = lib.pc_thread_remaining
current = lib.pc_current
prepare = lib.pc_prepare
switch = lib.pc_switch
throw = lib.pc_throw
adopt = lib.pc_adopt
abandon = lib.pc_abandon
is_running = lib.pc_is_running
is_suspended = lib.pc_is_suspended
frame = lib.pc_frame
context = lib.pc_context
set_context = lib.pc_set_context
copy_context = lib.pc_copy_context
stack_size_of = lib.pc_stack_size_of
stack_depth = lib.pc_stack_depth
count_stacks = lib.pc_count_stacks
count_in_use = lib.pc_count_in_use
count_warm = lib.pc_count_warm
count_trimmed = lib.pc_count_trimmed
count_bytes = lib.pc_count_bytes

REFUSED_OTHER_THREAD: int = lib.PC_REFUSED_OTHER_THREAD
REFUSED_DEAD: int = lib.PC_REFUSED_DEAD
REFUSED_NO_MEMORY: int = lib.PC_REFUSED_NO_MEMORY
REFUSED_NO_MAPPINGS: int = lib.PC_REFUSED_NO_MAPPINGS
REFUSED_SIZE: int = lib.PC_REFUSED_SIZE

STACK_LEAST: int = lib.pc_stack_least()
STACK_MOST: int = lib.pc_stack_most()
STACK_DEFAULT: int = lib.pc_stack_default()
