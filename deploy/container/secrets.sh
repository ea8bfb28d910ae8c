#!/bin/sh
# Draws the secrets for compose.yaml, once; existing ones are never replaced. Keep a copy of credential_key elsewhere: without
# it, a backup of the database is of little use.
set -eu
umask 077
folder="$(dirname "$0")/secrets"
mkdir -p "$folder"
draw() {
  if [ -e "$folder/$1" ]; then
    echo "$folder/$1 is there already"
  else
    printf '%s' "$2" >"$folder/$1"
    echo "made $folder/$1"
  fi
  # Only this folder's owner reaches the files; the user of the container, who gets them one by one, has to be able to read them.
  chmod 444 "$folder/$1"
}
draw operator_key "$(openssl rand -hex 32)"
draw credential_key "$(openssl rand -base64 32)"
draw postgres_password "$(openssl rand -hex 24)"
draw database_url "postgres://stocktide:$(cat "$folder/postgres_password")@postgres/stocktide"
