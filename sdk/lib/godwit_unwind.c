/*
 * The unwind area: where a frozen guest's call stack is kept inside its own memory.
 *
 * The host finds the area by the exported address of godwit_unwind_area. `start` and `capacity` are
 * read once, before any code of the guest runs, so a stray write of the guest cannot misplace the
 * buffer. `position` and `end` are what asyncify reads and advances; the host sets both. While no frame is in
 * it `position` is `start`, which tells a try whether a frozen rank is just going on (godwit_try.h).
 *
 * The buffer is zero-initialised, so it takes no room in the module, nor in the image of a rank
 * whose stack was shallow. A frozen stack that is deeper than it stands behind the memory meanwhile
 * (worker/wasm/unwinder.go).
 */
#include <stdint.h>

#ifndef GODWIT_UNWIND_BYTES
#define GODWIT_UNWIND_BYTES (4 * 1024 * 1024)
#endif

_Alignas(16) static unsigned char buffer[GODWIT_UNWIND_BYTES];

struct godwit_unwind_area {
  uint32_t position;
  uint32_t end;
  unsigned char *start;
  uint32_t capacity;
};

/* That this is there tells the host that the program can be frozen where it waits for its standard input, too. */
const char godwit_read_freezes = 1;

struct godwit_unwind_area godwit_unwind_area = {(uint32_t)buffer, 0, buffer, sizeof buffer};
