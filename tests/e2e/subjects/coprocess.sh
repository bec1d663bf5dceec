# A co-process, and process substitution in both directions.
coproc calculator { while read -r a b; do echo $((a * b)); done; }
for i in 3 5 7; do echo "$i $i" >&"${calculator[1]}"; read -r answer <&"${calculator[0]}"; echo "$i: $answer"; done
pid=$calculator_PID; eval "exec ${calculator[1]}>&-"
wait "$pid"; echo "co-process $pid gave $?"
diff <(printf 'a\nb\nc\n') <(printf 'a\nx\nc\n'); echo "diff gave $?"
paste <(seq 3) <(seq 4 6)
echo "teed" | tee >(cat > teed.txt) >/dev/null; while [ ! -s teed.txt ]; do sleep 0.01; done
cat teed.txt
ls <(true) | sed 's/[0-9]*$/N/'
mkfifo pipe.fifo; ( echo "through a fifo from $BASHPID" > pipe.fifo ) & cat pipe.fifo; wait
