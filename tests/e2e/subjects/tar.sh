# tar through gzip and back.
set -e
mkdir -p tree/a/b tree/c
for i in $(seq 1 200); do echo "file $i $(( i * i ))" > "tree/a/f$i"; done
seq 1 20000 > tree/a/b/numbers; ln -s ../a/f1 tree/c/link; ln tree/a/f2 tree/c/hard
tar -cf - tree | gzip -9 > tree.tar.gz
gzip -l tree.tar.gz
mkdir out && gzip -dc tree.tar.gz | tar -xf - -C out
diff -r tree out/tree && echo identical
tar -tzvf tree.tar.gz | head -5
