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

set(CMAKE_AR "${GODWIT_SDK}/bin/wasm32-wasi-ar" CACHE FILEPATH "Archiver")
set(CMAKE_RANLIB "${GODWIT_SDK}/bin/wasm32-wasi-ranlib" CACHE FILEPATH "Archive indexer")
set(CMAKE_NM "${GODWIT_SDK}/bin/wasm32-wasi-nm" CACHE FILEPATH "Symbol lister")
set(CMAKE_STRIP "${GODWIT_SDK}/bin/wasm32-wasi-strip" CACHE FILEPATH "Symbol stripper")

# What is found is for guests: the SDK's, and what is below CMAKE_PREFIX_PATH (by -D or the environment) or -DCMAKE_FIND_ROOT_PATH=DIR, where the guest's own libraries are.
string(REPLACE ":" ";" GODWIT_PREFIXES "$ENV{CMAKE_PREFIX_PATH}")
set(CMAKE_FIND_ROOT_PATH "${GODWIT_SDK}" ${CMAKE_FIND_ROOT_PATH})
foreach(GODWIT_PREFIX ${CMAKE_PREFIX_PATH} ${GODWIT_PREFIXES})
  get_filename_component(GODWIT_PREFIX "${GODWIT_PREFIX}" ABSOLUTE BASE_DIR "${CMAKE_BINARY_DIR}")
  list(APPEND CMAKE_FIND_ROOT_PATH "${GODWIT_PREFIX}")
endforeach()
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

set(CMAKE_CROSSCOMPILING_EMULATOR "${GODWIT_SDK}/bin/mpiexec;-q;-n;1")
set(MPI_HOME "${GODWIT_SDK}")
set(MPIEXEC_EXECUTABLE "${GODWIT_SDK}/bin/mpiexec" CACHE FILEPATH "Runs MPI programs")
