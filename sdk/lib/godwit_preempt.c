/*
 * --preemptible: each loop of the program looks whether the rank is to stop, and comes here if it is (sdk/preempt.go). The host writes the word,
 * which is exported, and clears it when the rank has stopped or need not any more.
 */
#include <godwit.h>
#include <stdint.h>

volatile uint32_t godwit_preempt_wanted;

void godwit_preempt(void) { godwit_migration_point(); }
