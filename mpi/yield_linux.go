package mpi

import "syscall"

// yieldProcessor lets other processes have the processor, if any want it.
func yieldProcessor() { _, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }
