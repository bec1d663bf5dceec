#!/bin/sh
# A session of about a million events, for measuring `airr judge`: shells, Python, and walks over files.
#
#   airr record --policy observe -o million.cap -- bench/judge_session.sh [ROUNDS]
#   airr judge million.cap --policy developer
#   AIRR_BENCH_TRACE=million.cap build/bench/policy_bench --benchmark_filter=BM_Judge
#
# Works in a temporary directory, which it removes. A round is about 76,000 events.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for round in $(seq "${1:-13}"); do
  find /usr/share/doc /usr/lib/python3 /usr/include -size +1000k > large
  for name in a b c d e f g h; do
    echo "$round" > "$name"
    mv "$name" "$name.txt"
    cat "$name.txt" large | sort | uniq | wc -l > "$name.count"
    rm "$name.txt" "$name.count"
  done
  /usr/bin/python3 - <<'EOF'
import json, os, pathlib, subprocess, sys
for number in range(500):
    path = pathlib.Path(f"file{number}.json")
    path.write_text(json.dumps({"number": number}))
    assert json.loads(path.read_text())["number"] == number
    path.unlink()
for directory, _, names in os.walk("/usr/lib/python3.11" if os.path.exists("/usr/lib/python3.11") else sys.prefix):
    for name in names[:3]:
        os.stat(os.path.join(directory, name))
subprocess.run(["/bin/sh", "-c", "ls -l /etc > listing; grep -c root listing"], stdout=subprocess.DEVNULL)
EOF
done
