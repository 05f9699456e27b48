#!/bin/sh
# Lays out in a folder what the image holds: the program, the libraries that it is linked with, the certificates of the
# public authorities, and names for two users. No shell, no package manager, nothing else.
# usage: pack.sh PROGRAM FOLDER
set -eu
program="$1" folder="$2"

install -D -m 0755 "$program" "$folder/sluice"
libraries="$(ldd "$program")"
case "$libraries" in
*"not found"*)
  echo "pack.sh: a library of $program is not on this machine:" >&2
  echo "$libraries" >&2
  exit 1
  ;;
esac
# `libc.so.6 => /lib/libc.so.6 (0x1)` and `/lib64/ld.so.2 (0x1)`; what has no path is mapped by the kernel.
echo "$libraries" | sed -n -e 's|.*=> \(/[^ ]*\) .*|\1|p' -e 's|^[[:space:]]*\(/[^ ]*\) .*|\1|p' |
  while read -r library; do
    install -D -m 0755 "$library" "$folder$library"
  done
install -D -m 0644 /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/ca-certificates.crt"
printf '%s\n' 'root:x:0:0:root:/:/sbin/nologin' 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin' > "$folder/etc/passwd"
printf '%s\n' 'root:x:0:' 'nonroot:x:65532:' > "$folder/etc/group"
chmod 0644 "$folder/etc/passwd" "$folder/etc/group"
