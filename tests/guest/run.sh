#!/bin/sh
# run.sh LIMIT PACIFICA IMAGE [OPTION...]: passes if the image ends by the debug port with "passed" (10h).
limit=$1 pacifica=$2 image=$3
shift 3
"$pacifica" -cpu max -m 64 -kernel "$image" -nodefaults -display none -serial stdio -no-reboot -limit "$limit" \
  -device isa-debug-exit,iobase=0xf4,iosize=0x4 "$@"
status=$?
[ $status = 33 ] && exit 0
echo "$image: exit status $status, 33 was expected"
exit 1
