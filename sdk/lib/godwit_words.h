/* What a program says last: the reason of its end, for its verdict. */
#ifndef GODWIT_WORDS_H
#define GODWIT_WORDS_H

#ifdef __cplusplus
extern "C" {
#endif

/* godwit_die writes a sentence to the standard error, leaves it for the verdict, and aborts: a handler of SIGABRT runs. It takes what printf takes. */
__attribute__((noreturn, format(printf, 1, 2))) void godwit_die(const char *format, ...);


/* godwit_end leaves a sentence for the verdict, and ends the program, whatever handlers it has. */
__attribute__((noreturn)) void godwit_end(const char *words);

#ifdef __cplusplus
}
#endif

#endif /* GODWIT_WORDS_H */
