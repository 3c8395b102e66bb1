#!/bin/sh
# What is to be asked of a GPU, in about eight minutes: the tier of tests that is marked so, then throughput.
#
#     make gpu                                    # sets everything up first
#     PYTHON=python3 benchmarks/gpu.sh            # with a Python that has torch for the GPU, and needs nothing installed
#     WHEELS=folder PYTHON=... benchmarks/gpu.sh  # where no network is: installs what is missing from wheels in a folder
#     REPDISTILLER=checkout ...                   # measures that loop, too (HobbitLong/RepDistiller)
#
# Results are text files in $OUT, ./gpu-results by default. SECONDS_OF_TESTS and STEPS fit it to less time.
set -u
cd "$(dirname "$0")/.." || exit
PYTHON=${PYTHON:-python3}
OUT=${OUT:-gpu-results}
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

if [ -n "${WHEELS:-}" ]; then
    site=$(mktemp -d)
    "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" "$WHEELS"/*.whl || exit
    PYTHONPATH="$PYTHONPATH:$site"
fi

"$PYTHON" - <<'END' | tee "$OUT/machine.txt"
import os, platform, torch
import limbeck
if not torch.cuda.is_available():
    raise SystemExit("torch finds no GPU here: run this on a machine with one")
print("limbeck", limbeck.__version__, "torch", torch.__version__, "python", platform.python_version())
print(torch.cuda.get_device_name(), "of", torch.cuda.device_count(), "and", os.cpu_count(), "cores")
END
[ -s "$OUT/machine.txt" ] && grep -q cores "$OUT/machine.txt" || { echo "nothing was measured"; exit 1; }

# The tier. -x would hide what else is wrong: such a machine is seldom at hand.
# pytest-benchmark, where it is installed, warns beside xdist, which is an error here.
timeout "${SECONDS_OF_TESTS:-270}" "$PYTHON" -m pytest -q -p no:cacheprovider -p no:benchmark -m gpu --durations=15 \
    tests/gpu tests/test_device.py tests/models/test_forward.py tests/evaluation/test_energy.py \
    tests/objectives/test_momentum_memory.py > "$OUT/tests.txt" 2>&1
tests=$?
tail -n 40 "$OUT/tests.txt"

throughput() {
    "$PYTHON" benchmarks/throughput.py --device cuda --loaders "${LOADERS:-8}" --steps "${STEPS:-150}" "$@" \
        ${REPDISTILLER:+--repdistiller "$REPDISTILLER"} 2>&1
}
throughput --rounds 3 --only b c d e f g --pair resnet32x4 resnet8x4 --pair resnet56 resnet20 | tee "$OUT/one.txt"
throughput --rounds 1 --only b c e f --beside 4 --pair resnet32x4 resnet8x4 --pair resnet56 resnet20 |
    tee "$OUT/side-by-side.txt"
# Whether compiling pays, and CUDA graphs beside; last, as it may take its time.
for how in false true graphs; do
    timeout "${SECONDS_OF_COMPILING:-150}" "$PYTHON" benchmarks/throughput.py --device cuda --steps "${STEPS:-150}" \
        --rounds 1 --only b d e --pair resnet56 resnet20 $([ $how = false ] || echo --compile $how) 2>&1
done | tee "$OUT/compiled.txt"
exit $tests
