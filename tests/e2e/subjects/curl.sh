# curl against a server that is outside the session.
set -e
curl -s "$1/greeting"
curl -s -o large.bin "$1/large" && wc -c < large.bin && md5sum < large.bin
curl -s -w '%{http_code} %{local_port} %{time_total}\n' -o /dev/null "$1/missing"
curl -s -d 'posted data' "$1/echo"
for i in 1 2 3; do curl -s "$1/unique" & done; wait
curl -s --max-time 2 http://127.0.0.1:1/ || echo "nobody there: $?"
