# Makes $1/python, a copy of this system's Python that brings its own C library, and with it runs in other systems.
# "libraries" as $2 collects what the programs below $1 need, after something was installed there.
set -eu
folder=$1
libraries() {
  mkdir -p "$folder/lib"
  find "$folder" -type f \( -name '*.so' -o -name '*.so.*' -o -name 'python3.*' \) ! -path "$folder/lib/*" -exec ldd {} + 2>/dev/null |
    sed -nE 's#^[[:space:]].* => (/(usr/)?lib[^ ]*) .*#\1#p' | sort -u |
    while read -r library; do [ -e "$folder/lib/${library##*/}" ] || cp -L "$library" "$folder/lib/"; done
}
if [ "${2:-}" = libraries ]; then libraries; exit; fi
version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
mkdir -p "$folder/python/bin" "$folder/python/lib"
cp -L "/usr/bin/python$version" "$folder/python/bin/python$version"
ln -s "python$version" "$folder/python/bin/python3"
cp -r "/usr/lib/python$version" "$folder/python/lib/"
libraries
program=$folder/python/bin/python$version
loader=$(patchelf --print-interpreter "$program")
cp -L "$loader" "$folder/lib/"
patchelf --force-rpath --set-rpath "$folder/lib" "$program"
patchelf --set-interpreter "$folder/lib/${loader##*/}" "$program"
"$folder/python/bin/python3" -m venv "$folder/venv"
