// What std::terminate does where the program has not said otherwise: it tells of the exception, and ends the program.
#include <cstdlib>
#include <exception>
#include <typeinfo>

#include "cxa_exception.h"
#include "cxa_handlers.h"
#include "cxxabi.h"
#include "godwit_words.h"
#include "private_typeinfo.h"

using namespace __cxxabiv1;

extern "C" _Unwind_Exception* godwit_raised;  // godwit_raise.cpp

// The exception that the program ends by: the one that it handles, or that is on its way. None: nullptr.
static _Unwind_Exception* last_exception() {
  __cxa_eh_globals* globals = __cxa_get_globals_fast();
  if (globals && globals->caughtExceptions) return reinterpret_cast<_Unwind_Exception*>(globals->caughtExceptions + 1) - 1;
  return globals && globals->uncaughtExceptions ? godwit_raised : nullptr;
}

[[noreturn]] static void tell() {
  _Unwind_Exception* exception = last_exception();
  if (!exception) godwit_die("std::terminate was called, without an exception");
  __cxa_exception* header = reinterpret_cast<__cxa_exception*>(exception + 1) - 1;
  void* object = exception + 1;
  if (__getExceptionClass(exception) == kOurDependentExceptionClass) object = reinterpret_cast<__cxa_dependent_exception*>(header)->primaryException;
  const __shim_type_info* thrown = static_cast<const __shim_type_info*>(header->exceptionType);
  int status;
  char* readable = __cxa_demangle(thrown->name(), nullptr, nullptr, &status);
  const char* name = readable ? readable : thrown->name();
  if (static_cast<const __shim_type_info*>(&typeid(std::exception))->can_catch(thrown, object))
    godwit_die("uncaught exception of type %s: %s", name, static_cast<const std::exception*>(object)->what());
  godwit_die("uncaught exception of type %s", name);
}

std::terminate_handler __cxa_terminate_handler = tell;
std::unexpected_handler __cxa_unexpected_handler = std::terminate;
std::new_handler __cxa_new_handler = nullptr;

template <typename Handler>
static Handler exchange(Handler& place, Handler next) {
  Handler before = place;
  place = next;
  return before;
}

namespace std {
unexpected_handler set_unexpected(unexpected_handler handler) noexcept { return exchange(__cxa_unexpected_handler, handler ? handler : std::terminate); }
terminate_handler set_terminate(terminate_handler handler) noexcept { return exchange(__cxa_terminate_handler, handler ? handler : tell); }
new_handler set_new_handler(new_handler handler) noexcept { return exchange(__cxa_new_handler, handler); }
}  // namespace std
