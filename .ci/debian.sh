#!/usr/bin/env bash
# The quickstart and the fast tests on Debian 13 with its Python 3.13 and the newest releases: .ci/debian.sh FOLDER
# debootstrap makes the system in the folder, and chroot enters it; both take root. Nothing of it is installed here.
set -euo pipefail
scratch=$1
if ((EUID != 0)); then
  echo "error: the tests on Debian 13 run in a root of its own (debootstrap and chroot), which takes root" >&2
  exit 1
fi
if [[ -z ${HAS_OWN_MOUNTS:-} ]]; then
  # What is mounted from here on is seen by these processes alone, and gone when they end, however they end.
  HAS_OWN_MOUNTS=1 exec unshare --mount -- bash "${BASH_SOURCE[0]}" "$scratch"
fi
CDPATH= cd "$(dirname "${BASH_SOURCE[0]}")/.."
source .ci/steps.sh
unset PYTHONPATH VIRTUAL_ENV
root=$scratch/debian

make_root() {
  local mirror
  # The mirror that this machine's apt takes Debian from; elsewhere debootstrap's own.
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' 2>/dev/null | head -n 1)
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates trixie "$root" ${mirror:+"$mirror"} \
    >"$scratch/debootstrap.log" || { tail -n 20 "$scratch/debootstrap.log" >&2; return 1; }
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --rbind /sys "$root/sys"
}

# How this machine reaches the network and pip its index: names, certificates and pip's configuration, at the same places.
# The environment's variables come along by themselves.
carry_settings() {
  local path
  for path in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt "${SSL_CERT_FILE:-}" "${PIP_CERT:-}" \
    "${REQUESTS_CA_BUNDLE:-}" "${CURL_CA_BUNDLE:-}" "${PIP_CONFIG_FILE:-}" \
    $(python3 -m pip config debug | sed -n 's/^ *\(\/.*\), exists: True$/\1/p'); do
    if [[ -f $path ]]; then
      mkdir -p "$root$(dirname "$path")"
      cp --dereference --remove-destination "$path" "$root$path"
    fi
  done
}

copy_sources() {
  mkdir "$root/slowfast"
  git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- --create | tar -x -C "$root/slowfast"
}

inside() {
  # No constraint of this machine's: the newest releases are what is tried here.
  chroot "$root" /usr/bin/env HOME=/root TMPDIR=/tmp LC_ALL=C.UTF-8 PATH=/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PIP_CONSTRAINT=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 bash -euo pipefail -c "cd /slowfast; $1"
}

if ! type debootstrap >/dev/null 2>&1; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap
fi
step "Debian 13: make it" make_root
carry_settings
copy_sources
# Twice quiet, as folders of packages that pip knows here and that are not there are no concern.
step "Debian 13: install" inside "python3 -m venv /venv; pip install --quiet --quiet -e '.[test]'"
inside "python --version; pip list | grep -iE '^(torch|torchvision|av|numpy|timm) '"
step "Debian 13: quickstart" inside "EPOCHS=3 DATA_DIR=/tmp/digits OUTPUT_DIR=/tmp/run bash exp/quickstart/run.sh"
step "Debian 13: fast tests" inside 'pytest -n 2 --dist loadfile -m "not slow"'
