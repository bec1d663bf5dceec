# Everything in one static binary: the shell and its applets.
echo "shell $$"
seq 1 500 | sort -rn | head -3
( echo sub; exit 3 ); echo "gave $?"
for i in 1 2 3; do ( usleep 2000; echo "background $i" ) & done; wait
find . -name '*.none' | wc -l
echo text | md5sum
dd if=/dev/urandom bs=16 count=1 2>/dev/null | hexdump -C
cat <<END | tr a-z A-Z
here document
END
date +%s
trap 'echo trapped' USR1; kill -USR1 $$
exit 11
