#!/usr/bin/env bash
# ./run fuzz [SECONDS] [TARGET...]: runs the fuzz targets (all, or those named) under libFuzzer with the address and
# undefined-behaviour sanitizers, each for SECONDS (60), one after the other. What is found lies in build-fuzz/found/.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=60
targets=()
for arg in "$@"; do
  case $arg in
  *[!0-9]*) targets+=("${arg#fuzz_}") ;;
  *) seconds=$arg ;;
  esac
done
known=$(sed -n "s/^  '\([a-z]*\)': \[.*/\1/p" tests/fuzz/meson.build)
[ ${#targets[@]} -gt 0 ] || mapfile -t targets <<<"$known"
for t in "${targets[@]}"; do
  grep -qx "$t" <<<"$known" || {
    echo "run: fuzz $t: no such target; there are: $(tr '\n' ' ' <<<"$known")" >&2
    exit 2
  }
done

if ! echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' |
  clang -x c - -fsanitize=fuzzer,address,undefined -o /dev/null 2>/dev/null; then
  echo "run: fuzzing needs clang with libFuzzer: apt-get install clang libclang-rt-dev" >&2
  exit 2
fi
[ -f build-fuzz/build.ninja ] ||
  CC=clang meson setup build-fuzz -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false \
    -Dc_args=-fsanitize=fuzzer-no-link >/dev/null
for t in "${targets[@]}"; do
  ninja --quiet -C build-fuzz "tests/fuzz/fuzz-$t" "tests/fuzz/libfuzzer-$t"
done
mkdir -p build-fuzz/found
status=0
for t in "${targets[@]}"; do
  corpus=build-fuzz/corpus/$t
  mkdir -p "$corpus"
  build-fuzz/tests/fuzz/fuzz-"$t" --write-seeds "$corpus"
  echo "run: fuzzing $t for $seconds s"
  build-fuzz/tests/fuzz/libfuzzer-"$t" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=4096 -max_len=8192 \
    -print_final_stats=1 -verbosity=1 -artifact_prefix="build-fuzz/found/$t-" "$corpus" \
    >"build-fuzz/$t.log" 2>&1 </dev/null || {
    status=1
    echo "run: $t failed; the input is in build-fuzz/found/, the report:" >&2
    grep -v '^#[0-9]' "build-fuzz/$t.log" | tail -60 >&2
  }
  grep -E '^stat::(number_of_executed_units|average_exec_per_sec|new_units_added)|^#[0-9]+.*DONE' "build-fuzz/$t.log" || true
done
exit $status
