# The sqlite3 shell: a database with a write-ahead log (shared memory between processes), two writers.
set -e
sqlite3 data.db 'PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, who, r);'
for who in a b; do
  for i in 1 2 3 4 5; do
    sqlite3 -cmd '.timeout 5000' data.db "INSERT INTO t(who, r) VALUES('$who$i', random());"
  done &
done
wait
sqlite3 data.db "SELECT id, who, r FROM t; SELECT count(*), datetime('now') FROM t;"
sqlite3 data.db 'WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n WHERE x < 20000) SELECT sum(x) FROM n;'
sqlite3 data.db 'PRAGMA integrity_check;'
ls
