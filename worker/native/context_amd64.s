#include "go_asm.h"
#include "textflag.h"

// Offsets in an instance (context.go).
#define hostSP 0
#define hostBP 8
#define guestSP 16
#define guestBX 24
#define guestBP 32
#define guestR12 40
#define guestR13 48
#define guestR14 56
#define guestR15 64
#define code 72
#define faultPC 96
#define faultAt 104
#define stop 128

// si_code of a signal by tgkill
#define byThread $-6

// func enter(i *instance)
// It goes on in the guest where that has left, and returns when it leaves again.
TEXT ·enter(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ i+0(FP), DI
	MOVQ SP, hostSP(DI)
	MOVQ BP, hostBP(DI)
	MOVQ guestBX(DI), BX
	MOVQ guestBP(DI), BP
	MOVQ guestR12(DI), R12
	MOVQ guestR13(DI), R13
	MOVQ guestR14(DI), R14
	MOVQ guestR15(DI), R15
	MOVQ guestSP(DI), SP
	RET

// leave is called by the guest with its instance in DI. Nothing is written to the guest's stack, which may be full.
TEXT ·leave(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ SP, guestSP(DI)
	MOVQ BX, guestBX(DI)
	MOVQ BP, guestBP(DI)
	MOVQ R12, guestR12(DI)
	MOVQ R13, guestR13(DI)
	MOVQ R14, guestR14(DI)
	MOVQ R15, guestR15(DI)
	MOVQ hostBP(DI), BP
	MOVQ hostSP(DI), SP
	RET

// begin is where a call of a guest begins: the wrapper is in R12, the function in R13, its stack in R14 and the instance in BX.
TEXT ·begin(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ R13, DI
	MOVQ BX, SI
	MOVQ R14, DX
	CALL R12
	MOVQ BX, DI
	MOVQ $0, code(DI)
	CALL ·leave(SB)
	INT $3

// faulted is the handler of SIGSEGV and SIGBUS: DI has the signal, SI what it tells of it, DX the context. A fault in a guest's text has the guest leave;
// all others are Go's.
TEXT ·faulted(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ 168(DX), R8 // rip
	CMPQ R8, ·textBegin(SB)
	JCS  notOurs
	CMPQ R8, ·textEnd(SB)
	JCC  notOurs
	MOVQ 160(DX), R9 // rsp, in the guest's stack, which is aligned; its last word is the instance
	ORQ  $(const_stackBytes-1), R9
	MOVQ -7(R9), AX
	CMPL 8(SI), byThread
	JEQ  stopping
	MOVQ R8, faultPC(AX)
	MOVQ 16(SI), R8 // si_addr
	MOVQ R8, faultAt(AX)
	MOVQ $3, code(AX)
	MOVQ AX, 104(DX) // rdi
	LEAQ ·leave(SB), R8
	MOVQ R8, 168(DX)
	RET

stopping: // no fault, but a signal of Stop's, which may be for another guest
	CMPQ stop(AX), $0
	JEQ  ignored
	MOVQ $5, code(AX)
	MOVQ AX, 104(DX) // rdi
	LEAQ ·leave(SB), R8
	MOVQ R8, 168(DX)

ignored:
	RET

notOurs:
	CMPQ DI, $7
	JEQ  bus
	MOVQ ·segvHandler(SB), AX
	JMP  AX

bus:
	CMPL 8(SI), byThread
	JEQ  ignored
	MOVQ ·busHandler(SB), AX
	JMP  AX

// restore ends the handling of a signal.
TEXT ·restore(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ $15, AX // rt_sigreturn
	SYSCALL
	INT $3

// func addresses() (leave, begin, faulted, restore uintptr)
TEXT ·addresses(SB), NOSPLIT, $0-32
	LEAQ ·leave(SB), AX
	MOVQ AX, leave+0(FP)
	LEAQ ·begin(SB), AX
	MOVQ AX, begin+8(FP)
	LEAQ ·faulted(SB), AX
	MOVQ AX, faulted+16(FP)
	LEAQ ·restore(SB), AX
	MOVQ AX, restore+24(FP)
	RET
