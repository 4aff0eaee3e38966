#!/usr/bin/env bash
# Sends a message with a file, follows it, and reads the conversation page by page.
#
# Works as it stands while `cargo local` runs; API, CONVERSATION and TOKEN name another system. Needs curl 7.76.
set -euo pipefail

API=${API:-http://127.0.0.1:3000}
CONVERSATION=${CONVERSATION:-6f1c1f0e-3a57-4a39-9a55-6c1e7bb7d1a4}
TOKEN=${TOKEN:-pbk_8d0a1c526b1e4f0e9a3b2c6f6f1f3a10_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA}
conversation=$API/api/v1/conversations/$CONVERSATION

# curl repeats a request that got 429, 500, 502, 503, 504 or no answer in time, and waits as Retry-After says. With one
# Idempotency-Key for all attempts they make one message.
call() {
  curl --silent --show-error --fail-with-body --max-time 30 --retry 5 --retry-connrefused \
    --header "Authorization: Bearer $TOKEN" "$@"
}

# The first text of this name in a JSON text; where there is jq, it reads JSON better.
member() { { grep -o "\"$1\":\"[^\"]*\"" <<<"$2" || true; } | sed -n '1s/.*:"\(.*\)"/\1/p'; }

# A file goes into the conversation first, and then with a message that names its URL.
report=$(mktemp) && trap 'rm -f "$report"' EXIT
echo "Two pairs of shoes, brown." >"$report"
file=$(call --form "file=@$report;filename=order.txt;type=text/plain" "$conversation/upload")
url=$(member url "$file")
echo "uploaded $url"

# A key for each message: a UUID, or what names the message in your own system.
key=order-4711-packed-$(date +%s)
sent=$(call --header "Content-Type: application/json" --header "Idempotency-Key: $key" \
  --data "{\"content\": \"This is what we packed.\", \"attachments\": [{\"url\": \"$url\"}]}" "$conversation/messages")
id=$(member id "$sent")
echo "sent $id"

for _ in $(seq 60); do
  status=$(member status "$(call "$conversation/messages/$id")")
  case $status in delivered | read | failed) break ;; esac
  sleep 1
done
echo "status $status"

after=0
while page=$(call "$conversation/messages?limit=100&after=$after"); do
  grep -o '"content":"[^"]*"' <<<"$page" || true
  after=$(member next "$page") # kept, it brings later exactly what has come since
  grep -q '"has_more":true' <<<"$page" || break
done
