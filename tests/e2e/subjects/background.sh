# Background jobs, wait for one, for any, for all; job numbers and $!.
for i in 1 2 3 4; do
  ( sleep 0.0$i; echo "job $i pid $BASHPID"; exit $i ) &
  pids[i]=$!
done
for i in 3 1; do wait "${pids[i]}"; echo "waited for $i: $?"; done
wait -n; echo "any: $?"
wait; echo "all done"
sleep 30 & long=$!
kill $long; wait $long; echo "killed: $?"
set -m
( sleep 0.01; exit 6 ) & wait %1; echo "job control: $?"
( echo "detached $BASHPID" > out.txt ) & disown; while [ ! -s out.txt ]; do sleep 0.01; done
cat out.txt
