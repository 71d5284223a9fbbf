/* All of the glue, as one object: it is linked into every guest, before the guest's own objects. What nobody calls is left out. */
#define _GNU_SOURCE
#include "godwit_memory.c"
#include "godwit_path.c"
#include "godwit_start.c"
#include "godwit_unwind.c"
#include "godwit_words.c"
#include "godwit_files.c"
#include "godwit_math.c"
#include "godwit_null.c"
#include "godwit_omp.c"
#include "godwit_signal.c"
#include "godwit_system.c"
#include "godwit_thread.c"
