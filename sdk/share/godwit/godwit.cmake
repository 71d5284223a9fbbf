# CMake toolchain file: builds for Godwit's guests.
#   cmake -DCMAKE_TOOLCHAIN_FILE=DIR/share/godwit/godwit.cmake ...
# find_package(MPI) finds MPI with it, and tests and try_run() run on the cluster in GODWIT_ADDR, or on one of their own.
set(CMAKE_SYSTEM_NAME WASI)
set(CMAKE_SYSTEM_VERSION 1)
set(CMAKE_SYSTEM_PROCESSOR wasm32)
list(APPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}/cmake")

get_filename_component(GODWIT_SDK "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
set(CMAKE_C_COMPILER "${GODWIT_SDK}/bin/mpicc")
set(CMAKE_CXX_COMPILER "${GODWIT_SDK}/bin/mpicxx")

# Not the machine's own ar, if there is a choice; the link also takes archives that ar has made.
find_program(GODWIT_AR NAMES llvm-ar llvm-ar-19 llvm-ar-18 llvm-ar-17 llvm-ar-16 llvm-ar-15 llvm-ar-14 ar)
find_program(GODWIT_RANLIB NAMES llvm-ranlib llvm-ranlib-19 llvm-ranlib-18 llvm-ranlib-17 llvm-ranlib-16 llvm-ranlib-15 llvm-ranlib-14 ranlib)
mark_as_advanced(GODWIT_AR GODWIT_RANLIB)
set(CMAKE_AR "${GODWIT_AR}" CACHE FILEPATH "Archiver")
set(CMAKE_RANLIB "${GODWIT_RANLIB}" CACHE FILEPATH "Archive indexer")

set(CMAKE_FIND_ROOT_PATH "${GODWIT_SDK}" ${CMAKE_FIND_ROOT_PATH})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

set(CMAKE_CROSSCOMPILING_EMULATOR "${GODWIT_SDK}/bin/mpiexec;-q;-n;1")
set(MPI_HOME "${GODWIT_SDK}")
set(MPIEXEC_EXECUTABLE "${GODWIT_SDK}/bin/mpiexec" CACHE FILEPATH "Runs MPI programs")
