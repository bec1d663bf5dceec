"""sqlite3 in a file with a write-ahead log, from threads and from two processes."""
import os, sqlite3, threading

def connect():
    return sqlite3.connect("data.db", timeout=20, isolation_level=None)

db = connect()
db.execute("PRAGMA journal_mode=WAL")
db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, who INTEGER, r INTEGER)")

def inserts(who):
    own = connect()
    for _ in range(10):
        own.execute("INSERT INTO t(who, r) VALUES(?, random())", (who,))
    own.close()

threads = [threading.Thread(target=inserts, args=(n,)) for n in range(3)]
for t in threads: t.start()
for t in threads: t.join()
db.close()
pid = os.fork()
inserts(100 if pid == 0 else 200)
if pid == 0: os._exit(0)
os.waitpid(pid, 0)
db = connect()
print(db.execute("SELECT who, r FROM t ORDER BY id").fetchall())
print(db.execute("SELECT count(*), sum(r % 1000), datetime('now') FROM t").fetchone())
print(db.execute("PRAGMA integrity_check").fetchone(), sorted(os.listdir(".")))
