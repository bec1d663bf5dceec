# A C project built by four jobs at once, then run, then found up to date.
set -e
cp -r "$1"/. .
make -j4
./app
make -j4
cat *.c | gcc -E -xc - | wc -l
