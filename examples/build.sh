#!/bin/sh
# Rebuilds every guest that is committed as a module.
#   examples/build.sh GODWIT OUTDIR
# GODWIT is a godwit binary, or anything else that takes "cc" and a compiler's arguments. OUTDIR gets
# examples/<name>/<name>.wasm, worker/wasm/testdata/<name>.wasm, jepsen/testdata/<name>.wasm and mpi/conformance/conformance.wasm; `.` from the
# root of the repository rebuilds them in place. The same tools give the same bytes.
set -eu
if [ $# -ne 2 ]; then
  echo "usage: examples/build.sh GODWIT OUTDIR" >&2
  exit 2
fi
godwit=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
case $godwit in
  */*) godwit=$(cd "$(dirname "$godwit")" && pwd)/$(basename "$godwit") ;;
esac

cd "$root"
for source in examples/*/*.c; do
  name=$(basename "$source" .c)
  mkdir -p "$out/examples/$name"
  "$godwit" cc -Wall -Wextra -Werror "$source" -o "$out/examples/$name/$name.wasm"
  chmod 644 "$out/examples/$name/$name.wasm"
done
for dir in worker/wasm/testdata jepsen/testdata; do
  mkdir -p "$out/$dir"
  for source in "$dir"/src/*.c; do
    name=$(basename "$source" .c)
    "$godwit" cc -Wall -Wextra -Werror "$source" -o "$out/$dir/$name.wasm"
    chmod 644 "$out/$dir/$name.wasm"
  done
  for source in "$dir"/src/*.cpp; do
    [ -e "$source" ] && [ -z "${NO_CXX:-}" ] || continue
    name=$(basename "$source" .cpp)
    "$godwit" c++ -std=c++17 -Wall -Wextra -Werror "$source" -o "$out/$dir/$name.wasm"
    chmod 644 "$out/$dir/$name.wasm"
  done
done
# The conformance programs are one guest.
mkdir -p "$out/mpi/conformance"
"$godwit" cc -Wall -Wextra -Werror mpi/conformance/*.c -o "$out/mpi/conformance/conformance.wasm"
chmod 644 "$out/mpi/conformance/conformance.wasm"
# A guest whose stack soon outgrows its unwind area.
"$godwit" cc -Wall -Wextra -Werror -DGODWIT_UNWIND_BYTES=4096 worker/wasm/testdata/src/deep.c \
  -o "$out/worker/wasm/testdata/shallow.wasm"
chmod 644 "$out/worker/wasm/testdata/shallow.wasm"
# Guests that can be stopped in their loops.
for name in worker/wasm/testdata/src/loops jepsen/testdata/src/computes; do
  wasm=$out/$(dirname "$(dirname "$name")")/$(basename "$name").wasm
  "$godwit" cc --preemptible -Wall -Wextra -Werror "$name.c" -o "$wasm"
  chmod 644 "$wasm"
done
# The second of two programs that run in one app.
"$godwit" cc -Wall -Wextra -Werror -DSECOND jepsen/testdata/src/coupled.c -o "$out/jepsen/testdata/coupled2.wasm"
chmod 644 "$out/jepsen/testdata/coupled2.wasm"
# A program without wasm-opt: what a foreign toolchain gives, hence not migratable.
clang-19 --target=wasm32-wasi -O2 -Isdk/include -Wl,--strip-all \
  worker/wasm/testdata/src/output.c -o "$out/worker/wasm/testdata/noasync.wasm"
chmod 644 "$out/worker/wasm/testdata/noasync.wasm"
