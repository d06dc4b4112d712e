# An archive of Debian's that a test makes itself, signed by a key of its own.

# signing_key FOLDER: a key that gpg signs with by default, and FOLDER/key.gpg.
signing_key() {
  export GNUPGHOME=$1/gnupg
  mkdir -m 700 "$GNUPGHOME"
  gpg --batch --quiet --passphrase '' --quick-gen-key test default default never
  gpg --export >"$1/key.gpg"
}

# snapshot FOLDER SUITE PACKAGE…: a part of an archive as it was on a day of 2020, signed, and valid for a week. Its packages
# have the version $snapshot_version, or 6.12.95-1.
snapshot() {
  local folder=$1 suite=$2 name tree=$BATS_TEST_TMPDIR/tree packages=main/binary-amd64/Packages
  shift 2
  mkdir -p "$folder/dists/$suite/main/binary-amd64" "$folder/pool"
  : >"$folder/dists/$suite/$packages"
  for name in "$@"; do
    mkdir -p "$tree/DEBIAN"
    printf 'Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: a <a@b>\nDescription: x\n' "$name" "${snapshot_version-6.12.95-1}" >"$tree/DEBIAN/control"
    dpkg-deb -b "$tree" "$folder/pool/$name.deb" >/dev/null
    { dpkg-deb -f "$folder/pool/$name.deb"
      printf 'Filename: pool/%s.deb\nSize: %s\nSHA256: %s\n\n' "$name" "$(stat -c %s "$folder/pool/$name.deb")" \
        "$(sha256sum <"$folder/pool/$name.deb" | cut -d' ' -f1)"; } >>"$folder/dists/$suite/$packages"
  done
  cd "$folder/dists/$suite" || return
  printf '%s\n' 'Origin: Debian' 'Label: Debian' "Suite: $suite" "Codename: $suite" 'Date: Wed, 01 Jan 2020 00:00:00 UTC' \
    'Valid-Until: Wed, 08 Jan 2020 00:00:00 UTC' 'Architectures: amd64' 'Components: main' 'SHA256:' \
    " $(sha256sum <"$packages" | cut -d' ' -f1) $(stat -c %s "$packages") $packages" >Release
  gpg --batch --yes --clearsign -o InRelease Release
}
