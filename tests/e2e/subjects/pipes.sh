# Pipelines, their statuses, redirections, and output to both streams.
seq 1 2000 | grep 7 | sort -rn | head -20 | awk '{ s += $1; print } END { print "sum", s }'
yes pipeline | head -1000 | md5sum
false | true
echo "statuses: ${PIPESTATUS[*]}"
set -o pipefail
sh -c 'exit 3' | cat
echo "pipefail: $?"
echo "to error $$" >&2
{ echo one; echo two >&2; } 2>&1 | tr a-z A-Z
for i in 1 2 3; do echo "$i $RANDOM $BASHPID"; done | cat -n
exec 5> five.txt; echo "by descriptor five" >&5; exec 5>&-; cat < five.txt
od -An -N8 -tx1 /dev/urandom
date +%s.%N
exit 5
