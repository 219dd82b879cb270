#!/bin/bash
# The operator's walk, made anew: bash deploy/walk/walk.sh FOLDER writes docs/operators-walk.md.
#
# A clean Debian with systemd as its first process (systemd-nspawn, no network, everything it writes is gone afterwards),
# a release of this checkout, and an operator who installs, begins, serves, breaks, finds, mends, backs up, restores.
# FOLDER keeps the Debian and the packages between runs. Needs root, debootstrap, systemd-container, and .venv for tests.
set -euo pipefail

[ $# = 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "root is needed: systemd-nspawn starts a machine" >&2; exit 2; }
source=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
python=$source/.venv/bin/python
debian=$folder/debian
walk=$(mktemp -d)
transcript=$walk/transcript.md
boot=""

end() {
	[ -z "$boot" ] || { kill -TERM "$boot" 2>/dev/null && wait "$boot" 2>/dev/null; } || true
	rm -rf "$walk"
}
trap end EXIT

# --- a Debian, packages, two releases ---------------------------------------------------------------------------------

if [ ! -e "$debian/.whole" ]; then
	rm -rf "$debian"
	mirror=${WALK_MIRROR:-$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources | head -n 1)}
	debootstrap --variant=minbase \
		--include=systemd,systemd-sysv,dbus,python3,python3-venv,python3-pip,ca-certificates,nginx,postgresql,curl,openssl,procps \
		bookworm "$debian" "$mirror" >"$folder/debootstrap.log" 2>&1
	chroot "$debian" systemctl disable -q nginx postgresql
	: >"$debian/.whole"
fi
mkdir -p "$folder/wheels"
platforms=""
for tag in manylinux_2_34 manylinux_2_28 manylinux_2_17 manylinux2014; do platforms="$platforms --platform ${tag}_x86_64"; done
# shellcheck disable=SC2086
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: $platforms \
	--python-version 3.11 -r "$source/requirements.lock" -d "$folder/wheels" 2>/dev/null
mkdir -p "$walk/release" "$walk/later"
(
	cd "$source"
	"$python" tools/release.py "$walk" >/dev/null
	tar xzf "$walk"/sambud-*.tar.gz -C "$walk/release" --strip-components=1
	rm "$walk"/sambud-*.tar.gz
	# The same program with a later date: another release, for the upgrade.
	SOURCE_DATE_EPOCH=$(($(git show -s --format=%ct HEAD) + 86400)) "$python" tools/release.py "$walk" >/dev/null
	tar xzf "$walk"/sambud-*.tar.gz --warning=no-timestamp -C "$walk/later" --strip-components=1
)
cp "$source/deploy/walk/client.py" "$walk/client.py"

setsid systemd-nspawn --quiet --directory="$debian" --volatile=overlay --register=no --keep-unit --machine=gateway \
	--private-network --system-call-filter="adjtimex clock_adjtime" --tmpfs=/var/lib/sambud:size=96m,mode=0755 --bind-ro="$walk/release:/srv/release" --bind-ro="$walk/later:/srv/later" \
	--bind-ro="$folder/wheels:/srv/wheels" --bind-ro="$walk/client.py:/srv/client.py" \
	--boot systemd.log_color=0 </dev/null >"$walk/console" 2>&1 &
boot=$!
leader=""
for _ in $(seq 120); do
	for child in $(pgrep -P "$boot" || true); do
		[ "$(cat "/proc/$child/comm" 2>/dev/null)" = systemd ] && leader=$child
	done
	[ -n "$leader" ] && nsenter -t "$leader" -a systemctl is-system-running 2>/dev/null | grep -Eq 'running|degraded' && break
	sleep 0.5
done
[ -n "$leader" ] || { cat "$walk/console"; exit 1; }

# --- telling ----------------------------------------------------------------------------------------------------------

inside() {
	nsenter -t "$leader" -a env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
		LANG=C.UTF-8 PIP_NO_INDEX=1 PIP_FIND_LINKS=/srv/wheels sh -c "$1"
}
tell() { printf '\n%s\n' "$*" | tee -a "$transcript"; }
# run COMMAND: type it, show what it says. Ids, secrets and measured moments are told as what they are.
run() {
	local code=0
	printf '\n    # %s\n' "$1" | tee -a "$transcript"
	inside "$1" >"$walk/said" 2>&1 </dev/null || code=$?
	sed -E -e 's/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/ID/g' -e 's/\r//' \
		-e 's/^[A-Z][a-z]{2} [0-9]{2} [0-9:]{8} [^ ]+ //' -e 's/\x1b\[[0-9;]*m//g' "$walk/said" |
		cut -c1-220 | sed 's/^/    /; s/ *$//' | tee -a "$transcript"
	[ "$code" = 0 ] || printf '    (slutkod %s)\n' "$code" | tee -a "$transcript"
	last=$code
}
must() { # must CODE: what the last command had to end with
	[ "$last" = "$1" ] || { echo "the walk stops: the last command ended with $last, not $1" >&2; inside 'journalctl -u "sambud*" --no-pager | tail -40' >&2; exit 1; }
}
says() { # says WORDS: what the last command had to say
	grep -q -- "$1" "$walk/said" || { echo "the walk stops: the last command did not say: $1" >&2; exit 1; }
}
journal() { run "journalctl -u '$1' --no-pager -o short | grep -Ev 'Varning: koder' | tail -n ${2:-4}"; }
settle() { # until another process than $1 serves
	inside "for i in \$(seq 180); do p=\$(systemctl show -p MainPID --value sambud); [ \$p != 0 ] && [ \$p != '$1' ] && systemctl is-active -q sambud && exit 0; sleep 1; done; exit 1"
}
serving() { inside 'systemctl show -p MainPID --value sambud'; }
quiet() { inside "$1" >/dev/null 2>&1 </dev/null || true; }

cat >"$transcript" <<'HEAD'
# The operator's walk

Made by `bash deploy/walk/walk.sh FOLDER`, never by hand: a clean Debian 12 with systemd as its first process, in a
container without a network; a release of this checkout; everything an operator types and what the machine says.
Where a step must end in a certain way, the script stops if it does not. Data lie on a file system of 96 MiB, so that it can
fill up; the directory is the invented one of the demo.
HEAD

. "$source/deploy/walk/steps.sh"

{
	cat "$transcript"
	printf '\nThe walk ended as it should: every command above ended as the script asks.\n'
} >"$source/docs/operators-walk.md"
