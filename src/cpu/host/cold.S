// Calls from the handlers of host code into their slow paths; see cpu/cold.S and code.h.
#include "cpu/thunk.inc"

	thunk	thunk_host_load, host_slow_load
	thunk	thunk_host_run_store, host_slow_run_store
	thunk	thunk_host_vec_store, host_slow_vec_store
	thunk	thunk_host_misaligned, host_slow_misaligned
	thunk	thunk_fpu_load, fpu_load

	.section .note.GNU-stack, "", @progbits
