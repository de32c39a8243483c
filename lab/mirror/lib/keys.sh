#!/usr/bin/env bash
# The mirror's own authority, its certificate, the key that signs repositories, and the registry's password; each made once.
# Sourced by ../mirror.
set -euo pipefail
: "${state:?}" "${address:?}"

gpg_lab() { gpg --homedir "$state/gnupg" --batch --quiet "$@"; }

# make_certificate — for the address that hosts know, and for this machine's own.
make_certificate() {
  local work=$state/certificate.new
  rm -rf "$work"
  mkdir -p "$work"
  if [[ ! -s $state/ca.pem ]]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj '/CN=authority of the tailkube lab' \
      -addext 'keyUsage=critical,keyCertSign,cRLSign' -keyout "$work/ca.key" -out "$work/ca.pem" 2>"$work/log" || die "$(<"$work/log")"
    mv "$work/ca.key" "$state/ca.key"
    mv "$work/ca.pem" "$state/ca.pem"
  fi
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj '/CN=lab-mirror' -keyout "$work/server.key" -out "$work/request" \
    2>"$work/log" || die "$(<"$work/log")"
  printf 'subjectAltName=DNS:lab-mirror,DNS:localhost,IP:%s,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' "$address" >"$work/extensions"
  openssl x509 -req -in "$work/request" -CA "$state/ca.pem" -CAkey "$state/ca.key" -CAcreateserial -days 3650 -extfile "$work/extensions" \
    -out "$work/server.pem" 2>"$work/log" || die "$(<"$work/log")"
  mv "$work/server.key" "$state/server.key"
  mv "$work/server.pem" "$state/server.pem"
  rm -r "$work"
}

make_keys() (
  umask 077
  if [[ ! -s $state/server.pem ]] || ! openssl x509 -in "$state/server.pem" -noout -checkip "$address" | grep -q ' does match'; then
    make_certificate
  fi
  [[ -s $state/credentials ]] || printf 'lab:%s\n' "$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')" >"$state/credentials"
  mkdir -p "$state/gnupg"
  if [[ ! -s $state/signing.asc ]]; then
    [[ -n $(gpg_lab --list-secret-keys 2>/dev/null) ]] ||
      gpg_lab --pinentry-mode loopback --passphrase '' --quick-generate-key 'The lab of tailkube <lab@tailkube.invalid>' rsa3072 sign never
    gpg_lab --armor --export >"$state/signing.asc.new"
    mv "$state/signing.asc.new" "$state/signing.asc"
    # Its agent would outlive this script.
    gpgconf --homedir "$state/gnupg" --kill gpg-agent
  fi
)
