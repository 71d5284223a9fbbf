// What libc++ and libc++abi say before they abort.
#include <cstdarg>
#include <cstdio>

#include "abort_message.h"
#include "godwit_words.h"

void abort_message(const char* format, ...) {
  char text[400];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  godwit_die("%s", text);
}
