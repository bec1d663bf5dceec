# Traps on signals, on errors and on exit; signals between shells.
trap 'echo "exit trap of $$, status $?"' EXIT
trap 'echo "user signal"; ((seen++))' USR1
trap 'echo "terminated"; exit 9' TERM
seen=0
kill -USR1 $$
( sleep 0.02; kill -USR1 $$ ) &
wait $! ; echo "wait gave $?"
wait; echo "seen $seen"
bash -c 'trap "echo child cleans up; exit 3" INT; kill -INT $$; echo not reached'
echo "child gave $?"
bash -c 'kill -KILL $$' ; echo "killed child gave $?"
trap '' HUP; kill -HUP $$; echo "ignored"
( trap 'echo error trap' ERR; false; true )
kill -TERM $$
sleep 1
echo "not reached"
