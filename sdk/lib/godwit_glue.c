/* All of the glue, as one object: it is linked into every guest, before the guest's own objects. */
#include "godwit_memory.c"
#include "godwit_path.c"
#include "godwit_start.c"
#include "godwit_system.c"
#include "godwit_unwind.c"
