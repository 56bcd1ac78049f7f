#!/bin/sh
# run.sh LIMIT PACIFICA IMAGE [disk|sata|reset] [OPTION...]: passes if the image ends by the debug port with "passed" (10h)
# with every engine.
# disk: the image is also the machine's IDE disk. sata: a copy of it is that of an AHCI controller. reset: a reset starts it again.
limit=$1 pacifica=$2 image=$3
shift 3
if [ "$1" = disk ]; then
  shift
  set -- -drive "file=$image,format=raw,if=ide,snapshot=on" "$@"
fi
if [ "$1" = sata ]; then
  shift
  copy=$(mktemp)
  trap 'rm -f "$copy"' EXIT
  cp "$image" "$copy"
  set -- -drive "file=$copy,format=raw,if=none,id=disk" -device ahci,id=sata -device ide-hd,drive=disk,bus=sata.0 "$@"
fi
reset=-no-reboot
if [ "$1" = reset ]; then
  shift
  reset=
fi
exec 3>&1
# Without the translator, with it, and with all code translated at once.
for accel in interp jit jit,hot=1; do
  errors=$({ timeout -k 5 20 "$pacifica" -cpu max -m 64 -kernel "$image" -nodefaults -display none -serial stdio $reset \
    -limit "$limit" -device isa-debug-exit,iobase=0xf4,iosize=0x4 -accel "$accel" "$@"; } 2>&1 >&3)
  status=$?
  [ -n "$errors" ] && echo "$errors"
  # A host with less memory than the machine is to have cannot show this: 77 says that the test was skipped.
  case "$status $errors" in
  "33 "*) continue ;;
  "2 "*"the host has "*) exit 77 ;;
  esac
  echo "$image with -accel $accel: exit status $status, 33 was expected"
  exit 1
done
