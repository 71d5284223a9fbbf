/*
 * Streams that are read from one end to the other are read in large pieces. The C library reads 1 KiB at a time, and a rank on another host than its files waits for each. A stream that is only read, by a
 * buffer of the library's own, takes twice as much as the last time, up to 32 KiB, until the program jumps.
 */
#include <errno.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>

enum { LARGE = 32 << 10, PUSHED = 8 /* of a buffer, what setvbuf keeps for ungetc */ };

/* reader is a stream that is read: what its buffer has, and what the next piece is to have. */
struct reader {
  struct reader *next;
  FILE *f;
  size_t size, wanted;
  char *buf; /* null: the library's */
};
static struct reader *readers;

static struct reader **reader_of(FILE *f) {
  struct reader **r = &readers;
  while (*r && (*r)->f != f) r = &(*r)->next;
  return r;
}

int __real_setvbuf(FILE *f, char *buf, int how, size_t size); /* the other one says what is wrong with a null pointer, and takes all of printf with it */
/* Nothing calls this, and the linker leaves it out. But that takes out of an archive what has a plain reference alone, and calls for any other whatever function comes first. */
int godwit_names_setvbuf(FILE *f);
int godwit_names_setvbuf(FILE *f) { return setvbuf(f, NULL, _IOFBF, 0); }

static void more(FILE *f) {
  struct reader *r = *reader_of(f);
  if (!r) {
    if (f == stdin || __fwritable(f) || __fbufsize(f) != BUFSIZ || !(r = calloc(1, sizeof *r))) return;
    *r = (struct reader){readers, f, BUFSIZ, BUFSIZ, 0};
    readers = r;
  }
  if (__fbufsize(f) != r->size) return; /* the program has given it another */
  if (r->wanted != r->size && (r->buf || (r->buf = malloc(LARGE + PUSHED)))) {
    __fpurge(f); /* all of the other one has been read, and what is put back at the end of the file is put into this one */
    __real_setvbuf(f, r->buf, _IOFBF, r->wanted + PUSHED);
    r->size = __fbufsize(f);
  }
  if (r->wanted < LARGE) r->wanted *= 2;
}

/* __stdio_read fills the buffer of a FILE. As elsewhere, what was printed on a line that has not ended is out before the program waits for standard input: it may be a question. */
size_t __real___stdio_read(FILE *f, unsigned char *to, size_t size);
size_t __wrap___stdio_read(FILE *f, unsigned char *to, size_t size) {
  if (f == stdin && __flbf(stdout)) fflush(stdout);
  int before = errno;
  more(f);
  errno = before;
  return __real___stdio_read(f, to, size);
}

off_t __real___stdio_seek(FILE *f, off_t by, int from);
off_t __wrap___stdio_seek(FILE *f, off_t by, int from) {
  struct reader *r = *reader_of(f);
  if (r && (by != 0 || from != SEEK_CUR)) r->wanted = BUFSIZ; /* by 0 is ftell's */
  return __real___stdio_seek(f, by, from);
}

int __real___stdio_close(FILE *f);
int __wrap___stdio_close(FILE *f) {
  struct reader **at = reader_of(f), *r = *at;
  int failed = __real___stdio_close(f);
  if (r) {
    *at = r->next;
    free(r->buf);
    free(r);
  }
  return failed;
}
