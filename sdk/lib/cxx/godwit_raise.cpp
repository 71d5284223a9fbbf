// The part of the unwinder that libc++abi asks for, by asyncify (godwit_try.h), and what clang's code calls at a handler.
//
// An exception unwinds to the innermost try, whichever types that takes: the code there asks which of its handlers does, and raises it
// again if none does. So the destructors on the way have run when nobody catches it.
#include <cstdint>
#include <cstdlib>

#include "cxa_exception.h"
#include "private_typeinfo.h"

using namespace __cxxabiv1;

extern "C" {

extern uint32_t godwit_try_depth;
void godwit_throw(uint32_t what, uint32_t with);
void setTempRet0(uint32_t second);

// What is on its way, or was last.
_Unwind_Exception* godwit_raised;

// It returns if there is no try on the stack, and libc++abi calls std::terminate.
_Unwind_Reason_Code _Unwind_RaiseException(_Unwind_Exception* exception) {
  godwit_raised = exception;
  if (godwit_try_depth == 0) return _URC_END_OF_STACK;
  godwit_throw(1, 0);
  return _URC_FATAL_PHASE1_ERROR;
}

void _Unwind_DeleteException(_Unwind_Exception* exception) {
  if (exception->exception_cleanup) exception->exception_cleanup(_URC_FOREIGN_EXCEPTION_CAUGHT, exception);
}

// The end of a cleanup, and of a try that does not take what was thrown.
void __resumeException(_Unwind_Exception* exception) {
  _Unwind_RaiseException(exception);
  __cxa_begin_catch(exception);
  std::terminate();
}

static void* thrown_object(_Unwind_Exception* exception) {
  if (__getExceptionClass(exception) == kOurDependentExceptionClass)
    return (reinterpret_cast<__cxa_dependent_exception*>(exception + 1) - 1)->primaryException;
  return exception + 1;
}

// Which of the types takes the exception: the first result is the exception, the second the type, or that none does. No type is any.
_Unwind_Exception* godwit_match(const __shim_type_info* const* types, int count) {
  __cxa_exception* header = reinterpret_cast<__cxa_exception*>(godwit_raised + 1) - 1;
  const __shim_type_info* thrown = static_cast<const __shim_type_info*>(header->exceptionType);
  for (int i = 0; i < count; i++) {
    void* adjusted = thrown_object(godwit_raised);
    if (types[i] == nullptr || types[i]->can_catch(thrown, adjusted)) {
      header->adjustedPtr = adjusted;
      setTempRet0(reinterpret_cast<uint32_t>(types[i]));
      return godwit_raised;
    }
  }
  header->adjustedPtr = thrown_object(godwit_raised);
  setTempRet0(UINT32_MAX);
  return godwit_raised;
}

uint32_t llvm_eh_typeid_for(const void* type) { return reinterpret_cast<uint32_t>(type); }

// An exception that a dynamic specification does not allow.
void __cxa_call_unexpected(void* exception) {
  __cxa_begin_catch(exception);
  std::terminate();
}

// Named by every function with handlers, and called by nobody.
void __gxx_personality_v0(void) { abort(); }
}
